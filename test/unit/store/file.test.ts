// store/file: bad days. The good ones are in test/contract/lease-store.file.test.ts.
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { leaseKey } from "../../../src/lease/lease.js";
import { replaceFile } from "../../../src/lease/replace-file.js";
import { FileLeaseStore, type FileStoreOptions } from "../../../src/store/file.js";
import { attrs, prefix, reservation, Watching } from "../../contract/lease-store.js";
import { ManualClock } from "../../contract/manual-clock.js";

interface Lab {
  readonly folder: string;
  readonly subnets: string;
  readonly clock: ManualClock;
  readonly warnings: string[];
  open(options?: Partial<FileStoreOptions>): FileLeaseStore;
}

async function lab(folder: string, network = "10.244.0.0/22"): Promise<Lab> {
  await mkdir(join(folder, "subnets"), { recursive: true });
  await writeFile(join(folder, "config.json"), JSON.stringify({ Network: network }));
  const clock = new ManualClock();
  const warnings: string[] = [];
  const onWarning = (message: string): void => void warnings.push(message);
  const common = { folder, leaseTtlSeconds: 3600, netConfigPath: null, clock, onWarning };
  return {
    folder,
    subnets: join(folder, "subnets"),
    clock,
    warnings,
    open: (options) => new FileLeaseStore({ ...common, ...options }),
  };
}

t.test("a damaged lease file is skipped with one warning, and its subnet counts as taken", async (t) => {
  const { open, subnets, warnings } = await lab(t.testdir());
  await writeFile(join(subnets, "10.244.1.0-24.json"), '{"PublicIP": "192.16');
  await writeFile(join(subnets, "10.244.2.0-24.json"), '{"PublicIP": "192.168.50.2"}');
  const store = open();
  const config = await store.readConfig();
  t.same((await store.list()).map(leaseKey), ["10.244.2.0-24"]);
  const previous = { subnet: prefix("10.244.1.0/24"), subnetV6: null };
  t.equal(leaseKey(await store.acquire({ config, attrs: attrs(9), previous })), "10.244.3.0-24");
  await t.rejects(store.acquire({ config, attrs: attrs(10), previous: null }), {
    code: "NETWORK_FULL",
    message: /10\.244\.1\.0\/24 by an unreadable entry/,
  });
  t.equal(warnings.length, 1, "said once, however often it is met");
  t.match(warnings[0], /subnets\/10\.244\.1\.0-24\.json is not valid JSON .*repair or remove it/);
  t.equal(await readFile(join(subnets, "10.244.1.0-24.json"), "utf8"), '{"PublicIP": "192.16', "and left as it is");
});

t.test("a file that breaks and is mended again warns again when it breaks again", async (t) => {
  const { open, subnets, warnings } = await lab(t.testdir());
  const path = join(subnets, "10.244.1.0-24.json");
  const store = open();
  for (const text of ["{", '{"PublicIP": "192.168.50.1"}', "{"]) {
    await writeFile(path, text);
    await store.list();
  }
  t.equal(warnings.length, 2);
});

t.test("a lease whose file is damaged later stays as it was until it expires, in watches and lists", async (t) => {
  const { open, subnets, clock, warnings } = await lab(t.testdir());
  const store = open();
  const lease = await open().acquire({ config: await store.readConfig(), attrs: attrs(1), previous: null });
  const watching = new Watching(t, store);
  t.same(await watching.next(), [{ kind: "added", lease }]);
  await replaceFile(join(subnets, `${leaseKey(lease)}.json`), "\0\0\0", 0o644);
  await replaceFile(join(subnets, "10.244.0.0-24.json"), '{"PublicIP": "192.168.50.2"}', 0o644);
  t.same(await watching.nextKeys(), ["+10.244.0.0-24"], "the others are seen as ever");
  t.same((await store.list()).map(leaseKey).sort(), ["10.244.0.0-24", leaseKey(lease)]);
  t.match(warnings, [new RegExp(`${leaseKey(lease)}.json is not valid JSON`)]);
  const waiting = watching.next();
  clock.advance(3601);
  t.same(await waiting, [{ kind: "removed", lease }]);
  t.same((await open().list()).map(leaseKey), ["10.244.0.0-24"], "who never saw it whole skips it");
});

t.test(
  "files that are no leases are named once and block nothing; hidden and other files are not looked at",
  async (t) => {
    const { open, subnets, warnings } = await lab(t.testdir());
    for (const name of ["notes.json", ".hidden.json", "10.244.1.0-24.json~", "README"])
      await writeFile(join(subnets, name), "x");
    await mkdir(join(subnets, "10.244.2.0-24.json"));
    await symlink("/nonexistent", join(subnets, "10.244.3.0-24.json"));
    t.same(await open().list(), []);
    t.equal(warnings.length, 2);
    t.match(warnings.join("\n"), /10\.244\.2\.0-24\.json cannot be read(.|\n)*notes\.json is not named after a subnet/);
  },
);

t.test("an own lease whose file was damaged while it runs is written anew", async (t) => {
  const { open, subnets, clock, warnings } = await lab(t.testdir());
  const store = open();
  const lease = await store.acquire({ config: await store.readConfig(), attrs: attrs(1), previous: null });
  const path = join(subnets, `${leaseKey(lease)}.json`);
  await writeFile(path, "");
  const renewed = await store.renew(lease);
  t.same(await open().list(), [renewed]);
  t.match(warnings.join(), /this host still holds/);
  await writeFile(path, "");
  clock.advance(7200);
  await t.rejects(store.renew(renewed), { code: "BAD_LEASE" }, "but not once it may be another's");
});

