// What changes while the daemon runs: its own address, the network configuration; and a start while the store is away. Over a
// real memory store with a kernel and a pump that are not there (test/support/daemon-trial.ts).
import { existsSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import t, { type Test } from "tap";
import { HopsackError } from "../../../src/errors.js";
import { leaseKey } from "../../../src/lease/lease.js";
import type { LeaseStore } from "../../../src/store/lease-store.js";
import { MemoryState } from "../../../src/store/memory.js";
import { lease } from "../../support/daemon-fixtures.js";
import { CONFIG, methods, Trial, UNDERLAY, until } from "../../support/daemon-trial.js";

const peerB = lease("10.244.200.0/24", "192.168.50.11", "b");

/** A store that a test can take away and give back. */
function removable(): { isAway: boolean; wrap: (store: LeaseStore) => LeaseStore } {
  const away = { isAway: false, wrap };
  function wrap(store: LeaseStore): LeaseStore {
    const all = methods(store);
    const gone = (): HopsackError => new HopsackError("STORE_UNAVAILABLE", "the store is gone", { retryable: true });
    const guarded = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => {
      return async (...args: A): Promise<R> => {
        if (away.isAway) throw gone();
        return call(...args);
      };
    };
    return {
      ...all,
      readConfig: guarded(all.readConfig),
      list: guarded(all.list),
      acquire: guarded(all.acquire),
      renew: guarded(all.renew),
      release: guarded(all.release),
      watch: async function* (signal, known) {
        if (away.isAway) throw gone();
        yield* all.watch(signal, known);
      },
    };
  }
  return away;
}

/** A daemon that knows b and has kept it on disk, then gone without a release. */
async function lifeBefore(t: Test, state = new MemoryState(CONFIG)): Promise<Trial> {
  state.put(peerB);
  const trial = new Trial(t, undefined, state);
  const ended = trial.run("--keep-lease");
  await trial.logged("ready");
  await until(
    "b is kept",
    () => existsSync(trial.leaseCache) && readFileSync(trial.leaseCache, "utf8").includes("10.244.200.0"),
  );
  await until("its own lease too", () => readFileSync(trial.leaseCache, "utf8").includes(leaseKey(trial.own())));
  trial.stopping.abort("SIGTERM");
  await ended;
  return trial;
}

t.test("another address of the interface is published, and packets go on with it", async (t) => {
  const trial = new Trial(t);
  trial.leases.put(peerB);
  trial.run();
  await trial.logged("ready");
  const subnet = leaseKey(trial.own());
  trial.underlay = { ...UNDERLAY, address: "192.168.50.77", publicIp: "192.168.50.77" };
  trial.events?.onHostChange();
  await until("it is published", () => trial.own().attrs.publicIp === "192.168.50.77");
  t.equal(leaseKey(trial.own()), subnet, "the subnet stays");
  t.match(await trial.logged("setting_changed"), { publicIp: "192.168.50.77" });
  t.match(await trial.status(), { underlay: { address: "192.168.50.77" }, peers: [{ node: "b" }], warnings: [] });
  t.same(trial.deeds.slice(5), ["stop pump", "open pump", trial.deeds[2], "publish 10.244.200.0/24", "start pump"]);
});

t.test("changes of the host that are none of the underlay change nothing", async (t) => {
  const trial = new Trial(t);
  trial.run();
  await trial.logged("ready");
  const before = [...trial.deeds];
  for (let n = 0; n < 20; n++) trial.events?.onHostChange();
  trial.leases.put(peerB);
  await until("b is published", () => trial.deeds.at(-1) === "publish 10.244.200.0/24");
  t.same(trial.deeds.slice(before.length), ["publish 10.244.200.0/24"]);
});

t.test(
  "an IPv6 address that comes is nothing to a mode without an IPv6 end; vxlan publishes it, and takes it back",
  async (t) => {
    const dual = CONFIG.replace("{", '{"EnableIPv6": true, "IPv6Network": "fd00::/48", ');
    const trial = new Trial(t, undefined, new MemoryState(dual));
    trial.run();
    await trial.logged("ready");
    const before = [...trial.deeds];
    trial.underlay = { ...UNDERLAY, addressV6: "fd99::1", publicIpv6: "fd99::1" };
    trial.events?.onHostChange();
    trial.leases.put(peerB);
    await until("b is published", () => trial.deeds.at(-1) === "publish 10.244.200.0/24");
    t.same(trial.deeds.slice(before.length), ["publish 10.244.200.0/24"], "the pump goes on");

    const mtu = () => /FLANNEL_MTU=(\d+)/.exec(readFileSync(trial.subnetFile, "utf8"))?.[1];
    trial.leases.configText = dual.replace('"udp"', '"vxlan"');
    trial.configChanged();
    await until("it is published", () => trial.own().attrs.publicIpv6 === "fd99::1");
    t.match(trial.own().attrs.backendV6Data, { VNI: 1, VtepMAC: /^[0-9a-f:]{17}$/ });
    await until("subnet.env has the MTU that both devices carry", () => mtu() === "1430");
    trial.underlay = { ...UNDERLAY, addressV6: "fd99::7", publicIpv6: "2001:db8::7" };
    trial.events?.onHostChange();
    await until("the new one is published", () => trial.own().attrs.publicIpv6 === "2001:db8::7");
    trial.underlay = UNDERLAY;
    trial.events?.onHostChange();
    await until("it is taken back", () => trial.own().attrs.publicIpv6 === null);
    t.equal(trial.own().attrs.backendV6Data, null);
    await until("there is one device again", () => mtu() === "1450");
  },
);

t.test("with no usable address the last one stays in force, and the status says so", async (t) => {
  const trial = new Trial(t);
  trial.run();
  await trial.logged("ready");
  const before = [...trial.deeds];
  trial.underlay = new HopsackError("NO_ADDRESS", "the interface eth0 has no usable IPv4 address");
  trial.events?.onHostChange();
  t.match(await trial.logged("trouble"), { topic: "underlay", code: "NO_ADDRESS" });
  t.match(await trial.status(), { state: "ready", warnings: [/no usable IPv4 address/] });
  t.same(trial.deeds, before);
  trial.underlay = UNDERLAY;
  trial.events?.onHostChange();
  await trial.logged("trouble_over");
  t.match(await trial.status(), { warnings: [] });
});

t.test(
  "a daemon restarted while the store is away forwards with what it kept, and follows the store when it is back",
  async (t) => {
    const state = new MemoryState(CONFIG);
    const before = await lifeBefore(t, state);
    const away = removable();
    away.isAway = true;
    const trial = new Trial(t, away.wrap, state);
    const start = performance.now();
    trial.run("--lease-cache", before.leaseCache);
    await trial.logged("ready");
    t.comment(`ready after ${Math.round(performance.now() - start)} ms`);
    t.ok(trial.deeds.includes("publish 10.244.200.0/24"));
    t.match(await trial.logged("store_away_using_kept_leases"), { level: "warn" });
    t.match(await trial.status(), { state: "ready", store: { connected: false }, warnings: ["the store is gone"] });
    state.put(lease("10.244.201.0/24", "192.168.50.12", "c"));
    away.isAway = false;
    await until("c is known", () => trial.deeds.at(-1) === "publish 10.244.200.0/24 10.244.201.0/24");
    await trial.logged("lease_renewed");
    t.match(await trial.status(), { store: { connected: true }, warnings: [] });
    t.equal(state.leases().length, 3, "it has no second lease");
  },
);

t.test("what was kept of another store, of another node, or has ended is not used", async (t) => {
  const before = await lifeBefore(t);
  const kept = readFileSync(before.leaseCache, "utf8");
  const useless: [string, string][] = [
    ["another store's", kept.replace('"store":"memory"', '"store":"file:/elsewhere"')],
    ["another node's", kept.replaceAll('"node":"a"', '"node":"z"')],
    ["ended", kept.replaceAll(/"expiresAt":\d+/g, '"expiresAt":1000')],
    ["of a later version", kept.replace('"version":1', '"version":2')],
    ["damaged", kept.slice(0, 200)],
  ];
  for (const [name, text] of useless) {
    const away = removable();
    away.isAway = true;
    const trial = new Trial(t, away.wrap);
    writeFileSync(trial.leaseCache, text);
    trial.run();
    await trial.logged("trouble");
    t.match(await trial.status(), { state: "waiting" }, name);
    if (name === "damaged") t.match(await trial.logged("lease_cache_ignored"), { level: "warn" });
    trial.stopping.abort("enough");
    await trial.ended;
  }
});

t.test("a clean stop that gives the lease back takes away what was kept", async (t) => {
  const trial = new Trial(t);
  const ended = trial.run();
  await trial.logged("ready");
  await until("it is kept", () => existsSync(trial.leaseCache));
  trial.stopping.abort("SIGTERM");
  await ended;
  t.notOk(existsSync(trial.leaseCache));
});

t.test("a release without an answer: what was kept is not used again, unless the store was away", async (t) => {
  const mute = new Trial(t, (store) => ({ ...methods(store), release: () => new Promise(() => undefined) }));
  mute.run();
  await mute.logged("ready");
  await until("the store is connected", () => existsSync(mute.leaseCache));
  const before = await lifeBefore(t);
  mute.stopping.abort("SIGTERM");
  await mute.ended;
  t.match(await mute.logged("stop_step_failed"), { step: "lease" });
  t.notOk(existsSync(mute.leaseCache), "the store may have heard it");

  const away = removable();
  away.isAway = true;
  const alone = new Trial(t, away.wrap);
  writeFileSync(alone.leaseCache, readFileSync(before.leaseCache));
  alone.run();
  await alone.logged("ready");
  alone.stopping.abort("SIGTERM");
  await alone.ended;
  t.ok(existsSync(alone.leaseCache), "the store cannot have heard it");
});

t.test("a store that lost everybody since a moment ago is not taken at its word at the start", async (t) => {
  const before = await lifeBefore(t);
  for (const [age, published] of [
    [0, "publish 10.244.200.0/24"],
    [3600, "publish "],
  ] as const) {
    const trial = new Trial(t);
    writeFileSync(trial.leaseCache, readFileSync(before.leaseCache));
    const time = Date.now() / 1000 - age;
    utimesSync(trial.leaseCache, time, time);
    trial.run();
    await trial.logged("ready");
    t.equal(trial.deeds[3], published, `kept ${age} s ago`);
  }
});

t.test("a configuration that cannot be used does not stop a daemon that has kept one", async (t) => {
  const state = new MemoryState(CONFIG);
  const before = await lifeBefore(t, state);
  state.configText = "{oops";
  const trial = new Trial(t, undefined, state);
  trial.run("--lease-cache", before.leaseCache);
  await trial.logged("ready");
  t.ok(trial.deeds.includes("publish 10.244.200.0/24"));
  t.match(await trial.status(), { state: "ready", warnings: [/not valid JSON/] });
});

t.test("another mode in the store is taken over without a restart", async (t) => {
  const trial = new Trial(t);
  trial.leases.put(peerB);
  trial.run();
  await trial.logged("ready");
  const subnet = leaseKey(trial.own());
  trial.leases.configText = CONFIG.replace('"udp"', '"udp", "Port": 9000');
  trial.configChanged();
  await until("the pump runs again", () => trial.deeds.filter((deed) => deed === "start pump").length === 2);
  t.same(
    trial.deeds.slice(5).map((deed) => deed.split(" ")[0]),
    ["stop", "open", "plan", "publish", "start"],
  );
  t.equal(leaseKey(trial.own()), subnet);

  trial.leases.configText = CONFIG.replace('"udp"', '"vxlan"');
  trial.configChanged();
  await until("the lease says so", () => trial.own().attrs.backendType === "vxlan");
  t.equal(leaseKey(trial.own()), subnet, "in the same subnet");
  t.match(trial.own().attrs.backendData, { VNI: 1, VtepMAC: /^[0-9a-f:]{17}$/ });
  await until("the pump ended", () => trial.deeds.at(-2) === "stop pump");
  t.match(await trial.status(), { backend: "vxlan", peers: [], warnings: [/b is of mode udp, this host's is vxlan/] });
});

t.test("another network: the host takes a subnet of it and gives up the old one", async (t) => {
  const trial = new Trial(t);
  trial.run();
  await trial.logged("ready");
  trial.leases.configText = '{"Network": "10.99.0.0/16", "Backend": {"Type": "udp"}}';
  trial.configChanged();
  await until("it moved", () => trial.leases.leases().every((lease) => leaseKey(lease).startsWith("10.99.")));
  await until(
    "the device too",
    () => trial.deeds.findLast((deed) => deed.startsWith("plan 10."))?.startsWith("plan 10.99.") === true,
  );
  t.ok(trial.deeds.includes("take back plan"), "what lay in the network of before is taken back");
  t.equal(trial.leases.leases().length, 1);
  t.match(await trial.logged("lease_lost"), { reason: /does not fit the network configuration any more/ });
  await until("subnet.env says so", () =>
    readFileSync(trial.subnetFile, "utf8").includes("FLANNEL_NETWORK=10.99.0.0/16"),
  );
});

t.test(
  "a configuration that cannot be used changes nothing, and the status says why until it is repaired",
  async (t) => {
    const trial = new Trial(t);
    trial.run();
    await trial.logged("ready");
    const before = [...trial.deeds];
    for (const text of ["{oops", '{"Network": "10.244.0.0/16", "Backend": {"Type": "carrier-pigeon"}}']) {
      trial.leases.configText = text;
      trial.configChanged();
      await until("it is reported", () => trial.lines.at(-1)?.event === "trouble");
      t.match(await trial.status(), { state: "ready", warnings: [/not valid JSON|"carrier-pigeon" is not known/] });
    }
    trial.leases.configText = CONFIG;
    trial.configChanged();
    await trial.logged("trouble_over");
    t.match(await trial.status(), { warnings: [] });
    t.same(trial.deeds, before);
  },
);
