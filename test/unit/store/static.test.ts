// store/static: the hosts of a list, its faults, and edits while it is watched.
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { leaseKey } from "../../../src/lease/lease.js";
import { replaceFile } from "../../../src/lease/replace-file.js";
import { StaticLeaseStore } from "../../../src/store/static.js";
import { attrs, type Tap, Watching } from "../../contract/lease-store.js";

interface Entry {
  readonly [key: string]: unknown;
}

const H1: Entry = { Node: "h1", PublicIP: "192.168.50.1", Subnet: "10.244.1.0/24" };
const H2: Entry = { Node: "h2", PublicIP: "192.168.50.2", Subnet: "10.244.2.0/24" };

function list(hosts: readonly unknown[], config: Entry = {}): string {
  return JSON.stringify({ Network: "10.244.0.0/16", ...config, Hosts: hosts });
}

async function open(t: Tap, text: string): Promise<{ store: StaticLeaseStore; path: string; warnings: string[] }> {
  const path = join(t.testdir(), "lab.json");
  await writeFile(path, text);
  const warnings: string[] = [];
  const onWarning = (message: string): void => void warnings.push(message);
  return { path, warnings, store: new StaticLeaseStore({ path, netConfigPath: null, onWarning }) };
}

t.test("every fault of the list names the entries and the cure", async (t) => {
  const v6 = { EnableIPv6: true, IPv6Network: "fd00::/48" };
  const faults: [string, string, RegExp][] = [
    ["{", "BAD_CONFIG", /lab\.json is not valid JSON/],
    [JSON.stringify({ Hosts: [] }), "BAD_CONFIG", /Network: missing/],
    [JSON.stringify({ Network: "10.244.0.0/16" }), "BAD_CONFIG", /Hosts is not a list; write "Hosts"/],
    [list(["h1"]), "BAD_CONFIG", /Hosts\[0\] is not an object/],
    [list([{ ...H1, PublicIP: "10.1" }]), "BAD_LEASE", /Hosts\[0\] \("h1"\): PublicIP "10\.1" is not/],
    [list([{ ...H1, Subnet: undefined }]), "BAD_CONFIG", /Hosts\[0\] \("h1"\) has no Subnet; add one/],
    [list([{ ...H1, Subnet: "10.244.1.1/24" }]), "BAD_CONFIG", /Subnet "10\.244\.1\.1\/24" is not an IPv4 subnet/],
    [list([{ ...H1, Subnet: "10.244.1.0/31" }]), "BAD_CONFIG", /at most \/30/],
    [
      list([{ ...H1, Subnet: "10.9.1.0/24" }]),
      "BAD_CONFIG",
      /Subnet "10\.9\.1\.0\/24" lies outside the network 10\.244\.0\.0\/16/,
    ],
    [list([{ ...H1, IPv6Subnet: "fd00:0:0:1::/64" }]), "BAD_CONFIG", /IPv6Subnet .* the network has no IPv6/],
    [list([{ ...H1, IPv6Subnet: "fd01::/64" }], v6), "BAD_CONFIG", /IPv6Subnet "fd01::\/64" lies outside/],
    [
      list([H1, { ...H2, PublicIP: "192.168.50.1" }]),
      "BAD_CONFIG",
      /\("h1"\) and Hosts\[1\] \("h2"\) have the same PublicIP/,
    ],
    [
      list([H1, { ...H2, Subnet: "10.244.0.0/23" }]),
      "BAD_CONFIG",
      /Hosts\[0\] .* and Hosts\[1\] .* overlap: 10\.244\.1\.0\/24 and 10\.244\.0\.0\/23/,
    ],
  ];
  for (const [text, code, message] of faults) {
    const { store } = await open(t, text);
    await t.rejects(store.list(), { code, message }, text);
  }
});

t.test("hosts may have subnets of any length, and IPv6 or not", async (t) => {
  const hosts = [
    { ...H1, Subnet: "10.244.0.0/20", IPv6Subnet: "fd00:0:0:1::/64" },
    { PublicIP: "192.168.50.2", Subnet: "10.244.16.0/30" },
  ];
  const { store } = await open(t, list(hosts, { EnableIPv6: true, IPv6Network: "fd00::/48" }));
  t.same((await store.list()).map(leaseKey), ["10.244.0.0-20&fd00:0:0:1::-64", "10.244.16.0-30"]);
});

