// What the etcd store says and does when the way to the cluster, or the cluster's own rules, change under a running host.
import { setTimeout as delay } from "node:timers/promises";
import t from "tap";
import { HopsackError } from "../../src/errors.js";
import { EtcdLeaseStore, type EtcdStoreOptions } from "../../src/store/etcd.js";
import { EtcdClient } from "../../src/store/etcd-client.js";
import { EtcdCluster } from "../support/etcd.js";
import { inOwnNamespace, until } from "../support/netns.js";
import { Relay } from "../support/relay.js";

const PREFIX = "/coreos.com/network";
/** A member that says nothing is noticed after eight seconds, and asked again. */
const SILENCE_LIMIT_MS = 60_000;
type Tap = Parameters<Parameters<typeof t.test>[0]>[0];

async function clusterFor(t: Tap): Promise<EtcdCluster> {
  const cluster = await EtcdCluster.start();
  t.teardown(() => cluster.killAll());
  cluster.put(`${PREFIX}/config`, '{"Network":"10.244.0.0/16"}');
  return cluster;
}

async function relayTo(t: Tap, cluster: EtcdCluster): Promise<Relay> {
  const relay = await Relay.start(cluster.endpoints[0] ?? "");
  t.teardown(() => relay.close());
  return relay;
}

function open(t: Tap, options: Pick<EtcdStoreOptions, "settings" | "onConfigChange">): EtcdLeaseStore {
  const store = new EtcdLeaseStore({ leaseTtlSeconds: 3600, netConfigPath: null, ...options });
  t.teardown(() => store.close());
  return store;
}

/** Reads the watch of a store, and begins it again after each failure. */
class Reader {
  batches = 0;
  readonly failures: HopsackError[] = [];
  readonly #abort = new AbortController();

  constructor(t: Tap, store: EtcdLeaseStore) {
    const done = this.#run(store);
    t.teardown(async () => {
      this.#abort.abort();
      await done;
    });
  }

  async #run(store: EtcdLeaseStore): Promise<void> {
    while (!this.#abort.signal.aborted) {
      try {
        for await (const _batch of store.watch(this.#abort.signal)) this.batches++;
      } catch (error) {
        if (!(error instanceof HopsackError) || !error.retryable) throw error;
        this.failures.push(error);
        await delay(50);
      }
    }
  }
}

inOwnNamespace(t, import.meta.url, () => {
  t.test("a cluster that falls silent as a whole is reported to the reader of the watch", async (t) => {
    const cluster = await clusterFor(t);
    const relay = await relayTo(t, cluster);
    const reader = new Reader(t, open(t, { settings: cluster.settings({ endpoints: [relay.url] }) }));
    await until("the watch began", () => reader.batches > 0);
    relay.swallow();
    await until("it is reported", () => reader.failures.length > 0, SILENCE_LIMIT_MS);
    t.match(reader.failures[0], { code: "STORE_UNAVAILABLE", retryable: true, message: /^no etcd answers at/ });
  });

  t.test("an acquire that fails half-way, again and again, leaves one etcd lease at most", async (t) => {
    const cluster = await clusterFor(t);
    const store = open(t, { settings: cluster.settings() });
    const lost = () => Promise.reject(new HopsackError("STORE_UNAVAILABLE", "no answer", { retryable: true }));
    const faults = [
      t.intercept(EtcdClient.prototype, "commit", { value: lost }),
      t.intercept(EtcdClient.prototype, "revoke", { value: lost }),
    ];
    const attrs = { publicIp: "192.168.50.1", publicIpv6: null, backendType: "udp", node: "h1" };
    const request = {
      config: await store.readConfig(),
      attrs: { ...attrs, backendData: null, backendV6Data: null },
      previous: null,
    };
    for (let round = 0; round < 3; round++) await t.rejects(store.acquire(request), { message: "no answer" });
    t.equal(cluster.leaseIds().length, 1);
    for (const fault of faults) fault.restore();
    t.ok(await store.acquire(request));
    t.equal(cluster.leaseIds().length, 1, "and it is the one that is used in the end");
  });

  t.test("a configuration that changed among compacted changes is told", async (t) => {
    const cluster = await clusterFor(t);
    const relay = await relayTo(t, cluster);
    let told = 0;
    const onConfigChange = () => void told++;
    const settings = cluster.settings({ endpoints: [relay.url, ...cluster.endpoints] });
    const reader = new Reader(t, open(t, { settings, onConfigChange }));
    await until("the watch began", () => reader.batches > 0);
    await delay(1100); // a watch that breaks sooner is begun again by its reader, who asks for the configuration anyway
    const before = told;
    relay.swallow();
    cluster.put(`${PREFIX}/config`, '{"Network":"10.99.0.0/16"}');
    cluster.put("/elsewhere", "");
    cluster.etcdctl(`compact ${cluster.revision()}`);
    await until("it is told", () => told > before, SILENCE_LIMIT_MS);
    t.equal(reader.failures.length, 0, "the reader had no other way to know");
  });
});
