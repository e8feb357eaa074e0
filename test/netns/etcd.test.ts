// The etcd store on bad days, against real clusters: races, lost members, compaction, restored backups, refusals.
//
//   EtcdLeaseStore ── Relay (cut, swallow) ── etcd m1 [m2 m3] ── etcdctl (what people and flannel do)
import { setTimeout as delay } from "node:timers/promises";
import t from "tap";
import { HopsackError } from "../../src/errors.js";
import { type LeaseAttrs, type LeaseEvent, leaseKey, type TimedLease } from "../../src/lease/lease.js";
import { formatLeaseAttrs } from "../../src/lease/lease-json.js";
import { LeaseTable } from "../../src/lease/lease-table.js";
import { EtcdLeaseStore } from "../../src/store/etcd.js";
import type { EtcdSettings } from "../../src/store/etcd-settings.js";
import { EtcdCluster } from "../support/etcd.js";
import { inOwnNamespace, until } from "../support/netns.js";
import { Relay } from "../support/relay.js";

const PREFIX = "/coreos.com/network";
const WAIT_MS = 60_000;
/** Long enough for two hosts to take theirs, and for one to renew its own in time, on a slow machine. */
const SHORT_TTL_SECONDS = 6;
/** Long enough to enter two leases again. */
const SHORT_GRACE_MS = 6000;
type Tap = Parameters<Parameters<typeof t.test>[0]>[0];

function attrs(number: number, node: string | null = `h${number}`): LeaseAttrs {
  const publicIp = `192.168.${50 + (number >> 8)}.${number & 255}`;
  return { publicIp, publicIpv6: null, backendType: "udp", backendData: null, backendV6Data: null, node };
}

/** A cluster of its own for one test. */
async function clusterFor(t: Tap, config: unknown, members = 1): Promise<EtcdCluster> {
  const cluster = await EtcdCluster.start({ members });
  t.teardown(() => cluster.killAll());
  cluster.put(`${PREFIX}/config`, JSON.stringify(config));
  return cluster;
}

interface Opened {
  readonly store: EtcdLeaseStore;
  readonly warnings: string[];
}

function open(t: Tap, settings: EtcdSettings, more: { ttl?: number; graceMs?: number } = {}): Opened {
  const warnings: string[] = [];
  const { ttl = 3600, graceMs = 60_000 } = more;
  const onWarning = (message: string) => warnings.push(message);
  const store = new EtcdLeaseStore({ settings, leaseTtlSeconds: ttl, netConfigPath: null, onWarning, graceMs });
  t.teardown(() => store.close());
  return { store, warnings };
}

async function acquire(store: EtcdLeaseStore, host: LeaseAttrs): Promise<TimedLease> {
  return store.acquire({ config: await store.readConfig(), attrs: host, previous: null });
}

/** A reader of the watch that begins it again after each failure, as the daemon does, and writes down every event. */
class Watcher {
  readonly table = new LeaseTable();
  readonly events: string[] = [];
  failures = 0;
  batches = 0;
  readonly #abort = new AbortController();

  constructor(t: Tap, store: EtcdLeaseStore) {
    const done = this.#run(store);
    t.teardown(async () => {
      this.#abort.abort();
      await done;
    });
  }

  keys(): string[] {
    return this.table.list().map(leaseKey).sort();
  }

  async #run(store: EtcdLeaseStore): Promise<void> {
    while (!this.#abort.signal.aborted) {
      try {
        for await (const batch of store.watch(this.#abort.signal, this.table.list())) this.#take(batch);
      } catch (error) {
        if (!(error instanceof HopsackError) || !error.retryable) throw error;
        this.failures++;
        await delay(50);
      }
    }
  }

  #take(batch: readonly LeaseEvent[]): void {
    this.batches++;
    for (const { kind, lease } of batch) {
      this.events.push(`${kind === "added" ? "+" : "-"}${leaseKey(lease)} ${formatLeaseAttrs(lease.attrs)}`);
    }
    this.table.apply(batch);
  }
}

