// The daemon's loops over a real memory store, with a kernel and a pump that are not there: what would be done to them is
// written down. Real ones: test/netns/daemon.test.ts.
import { existsSync, readFileSync } from "node:fs";
import t from "tap";
import { HopsackError } from "../../../src/errors.js";
import { leaseKey } from "../../../src/lease/lease.js";
import { formatPrefix, parsePrefix } from "../../../src/net/prefix.js";
import { lease } from "../../support/daemon-fixtures.js";
import { methods, Trial, until } from "../../support/daemon-trial.js";

/** A stop gives every step 0.6 s; how long it works is the machine's business. */
const STOP_LIMIT_MS = 10_000;
/** What the daemon lets others have their turn for, at least, after each publish. */
const SHORTEST_PAUSE_MS = 5;

const peerB = lease("10.244.200.0/24", "192.168.50.11", "b");

t.test("the start opens, plans, publishes, starts, and writes subnet.env when packets can flow", async (t) => {
  const trial = new Trial(t);
  trial.leases.put(peerB);
  trial.run();
  await trial.logged("ready");
  const address = `${formatPrefix(trial.own().subnet).replace("/24", "/32")}`;
  t.same(trial.deeds, ["check privileges", "open pump", `plan ${address}`, "publish 10.244.200.0/24", "start pump"]);
  t.match(readFileSync(trial.subnetFile, "utf8"), /^FLANNEL_NETWORK=10\.244\.0\.0\/16\n.*\nFLANNEL_MTU=1472\n/s);
  t.match(await trial.status(), { state: "ready", peers: [{ node: "b" }], store: { connected: true }, warnings: [] });
});

t.test("a mode that the kernel carries opens no pump, and follows the host's routes", async (t) => {
  const trial = new Trial(t);
  trial.leases.put({ ...peerB, attrs: { ...peerB.attrs, backendType: "host-gw" } });
  trial.run("--backend", "host-gw");
  await trial.logged("ready");
  t.same(trial.deeds, ["check privileges", "plan "]);
  t.same(trial.routes, []);
  t.match(readFileSync(trial.subnetFile, "utf8"), /^FLANNEL_MTU=1500$/m);
  t.match(await trial.status(), {
    device: null,
    peers: [],
    warnings: [/10\.244\.200\.0-24 of b is not used: .* not on the link/],
  });
  trial.reach = {
    onLink: ["192.168.50.0/24"].map(parsePrefix).filter((prefix) => prefix !== undefined),
    elsewhere: [],
    connected: [],
  };
  trial.events?.onHostChange();
  await trial.logged("forwarding_updated");
  t.same(trial.routes, ["10.244.200.0/24 eth0"]);
  t.match(await trial.status(), { peers: [{ node: "b" }], warnings: [] });
});

t.test("the end takes everything back in reverse order, and keeps subnet.env for the next start", async (t) => {
  const trial = new Trial(t);
  const ended = trial.run();
  await trial.logged("ready");
  trial.stopping.abort("SIGTERM");
  t.equal(await ended, "stopped");
  t.same(trial.deeds.slice(-3), ["stop pump", "take back plan", "close kernel"]);
  t.same(trial.leases.leases(), []);
  t.notOk(existsSync(trial.socket));
  t.ok(existsSync(trial.subnetFile));
});

t.test("--keep-lease leaves the lease in the store", async (t) => {
  const trial = new Trial(t);
  const ended = trial.run("--keep-lease");
  await trial.logged("ready");
  trial.stopping.abort("SIGTERM");
  await ended;
  t.equal(trial.leases.leases().length, 1);
});

t.test("the next start takes the subnet of subnet.env again", async (t) => {
  const first = new Trial(t);
  const ended = first.run();
  await first.logged("ready");
  const subnet = first.own().subnet;
  first.stopping.abort("SIGTERM");
  await ended;
  const second = new Trial(t);
  second.run("--subnet-file", first.subnetFile);
  await second.logged("ready");
  t.same(second.own().subnet, subnet);
});

t.test("a start that fails leaves neither lease, device, socket nor file", async (t) => {
  for (const step of ["privileges", "overlap", "pump", "setPlan", "publish"] as const) {
    const trial = new Trial(t);
    const fault = new HopsackError("KERNEL_REFUSED", `no ${step}`);
    trial.faults[step] = fault;
    t.equal(await trial.run(), fault, step);
    t.same(trial.leases.leases(), [], "lease");
    t.equal(trial.networkLinks.size, 0, "device");
    t.notOk(existsSync(trial.socket), "socket");
    t.notOk(existsSync(trial.subnetFile), "file");
  }
});