t.test("a host that is not listed is told which are and what to do", async (t) => {
  const { store } = await open(t, list([H1, H2]));
  const request = { config: await store.readConfig(), attrs: attrs(9), previous: null };
  const message = /no host with PublicIP 192\.168\.50\.9 \(listed: 192\.168\.50\.1, 192\.168\.50\.2\); .*--public-ip/;
  await t.rejects(store.acquire(request), { code: "BAD_OPTION", message });
});

t.test("hosts run the mode of this host unless their entry names one", async (t) => {
  const { store } = await open(
    t,
    list([H1, H2, { PublicIP: "192.168.50.3", Subnet: "10.244.3.0/24", BackendType: "host-gw" }]),
  );
  const types = async (): Promise<string[]> => (await store.list()).map((lease) => lease.attrs.backendType);
  t.same(await types(), ["udp", "udp", "host-gw"]);
  const own = { ...attrs(1), backendType: "vxlan", backendData: { VNI: 1 } };
  const lease = await store.acquire({ config: await store.readConfig(), attrs: own, previous: null });
  t.same(lease.attrs, own);
  t.same(await types(), ["vxlan", "vxlan", "host-gw"]);
});

t.test("a broken edit keeps the last good list and warns once; the mended one counts", async (t) => {
  const { store, path, warnings } = await open(t, list([H1, H2]));
  const watching = new Watching(t, store);
  t.same(await watching.nextKeys(), ["+10.244.1.0-24", "+10.244.2.0-24"]);
  await replaceFile(path, list([H1, { ...H2, Subnet: "10.244.1.0/24" }]), 0o644);
  t.same((await store.list()).map(leaseKey), ["10.244.1.0-24", "10.244.2.0-24"]);
  await rm(path);
  t.same((await store.list()).map(leaseKey), ["10.244.1.0-24", "10.244.2.0-24"]);
  await replaceFile(path, list([H1]), 0o644);
  t.same(await watching.nextKeys(), ["-10.244.2.0-24"]);
  t.match(warnings[0], /overlap: .*\(the list of before stays in force\)/);
  t.match(warnings[1], /lab\.json cannot be read/);
  t.equal(warnings.length, 2);
  await rm(path);
  await store.list();
  t.equal(warnings.length, 3, "a fault that comes back is said again");
});

t.test("edits in place, without a rename, are seen too", async (t) => {
  const { store, path } = await open(t, list([H1]));
  const watching = new Watching(t, store);
  await watching.nextKeys();
  await writeFile(path, list([H1, H2]));
  t.same(await watching.nextKeys(), ["+10.244.2.0-24"]);
});

t.test("a file that is not there is STORE_UNAVAILABLE with its path", async (t) => {
  const store = new StaticLeaseStore({ path: join(t.testdir(), "lab.json"), netConfigPath: null });
  await t.rejects(store.readConfig(), { code: "STORE_UNAVAILABLE", message: /lab\.json cannot be read .*static:FILE/ });
});

t.test("the network configuration may stand in a file of its own", async (t) => {
  const { path } = await open(t, JSON.stringify({ Hosts: [H1] }));
  const netConfigPath = join(path, "..", "net.json");
  await writeFile(netConfigPath, '{"Network": "10.244.0.0/20"}');
  const store = new StaticLeaseStore({ path, netConfigPath });
  t.equal((await store.readConfig()).network.length, 20);
  t.same((await store.list()).map(leaseKey), ["10.244.1.0-24"]);
  t.equal(await readFile(path, "utf8"), JSON.stringify({ Hosts: [H1] }));
});

t.test("no command changes the list: it is edited by hand", async (t) => {
  const { store, path } = await open(t, list([H1]));
  const attempts = [() => store.writeConfig(), () => store.reserve(), () => store.remove()];
  for (const attempt of attempts) {
    await t.rejects(async () => void (await attempt()), {
      code: "BAD_OPTION",
      message: `static:${path} is edited by hand; `,
    });
  }
  t.equal(await readFile(path, "utf8"), list([H1]));
});
