// store/file across processes, with the real flock(2): daemons that start in the same moment never share a subnet.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { leaseKey } from "../../../src/lease/lease.js";
import { FileLeaseStore } from "../../../src/store/file.js";

const PROCESSES = 4;
const HOSTS_PER_PROCESS = 5;
const RACER = fileURLToPath(new URL("./lease-racer.ts", import.meta.url));

t.test("twenty hosts in four processes get twenty subnets", async (t) => {
  const folder = t.testdir();
  await writeFile(join(folder, "config.json"), '{"Network": "10.244.0.0/19"}');
  const racers = Array.from({ length: PROCESSES }, (_, index): ChildProcess => {
    const first = String(1 + index * HOSTS_PER_PROCESS);
    return fork(RACER, [folder, first, String(HOSTS_PER_PROCESS)], { execArgv: process.execArgv });
  });
  t.teardown(() => {
    for (const racer of racers) racer.kill("SIGKILL");
  });
  await Promise.all(racers.map((racer) => once(racer, "message")));
  const results = racers.map((racer) => once(racer, "message"));
  for (const racer of racers) racer.send("go");
  const keys = (await Promise.all(results)).flatMap(([message]: unknown[]) => (Array.isArray(message) ? message : []));
  t.equal(new Set(keys).size, PROCESSES * HOSTS_PER_PROCESS);
  const store = new FileLeaseStore({ folder, leaseTtlSeconds: 3600, netConfigPath: null });
  t.same((await store.list()).map(leaseKey).sort(), keys.sort());
});
