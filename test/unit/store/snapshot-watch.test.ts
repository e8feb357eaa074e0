// store/snapshot-watch: what the contract suite cannot show from outside: failing listings and renewed subscriptions.
import t from "tap";
import { type Lease, leaseKey } from "../../../src/lease/lease.js";
import { type SnapshotSource, watchSnapshots } from "../../../src/store/snapshot-watch.js";
import { reservation } from "../../contract/lease-store.js";
import { ManualClock } from "../../contract/manual-clock.js";

class FakeSource implements SnapshotSource {
  readonly clock = new ManualClock();
  readonly relistMs = 10_000;
  leases: Lease[] = [];
  subscriptions = 0;
  active = 0;
  failure: Error | null = null;

  async list(): Promise<Lease[]> {
    if (this.failure !== null) throw this.failure;
    return this.leases;
  }

  async subscribe(): Promise<() => void> {
    this.subscriptions++;
    this.active++;
    return () => {
      this.active--;
    };
  }
}

t.test("changes that nobody signalled are found by the periodic listing, under a fresh subscription", async (t) => {
  const source = new FakeSource();
  const watch = watchSnapshots(source, [], []);
  t.same((await watch.next()).value, []);
  const waiting = watch.next();
  source.leases = [reservation(1)];
  await new Promise(setImmediate);
  source.clock.advance(11);
  t.same((await waiting).value, [{ kind: "added", lease: reservation(1) }]);
  t.equal(source.subscriptions, 2);
  t.equal(source.active, 1);
  await watch.return();
  t.equal(source.active, 0, "and none is left behind");
});

t.test("a failing listing ends the watch with its error and its subscription", async (t) => {
  const source = new FakeSource();
  const watch = watchSnapshots(source, [], []);
  await watch.next();
  source.failure = new Error("stale mount");
  const waiting = watch.next();
  await new Promise(setImmediate);
  source.clock.advance(11);
  await t.rejects(waiting, { message: "stale mount" });
  t.equal(source.active, 0);
});

t.test("an abort frees the subscription even if nobody reads on", async (t) => {
  const source = new FakeSource();
  const abort = new AbortController();
  const watch = watchSnapshots(source, [abort.signal], []);
  await watch.next();
  abort.abort();
  t.equal(source.active, 0);
});

t.test("a lease that changes its key is removed before it is added", async (t) => {
  const source = new FakeSource();
  source.leases = [reservation(1)];
  const watch = watchSnapshots(source, [], []);
  await watch.next();
  const waiting = watch.next();
  source.leases = [reservation(2)];
  await new Promise(setImmediate);
  source.clock.advance(11);
  const events = (await waiting).value ?? [];
  t.same(
    events.map(({ kind, lease }) => kind + leaseKey(lease)),
    ["removed10.244.1.0-24", "added10.244.2.0-24"],
  );
  await watch.return();
});