/** What etcd holds under subnets/, as the watcher should see it. */
function storedKeys(cluster: EtcdCluster): string[] {
  const folder = `${PREFIX}/subnets/`;
  return Object.keys(cluster.contents(folder))
    .map((key) => key.slice(folder.length))
    .sort();
}

function putLease(cluster: EtcdCluster, number: number, more: Partial<LeaseAttrs> = {}): void {
  cluster.put(`${PREFIX}/subnets/10.244.${number}.0-24`, formatLeaseAttrs({ ...attrs(number), ...more }));
}

inOwnNamespace(t, import.meta.url, () => {
  t.test("keys and values are flannel's to the byte", async (t) => {
    const cluster = await clusterFor(t, {
      Network: "10.244.0.0/16",
      SubnetMin: "10.244.30.0",
      SubnetMax: "10.244.30.0",
    });
    const { store } = open(t, cluster.settings());
    await acquire(store, attrs(1));
    const udp = '{"PublicIP":"192.168.50.1","PublicIPv6":null}';
    t.same(cluster.contents(`${PREFIX}/subnets/`), { [`${PREFIX}/subnets/10.244.30.0-24`]: udp });
    const lease = await acquire(store, {
      ...attrs(1),
      backendType: "vxlan",
      backendData: { VNI: 1, VtepMAC: "26:8e:4e:aa:08:d3" },
    });
    const vxlan =
      '{"PublicIP":"192.168.50.1","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"26:8e:4e:aa:08:d3"}}';
    t.same(cluster.contents(`${PREFIX}/subnets/`), { [`${PREFIX}/subnets/10.244.30.0-24`]: vxlan });
    t.equal(cluster.leaseIds().length, 1);
    await store.release(lease);
    t.same(cluster.contents(`${PREFIX}/subnets/`), {});
    t.same(cluster.leaseIds(), [], "no etcd lease is left behind");
  });

  t.test(
    "fifty hosts that start at once get fifty subnets; of sixty on fifty subnets ten are told who holds what",
    async (t) => {
      const hosts = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
      const cluster = await clusterFor(t, { Network: "10.244.0.0/16" });
      const start = performance.now();
      const leases = await Promise.all(hosts(50).map((n) => acquire(open(t, cluster.settings()).store, attrs(n))));
      t.comment(`50 acquirers: ${Math.round(performance.now() - start)} ms`);
      t.equal(new Set(leases.map(leaseKey)).size, 50);
      t.equal(cluster.leaseIds().length, 50);

      const tight = { Network: "10.245.0.0/16", SubnetMin: "10.245.1.0", SubnetMax: "10.245.50.0" };
      cluster.put("/tight/config", JSON.stringify(tight));
      const settings = cluster.settings({ prefix: "/tight" });
      const racers = await Promise.allSettled(hosts(60).map((n) => acquire(open(t, settings).store, attrs(n))));
      const won = racers.flatMap((racer) => (racer.status === "fulfilled" ? leaseKey(racer.value) : []));
      const lost = racers.flatMap((racer) => (racer.status === "rejected" ? [racer.reason] : []));
      t.comment(`60 acquirers on 50 subnets: ${won.length} leases, ${lost.length} × ${lost[0]?.code}`);
      t.equal(new Set(won).size, 50);
      t.equal(lost.length, 10);
      for (const reason of lost)
        t.match(reason, { code: "NETWORK_FULL", message: /taken 10\.245\.\d+\.0\/24 by 192\.168\.50\.\d+/ });
      t.equal(cluster.leaseIds().length, 100, "a loser leaves no etcd lease behind");
    },
  );

  t.test("one host restarted twenty times leaves one key and one etcd lease", async (t) => {
    const cluster = await clusterFor(t, { Network: "10.244.0.0/16" });
    const keys = new Set<string>();
    for (let start = 0; start < 20; start++) {
      const { store } = open(t, cluster.settings());
      keys.add(leaseKey(await acquire(store, attrs(1))));
      await store.close(); // without a release, as after SIGKILL
    }
    t.equal(keys.size, 1);
    t.same(storedKeys(cluster), [...keys]);
    t.equal(cluster.leaseIds().length, 1);
    const { store } = open(t, cluster.settings(), { ttl: 7200 });
    const lease = await acquire(store, attrs(1));
    t.ok((lease.expiresAt ?? 0) > Date.now() + 7_000_000, "another --lease-ttl takes effect at the next start");
    t.equal(cluster.leaseIds().length, 1, "and replaces the etcd lease");
    t.same(storedKeys(cluster), [...keys]);
  });

  t.test("a reservation is still one after ten daemon restarts, with and without a release", async (t) => {
    const cluster = await clusterFor(t, { Network: "10.244.0.0/16" });
    putLease(cluster, 7);
    for (let start = 0; start < 10; start++) {
      const { store } = open(t, cluster.settings());
      const lease = await acquire(store, attrs(7));
      t.equal(leaseKey(lease), "10.244.7.0-24");
      t.equal(lease.expiresAt, null);
      t.equal((await store.renew(lease)).expiresAt, null);
      if (start % 2 === 0) await store.release(lease);
      await store.close();
    }
    t.same(storedKeys(cluster), ["10.244.7.0-24"]);
    t.same(cluster.leaseIds(), [], "no etcd lease can take it away");
  });

  t.test("a lease that nobody renews runs out by itself, and a renewed one does not", async (t) => {
    const cluster = await clusterFor(t, { Network: "10.244.0.0/16" });
    const short = open(t, cluster.settings(), { ttl: SHORT_TTL_SECONDS }).store;
    const kept = open(t, cluster.settings(), { ttl: SHORT_TTL_SECONDS }).store;
    const watcher = new Watcher(t, open(t, cluster.settings()).store);
    const abandoned = await acquire(short, attrs(1));
    let lease = await acquire(kept, attrs(2));
    await until("both are seen", () => watcher.table.size === 2);
    while (watcher.table.size === 2) {
      lease = await kept.renew(lease);
      await delay(100);
    }
    t.same(watcher.keys(), [leaseKey(lease)]);
    await t.rejects(short.renew(abandoned), { code: "LEASE_LOST" });
  });

  t.test("a revoked key: the host takes another lease and keeps its one etcd lease", async (t) => {
    const cluster = await clusterFor(t, { Network: "10.244.0.0/16" });
    const { store } = open(t, cluster.settings());
    const lease = await acquire(store, attrs(1));
    cluster.etcdctl(`del ${PREFIX}/subnets/${leaseKey(lease)}`);
    await t.rejects(store.renew(lease), { code: "LEASE_LOST", message: /is no longer in the store/ });
    const next = await acquire(store, attrs(1));
    t.same(storedKeys(cluster), [leaseKey(next)]);
    t.equal(cluster.leaseIds().length, 1, "the etcd lease that lost its key carries the new one");
  });

  t.test(
    "a lease that somebody makes a reservation leaves its etcd lease behind only until the next renewal",
    async (t) => {
      const cluster = await clusterFor(t, { Network: "10.244.0.0/16" });
      const { store } = open(t, cluster.settings());
      const lease = await acquire(store, attrs(1));
      cluster.put(`${PREFIX}/subnets/${leaseKey(lease)}`, formatLeaseAttrs(lease.attrs));
      t.equal(cluster.leaseIds().length, 1, "etcdctl put takes the key off its lease");
      t.equal((await store.renew(lease)).expiresAt, null);
      t.same(cluster.leaseIds(), []);
      t.same(storedKeys(cluster), [leaseKey(lease)]);
    },
  );

  t.test(
    "three members, 200 changes, the leader killed and a member frozen: nothing lost, nothing twice",
    async (t) => {
      const cluster = await clusterFor(t, { Network: "10.244.0.0/16" }, 3);
      const watcher = new Watcher(t, open(t, cluster.settings()).store);
      await until("the watch began", () => watcher.batches > 0);
      const expected: string[] = [];
      const change = (step: number) => {
        const number = 1 + (step % 40);
        if (Math.floor(step / 40) % 2 === 1 && number % 2 === 0) {
          const gone = cluster.contents(`${PREFIX}/subnets/10.244.${number}.0-24`);
          expected.push(`-10.244.${number}.0-24 ${Object.values(gone)[0]}`);
          cluster.etcdctl(`del ${PREFIX}/subnets/10.244.${number}.0-24`);
          return;
        }
        const more = { ...attrs(number), publicIp: `192.168.60.${step % 250}` };
        expected.push(`+10.244.${number}.0-24 ${formatLeaseAttrs(more)}`);
        putLease(cluster, number, more);
      };
      let killed = -1;
      let frozenAt = 0;
      for (let step = 0; step < 200; step++) {
        if (step === 60) {
          killed = cluster.leader();
          await cluster.kill(killed);
          await cluster.writable();
        }
        if (step === 120) {
          await cluster.start(killed);
          cluster.freeze((killed + 1) % 3);
          frozenAt = Date.now();
          await cluster.writable();
        }
        change(step);
      }
      while (Date.now() - frozenAt < 10_000) await delay(50); // what is asked for: frozen for ten seconds
      cluster.thaw((killed + 1) % 3);
      await cluster.ready();
      await until("every change has arrived", () => watcher.events.length >= expected.length, WAIT_MS);
      t.same(watcher.events, expected, "every change once, in order");
      t.same(watcher.keys(), storedKeys(cluster));
      t.comment(`200 changes, ${watcher.batches} batches, watch begun anew ${watcher.failures} times by its reader`);
    },
  );

  t.test("compacted while cut off: the table equals etcd's, and only true differences were told", async (t) => {
    const cluster = await clusterFor(t, { Network: "10.244.0.0/16" });
    const relay = await Relay.start(cluster.endpoints[0] ?? "");
    t.teardown(() => relay.close());
    const { store } = open(t, cluster.settings({ endpoints: [relay.url] }));
    const own = await acquire(store, attrs(100));
    for (const number of [1, 2, 3]) putLease(cluster, number);
    const watcher = new Watcher(t, store);
    await until("all are known", () => watcher.table.size === 4);
    watcher.events.length = 0;
    relay.cut();
    await until("the watch noticed", () => watcher.failures > 0);
    for (let round = 0; round < 5; round++) putLease(cluster, 1, { publicIp: `192.168.70.${round}` });
    cluster.etcdctl(`del ${PREFIX}/subnets/10.244.2.0-24`);
    putLease(cluster, 4);
    cluster.etcdctl(`compact ${cluster.revision()}`);
    relay.heal();
    await until("the last change has arrived", () => watcher.keys().includes("10.244.4.0-24"));
    t.same(watcher.keys(), storedKeys(cluster));
    t.same(
      watcher.events.map((event) => event.split(" ")[0]),
      ["-10.244.2.0-24", "+10.244.1.0-24", "+10.244.4.0-24"],
    );
    t.ok(watcher.keys().includes(leaseKey(own)), "the own lease was never told as removed");
  });

  t.test("cut off and back: the watch goes on where it was, without a listing", async (t) => {
    const cluster = await clusterFor(t, { Network: "10.244.0.0/16" });
    const relay = await Relay.start(cluster.endpoints[0] ?? "");
    t.teardown(() => relay.close());
    const watcher = new Watcher(t, open(t, cluster.settings({ endpoints: [relay.url] })).store);
    putLease(cluster, 1);
    await until("it is known", () => watcher.table.size === 1);
    for (let round = 2; round < 6; round++) {
      const failures = watcher.failures;
      relay.cut();
      putLease(cluster, round);
      cluster.etcdctl(`del ${PREFIX}/subnets/10.244.${round}.0-24`);
      await until("the watch noticed", () => watcher.failures > failures);
      relay.heal();
      const last = `-10.244.${round}.0-24`;
      await until("the last change has arrived", () => watcher.events.at(-1)?.startsWith(last) === true);
    }
    t.equal(watcher.events.length, 9, "changes that a listing would not show were told one by one");
  });

  t.test("a member that falls silent is noticed and left", async (t) => {
    const cluster = await clusterFor(t, { Network: "10.244.0.0/16" });
    const relay = await Relay.start(cluster.endpoints[0] ?? "");
    t.teardown(() => relay.close());
    const settings = cluster.settings({ endpoints: [relay.url, ...cluster.endpoints] });
    const watcher = new Watcher(t, open(t, settings).store);
    putLease(cluster, 1);
    await until("it is known", () => watcher.table.size === 1);
    relay.swallow();
    const start = performance.now();
    putLease(cluster, 2);
    await until("the change came by the other way", () => watcher.table.size === 2, WAIT_MS);
    t.comment(`noticed and left after ${Math.round(performance.now() - start)} ms`);
    t.equal(watcher.failures, 0);
  });

  t.test("an empty cluster in the place of a full one is reported and not obeyed at once", async (t) => {
    const cluster = await clusterFor(t, { Network: "10.244.0.0/16" });
    for (let number = 1; number <= 20; number++) putLease(cluster, number);
    const { store, warnings } = open(t, cluster.settings(), { graceMs: SHORT_GRACE_MS });
    const own = await acquire(store, attrs(100));
    const watcher = new Watcher(t, store);
    await until("all are known", () => watcher.table.size === 21);
    watcher.events.length = 0;
    await cluster.wipe();
    await cluster.startAll();
    await until("the loss is reported", () => warnings.length > 0, WAIT_MS);
    t.match(warnings[0], /no longer shows 20 leases under .*restore.*stay in force for 6 s/);
    t.same(
      watcher.events.map((event) => event.split(" ")[0]),
      [`-${leaseKey(own)}`],
      "only the own one, for the daemon to enter it again",
    );
    putLease(cluster, 5);
    putLease(cluster, 6, { publicIp: "192.168.70.6" });
    await until("the time is over", () => watcher.table.size === 2, WAIT_MS);
    t.same(watcher.keys(), ["10.244.5.0-24", "10.244.6.0-24"]);
    t.notOk(
      watcher.events.some((event) => event.includes("10.244.5.0-24")),
      "a lease that came back was never gone",
    );
    t.equal(warnings.length, 1);
  });

  t.test("keys and values that are not leases disturb nobody and are named", async (t) => {
    const cluster = await clusterFor(t, { Network: "10.244.0.0/16" });
    cluster.put(`${PREFIX}/subnets/notes`, "hello");
    cluster.put(`${PREFIX}/subnets/10.244.9.0-24`, '{"PublicIP":"banana"}');
    putLease(cluster, 1);
    const { store, warnings } = open(t, cluster.settings());
    const watcher = new Watcher(t, store);
    await until("the good one is known", () => watcher.table.size === 1);
    t.same(warnings.length, 2);
    t.match(warnings, [
      /notes is not named after a subnet/,
      /10\.244\.9\.0-24: PublicIP "banana" is not an IPv4 address/,
    ]);
    cluster.put(`${PREFIX}/subnets/10.244.1.0-24`, "{");
    await until("the damage is reported", () => warnings.length === 3);
    t.match(warnings[2], /10\.244\.1\.0-24 is not valid JSON/);
    t.same(watcher.keys(), ["10.244.1.0-24"], "a lease whose value was damaged stays as it was");
    const full = { ...attrs(3) };
    const lease = await acquire(store, full);
    t.not(leaseKey(lease), "10.244.9.0-24", "an unreadable entry's subnet is taken");
  });

  t.test("leases are listed in pages, ten thousand with a handful of requests", async (t) => {
    const cluster = await clusterFor(t, { Network: "10.0.0.0/8" });
    await cluster.putMany(PREFIX, 10_000);
    const requests = async () =>
      Number(/grpc_server_started_total\{grpc_method="Range".*\} (\S+)/.exec(await cluster.metrics())?.[1] ?? 0);
    const before = await requests();
    const leases = await open(t, cluster.settings()).store.list();
    const asked = (await requests()) - before;
    t.equal(leases.length, 10_000);
    t.comment(`${asked} range requests`);
    t.ok(asked <= 11);
  });
});