t.test("acquire sweeps expired leases and what killed writers left", async (t) => {
  const { open, subnets, clock } = await lab(t.testdir());
  const store = open();
  const config = await store.readConfig();
  await store.acquire({ config, attrs: attrs(1), previous: null });
  await writeFile(join(subnets, ".10.244.9.0-24.json.tmp"), "half");
  clock.advance(3601);
  const lease = await store.acquire({ config, attrs: attrs(2), previous: null });
  t.same(await readdir(subnets), [`${leaseKey(lease)}.json`]);
});

t.test("leases are pretty JSON in the folder's own layout", async (t) => {
  const { open, folder, subnets, clock } = await lab(t.testdir());
  const store = open();
  const previous = { subnet: prefix("10.244.2.0/24"), subnetV6: null };
  await store.acquire({ config: await store.readConfig(), attrs: attrs(1), previous });
  t.same((await readdir(folder)).sort(), ["config.json", "lock", "subnets"]);
  const expiration = new Date(clock.now() + 3_600_000).toISOString();
  t.equal(
    await readFile(join(subnets, "10.244.2.0-24.json"), "utf8"),
    `{\n  "PublicIP": "192.168.50.1",\n  "PublicIPv6": null,\n  "Node": "h1",\n  "Expiration": "${expiration}"\n}\n`,
  );
});

t.test("--net-config is read instead of config.json", async (t) => {
  const { open, folder } = await lab(t.testdir());
  const netConfigPath = join(folder, "other.json");
  await writeFile(netConfigPath, '{"Network": "10.9.0.0/16"}');
  t.equal((await open({ netConfigPath }).readConfig()).network.base, 0x0a090000n);
  await rm(join(folder, "config.json"));
  t.equal((await open({ netConfigPath }).readConfig()).network.base, 0x0a090000n);
});

t.test("without a network configuration the error says where to write one", async (t) => {
  const { open, folder } = await lab(t.testdir());
  await rm(join(folder, "config.json"));
  const message = /no network configuration at .*\/config\.json; write \{"Network".*--net-config/;
  await t.rejects(open().readConfig(), { code: "BAD_CONFIG", message });
  await mkdir(join(folder, "config.json"));
  await t.rejects(open().readConfig(), { code: "STORE_UNAVAILABLE", message: /config\.json cannot be used/ });
});

t.test("reading touches nothing: a folder that is not there holds no leases and is not made", async (t) => {
  const folder = t.testdir();
  const { open } = await lab(join(folder, "template"));
  t.same(await open({ folder: join(folder, "new") }).list(), []);
  t.same(await readdir(folder), ["template"]);
});

t.test("a folder that cannot be made is STORE_UNAVAILABLE with path and cure", async (t) => {
  const { open, folder } = await lab(t.testdir());
  const store = open({ folder: join(folder, "config.json", "store") });
  const expected = {
    code: "STORE_UNAVAILABLE",
    retryable: false,
    message: /config\.json\/store\/subnets cannot be used .*--store file:DIR/,
  };
  const config = await open().readConfig();
  await t.rejects(store.acquire({ config, attrs: attrs(1), previous: null }), expected);
  await t.rejects(store.list(), expected);
  await t.rejects(store.renew(reservation(1)), expected);
  const watch = store.watch(new AbortController().signal)[Symbol.asyncIterator]();
  await t.rejects(watch.next(), expected);
});

t.test("the watch survives its folder being removed and made again", async (t) => {
  const { open, subnets, clock } = await lab(t.testdir());
  const store = open();
  await writeFile(join(subnets, "10.244.1.0-24.json"), '{"PublicIP": "192.168.50.1"}');
  const watching = new Watching(t, store);
  t.same(await watching.nextKeys(), ["+10.244.1.0-24"]);
  await rm(subnets, { recursive: true });
  t.same(await watching.nextKeys(), ["-10.244.1.0-24"]);
  const waiting = watching.nextKeys();
  await mkdir(subnets);
  await writeFile(join(subnets, "10.244.2.0-24.json"), '{"PublicIP": "192.168.50.2"}');
  clock.advance(11);
  t.same(await waiting, ["+10.244.2.0-24"]);
});

t.test("a damaged lease file keeps its subnet from being reserved, and can be removed", async (t) => {
  const { open, subnets } = await lab(t.testdir());
  const pair = { subnet: prefix("10.244.1.0/24"), subnetV6: null };
  await writeFile(join(subnets, "10.244.1.0-24.json"), "{");
  await t.rejects(open().reserve({ ...pair, attrs: attrs(1, null) }), {
    code: "SUBNET_TAKEN",
    message: /^10\.244\.1\.0\/24 belongs to an unreadable entry; .* remove lease 10\.244\.1\.0-24 /,
  });
  t.equal(await open().remove(pair), true);
  t.same(await readdir(subnets), []);
});

t.test("a configuration is written to the folder as it was typed, whatever --net-config says", async (t) => {
  const { open, folder } = await lab(t.testdir());
  const other = join(folder, "other.json");
  await writeFile(other, '{"Network": "10.9.0.0/16"}');
  const text = '{"Network":   "10.7.0.0/16"}\n';
  await open({ netConfigPath: other }).writeConfig(text);
  t.equal(await readFile(join(folder, "config.json"), "utf8"), text);
  t.equal(await readFile(other, "utf8"), '{"Network": "10.9.0.0/16"}');
});

t.test("closing the store ends a wait for the lock", async (t) => {
  const { open } = await lab(t.testdir());
  let isTried = (): void => undefined;
  const tried = new Promise<void>((resolve) => {
    isTried = resolve;
  });
  const store = open({
    tryLockFile: () => {
      isTried();
      return false;
    },
  });
  const waiting = store.release(reservation(1));
  await tried;
  await store.close();
  await t.rejects(waiting, { code: "STORE_UNAVAILABLE", message: /^file:.* was closed$/ });
});
