// The etcd store keeps the contract, against a real etcd; each daemon is a store of its own, each test has its own prefix.
import t from "tap";
import { type Lease, leaseKey, type TimedLease } from "../../src/lease/lease.js";
import { formatLeaseAttrs } from "../../src/lease/lease-json.js";
import { EtcdLeaseStore } from "../../src/store/etcd.js";
import { EtcdCluster } from "../support/etcd.js";
import { inOwnNamespace } from "../support/netns.js";
import {
  administrationContract,
  type LeasingHarness,
  leasingContract,
  type Tap,
  TTL_SECONDS,
  watchingContract,
} from "./lease-store.js";

inOwnNamespace(t, import.meta.url, () => {
  const started = EtcdCluster.start();
  let prefixes = 0;

  async function make(t: Tap, configText: string): Promise<LeasingHarness> {
    const cluster = await started;
    const prefix = `/test/${prefixes++}`;
    const keyOf = (lease: Lease) => `${prefix}/subnets/${leaseKey(lease)}`;
    const stores: EtcdLeaseStore[] = [];
    t.teardown(() => Promise.all(stores.map((store) => store.close())));
    cluster.put(`${prefix}/config`, configText);
    return {
      open: () => {
        const onWarning = (message: string) => t.fail(message);
        const settings = cluster.settings({ prefix });
        const store = new EtcdLeaseStore({ settings, leaseTtlSeconds: TTL_SECONDS, netConfigPath: null, onWarning });
        stores.push(store);
        return store;
      },
      put: async (lease) => cluster.put(keyOf(lease), formatLeaseAttrs(lease.attrs), grant(cluster, lease)),
      remove: async (lease) => {
        cluster.etcdctl(`del ${keyOf(lease)}`);
      },
      now: Date.now,
      toleranceMs: 5000,
      advance: () => undefined,
      // What etcd does itself when the time has come; a lease that really runs out: etcd.test.ts.
      expire: async () => {
        for (const id of cluster.leaseIds()) cluster.etcdctl(`lease revoke ${id}`);
      },
      asListed: (lease) => ({
        ...lease,
        attrs: { ...lease.attrs, node: null },
        expiresAt: lease.expiresAt === null ? null : "unknown",
      }),
    };
  }

  watchingContract("etcd", make);
  leasingContract("etcd", make);
  administrationContract("etcd", make);
  t.teardown(async () => (await started).killAll());
});

function grant(cluster: EtcdCluster, { expiresAt }: TimedLease): string | null {
  if (expiresAt === null) return null;
  const seconds = Math.ceil((expiresAt - Date.now()) / 1000);
  return /lease ([0-9a-f]+) granted/.exec(cluster.etcdctl(`lease grant ${seconds}`))?.[1] ?? null;
}
