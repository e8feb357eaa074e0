// What is kept on disk for a start without the store.
import { existsSync, rmSync } from "node:fs";
import t from "tap";
import { LeaseCache } from "../../../src/daemon/lease-cache.js";
import { parseNetworkConfig } from "../../../src/lease/network-config.js";
import { lease } from "../../support/daemon-fixtures.js";

t.test("a file that somebody removed is written again, though nothing changed", async (t) => {
  const path = `${t.testdir({})}/known-leases.json`;
  const cache = new LeaseCache(path);
  const config = parseNetworkConfig('{"Network": "10.244.0.0/16"}', "test");
  const own = { ...lease("10.244.1.0/24", "192.168.50.10", "a"), expiresAt: null };
  const cached = { store: "memory", config, own, leases: [own] };
  await cache.write(cached);
  rmSync(path);
  await t.rejects(cache.write(cached), { code: "ENOENT" }, "whoever looks learns of it");
  await cache.write(cached);
  t.ok(existsSync(path));
  t.match(await cache.read("memory", "a", Date.now()), { cached: { store: "memory" }, fault: null });
});