t.test("peers that come and go are published, and a mere renewal is not", async (t) => {
  const trial = new Trial(t);
  trial.run();
  await trial.logged("ready");
  trial.leases.put(peerB);
  await until("b is published", () => trial.deeds.at(-1) === "publish 10.244.200.0/24");
  trial.leases.put({ ...peerB, expiresAt: Date.now() + 5_000_000 });
  trial.leases.remove(peerB);
  await until("b is gone", () => trial.deeds.at(-1) === "publish ");
  t.equal(trial.deeds.filter((deed) => deed.startsWith("plan ")).length, 1, "the kernel's part did not change");
});

t.test("a thousand events make few publishes", async (t) => {
  const trial = new Trial(t);
  trial.run();
  await trial.logged("ready");
  const before = trial.deeds.length;
  const startedAt = performance.now();
  for (let n = 0; n < 1000; n++) {
    trial.leases.put(lease(`10.244.${n % 250}.${n < 500 ? 0 : 128}/25`, `172.16.${n >> 8}.${n & 255}`, `n${n}`));
    if (n % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const all = trial.leases.leases().length - 1;
  await until("all are published", () => (trial.deeds.at(-1)?.split(" ").length ?? 0) > all - 10);
  // A hundred times the daemon got its turn between them; how many publishes fit in depends on how slow the machine is.
  const most = 2 + (performance.now() - startedAt) / SHORTEST_PAUSE_MS;
  t.ok(trial.deeds.length - before <= most, `${trial.deeds.length - before} publishes`);
});

t.test("a lost lease is replaced, and device and subnet.env move to the new one", async (t) => {
  const trial = new Trial(t);
  trial.run();
  await trial.logged("ready");
  const old = trial.own();
  const thief = lease(formatPrefix(old.subnet), "192.168.50.66", "thief");
  trial.leases.put(thief);
  t.match(await trial.logged("lease_lost"), { level: "warn", code: "LEASE_LOST", reason: /belongs to thief/ });
  await trial.logged("lease_acquired", 2);
  const moved = trial.own();
  t.not(leaseKey(moved), leaseKey(old));
  const base = formatPrefix(moved.subnet).replace(".0/24", "");
  await until("the device has the new address", () => trial.deeds.includes(`plan ${base}.0/32`));
  await until("subnet.env has the new subnet", () => readFileSync(trial.subnetFile, "utf8").includes(`${base}.1/24`));
  await until("the thief is a peer", () => trial.deeds.at(-1) === `publish ${formatPrefix(old.subnet)}`);
});

t.test("the own lease deleted by hand is taken again, the same subnet", async (t) => {
  const trial = new Trial(t);
  trial.run();
  await trial.logged("ready");
  const old = trial.own();
  trial.leases.remove(old);
  await trial.logged("lease_acquired", 2);
  t.equal(leaseKey(trial.own()), leaseKey(old));
});

t.test("two hosts with one public IP: the first stays in force and a warning says so", async (t) => {
  const trial = new Trial(t);
  trial.leases.put(peerB);
  trial.run();
  await trial.logged("ready");
  trial.leases.put(lease("10.244.201.0/24", "192.168.50.11", "thief"));
  t.match(await trial.logged("lease_conflict"), { level: "warn", reason: /one public IP 192\.168\.50\.11/ });
  t.match(await trial.status(), { peers: [{ node: "b" }], warnings: [/one public IP/] });
  t.equal(trial.deeds.filter((deed) => deed.startsWith("publish")).length, 1);
});

t.test("a store that goes away is waited for, with the peers known so far", async (t) => {
  let isGone = false;
  const trial = new Trial(t, (store) => ({
    ...methods(store),
    watch: async function* (signal) {
      if (isGone) throw new HopsackError("STORE_UNAVAILABLE", "the store is gone", { retryable: true });
      for await (const batch of store.watch(signal)) {
        yield batch;
        if (isGone) throw new HopsackError("STORE_UNAVAILABLE", "the store is gone", { retryable: true });
      }
    },
  }));
  trial.leases.put(peerB);
  trial.run();
  await trial.logged("ready");
  isGone = true;
  trial.leases.put(lease("10.244.201.0/24", "192.168.50.12", "c"));
  t.match(await trial.logged("trouble"), { topic: "store", code: "STORE_UNAVAILABLE", reason: "the store is gone" });
  t.match(await trial.status(), { state: "ready", store: { connected: false }, warnings: ["the store is gone"] });
  isGone = false;
  await trial.logged("trouble_over");
  t.match(await trial.status(), { store: { connected: true }, warnings: [] });
  t.equal(trial.lines.filter((line) => line.event === "trouble").length, 1, "one line for one reason");
});

t.test("a store that is not there yet is waited for, and a signal ends the wait", async (t) => {
  const trial = new Trial(t, (store) => ({
    ...methods(store),
    readConfig: async () => {
      throw new HopsackError("STORE_UNAVAILABLE", "not mounted", { retryable: true });
    },
  }));
  const ended = trial.run();
  await trial.logged("trouble");
  t.match(await trial.status(), { state: "waiting", warnings: ["not mounted"] });
  trial.stopping.abort("SIGTERM");
  t.equal(await ended, "stopped");
  t.same(trial.deeds, ["check privileges", "close kernel"]);
});

t.test("a store that hangs at the start does not keep a signal from ending the daemon", async (t) => {
  const trial = new Trial(t, (store) => ({ ...methods(store), readConfig: () => new Promise(() => {}) }));
  const ended = trial.run();
  await trial.logged("underlay_chosen");
  trial.stopping.abort("SIGTERM");
  t.equal(await ended, "stopped");
  t.notOk(existsSync(trial.socket));
});

t.test("a store that never answers does not hold up the end for long", async (t) => {
  const trial = new Trial(t, (store) => ({ ...methods(store), release: () => new Promise(() => {}) }));
  const ended = trial.run();
  await trial.logged("ready");
  const begin = Date.now();
  trial.stopping.abort("SIGTERM");
  t.equal(await ended, "stopped");
  const milliseconds = Date.now() - begin;
  t.comment(`stopped in ${milliseconds} ms`);
  t.ok(milliseconds < STOP_LIMIT_MS, `${milliseconds} ms`);
  t.match(await trial.logged("stop_step_failed"), { step: "lease" });
});

t.test("a device that disappears is made anew with everything on it", async (t) => {
  const trial = new Trial(t);
  trial.leases.put(peerB);
  trial.run();
  await trial.logged("ready");
  trial.deeds.length = 0;
  trial.networkLinks.clear();
  trial.faults.pump = new HopsackError("DEVICE_BUSY", "not yet");
  trial.events?.onLinkGone("flannel0");
  await trial.logged("device_lost");
  t.match(await trial.logged("trouble"), { topic: "forwarding", reason: "not yet" });
  trial.faults = {};
  await until("the new pump runs", () => trial.deeds.at(-1) === "start pump");
  t.match(trial.deeds, ["stop pump", "open pump", /^plan /, "publish 10.244.200.0/24", "start pump"]);
});

t.test("what the kernel could not be made to hold in the background is planned again", async (t) => {
  const trial = new Trial(t);
  trial.run();
  await trial.logged("ready");
  trial.deeds.length = 0;
  trial.events?.onFault(new HopsackError("KERNEL_REFUSED", "no route"));
  t.match(await trial.logged("repair_failed"), { level: "warn", code: "KERNEL_REFUSED", reason: "no route" });
  await until("the plan is made again", () => trial.deeds.length > 0);
  t.match(trial.deeds, [/^plan /]);
});

t.test("a link of others that disappears changes nothing", async (t) => {
  const trial = new Trial(t);
  trial.run();
  await trial.logged("ready");
  const before = trial.deeds.length;
  trial.events?.onLinkGone("flannel0");
  trial.leases.put(peerB);
  await until("b is published", () => trial.deeds.at(-1) === "publish 10.244.200.0/24");
  t.same(trial.deeds.slice(before), ["publish 10.244.200.0/24"]);
});

t.test("a bug in a loop ends the daemon with its error, and everything is taken back", async (t) => {
  const trial = new Trial(t);
  const ended = trial.run();
  await trial.logged("ready");
  const bug = new TypeError("a bug");
  trial.faults.publish = bug;
  trial.leases.put(peerB);
  t.equal(await ended, bug);
  t.same(trial.deeds.slice(-3), ["stop pump", "take back plan", "close kernel"]);
  t.notOk(existsSync(trial.socket));
});
