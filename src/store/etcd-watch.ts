// Follows the leases in etcd from a revision on, exactly once per change, across broken connections, compaction and restored
// clusters. Ends with an error when no member answers; begun again it goes on from where it was. Used by etcd.ts only.
import { type Lease, type LeaseEvent, leaseKey } from "../lease/lease.js";
import type { EtcdClient, KeyEvent, KeyValue, WatchLink } from "./etcd-client.js";
import { configKey, readEntry, subnetsFolder } from "./etcd-entries.js";
import { byKey, leaseChanges } from "./lease-changes.js";
import { StandingWarnings } from "./warnings.js";

export interface EtcdWatchOptions {
  readonly client: EtcdClient;
  readonly prefix: string;
  /** How long leases that are suddenly all gone stay in force. */
  readonly graceMs: number;
  readonly onWarning: (message: string) => void;
  readonly onConfigChange: () => void;
  /** Whether this host took the lease through this store: its loss is told at once, the daemon can do something about it. */
  readonly isOwn: (key: string) => boolean;
}

/** A connection that breaks sooner is no reason to try again at once. */
const SHORTEST_WATCH_MS = 1000;

export class EtcdWatch {
  readonly #options: EtcdWatchOptions;
  readonly #warnings: StandingWarnings;
  /** Faults of single keys, by key. */
  readonly #faults = new Map<string, string>();
  /** Up to which revision of which cluster `#stored` is true; null: before the first listing. */
  #position: { clusterId: string; revision: number } | null = null;
  /** The changes since `#position` are no longer to be had. */
  #isCompacted = false;
  /** What etcd holds, as far as it can be read. */
  #stored = new Map<string, Lease>();
  /** Gone from etcd, but not believed before the time has come. */
  readonly #held = new Set<string>();
  #heldUntil = 0;

  constructor(options: EtcdWatchOptions) {
    this.#options = options;
    this.#warnings = new StandingWarnings(options.onWarning);
  }

  /** First what differs from `known`, then every change. @throws STORE_UNAVAILABLE, retryable */
  async *run(known: readonly Lease[], signal: AbortSignal): AsyncGenerator<LeaseEvent[], void> {
    const told = byKey(known);
    for (let isFirst = true; !signal.aborted; isFirst = false) {
      let openedAt = Number.POSITIVE_INFINITY;
      try {
        const link = await this.#options.client.openWatch(`${this.#options.prefix}/`);
        await this.#catchUp(link, told);
        openedAt = performance.now();
        const batch = this.#tell(told);
        if (signal.aborted) return;
        if (isFirst || batch.length > 0) yield batch;
        yield* this.#follow(link, told, signal);
      } catch (error) {
        if (signal.aborted) return;
        // nobody answers (however long that took to find out), or not for long
        if (performance.now() - openedAt < SHORTEST_WATCH_MS) throw error;
      }
    }
  }

  /** Lists everything if the changes since `#position` cannot be had. */
  async #catchUp(link: WatchLink, told: ReadonlyMap<string, Lease>): Promise<void> {
    const position = this.#position;
    const isSameHistory =
      position !== null && position.clusterId === link.clusterId && position.revision <= link.revision;
    if (isSameHistory && !this.#isCompacted) return;
    const { clusterId, revision, keyValues } = await this.#options.client.list(subnetsFolder(this.#options.prefix));
    this.#faults.clear();
    const before = this.#stored;
    this.#stored = new Map();
    for (const keyValue of keyValues.toSorted((a, b) => a.createRevision - b.createRevision))
      this.#put(keyValue, before);
    this.#warnings.update([...this.#faults.values()]);
    this.#position = { clusterId, revision };
    this.#isCompacted = false;
    if (position !== null) this.#options.onConfigChange(); // among what was missed may be the configuration
    const others = [...this.#stored.keys()].filter((key) => !this.#options.isOwn(key));
    const isDoubtful = position === null ? others.length === 0 : !isSameHistory;
    if (isDoubtful) this.#holdBack(told);
  }

  /**
   * A restored or emptied cluster is not obeyed at once: its hosts are about to enter their leases again, and whoever
   * withdraws their routes meanwhile does what no lease change asked for.
   */
  #holdBack(told: ReadonlyMap<string, Lease>): void {
    const missing = [...told.keys()].filter(
      (key) => !this.#stored.has(key) && !this.#options.isOwn(key) && !this.#held.has(key),
    );
    if (missing.length === 0) return;
    for (const key of missing) this.#held.add(key);
    this.#heldUntil = performance.now() + this.#options.graceMs;
    const count = missing.length === 1 ? "1 lease" : `${missing.length} leases`;
    const seconds = Math.round(this.#options.graceMs / 1000);
    this.#options.onWarning(
      `etcd no longer shows ${count} under ${subnetsFolder(this.#options.prefix)} that it had a moment ago, as after a restore from a backup; ` +
        `they stay in force for ${seconds} s, for their hosts to enter them again`,
    );
  }

  /** Brings `told` to what is stored, but for what is held back; the events that do it. */
  #tell(told: Map<string, Lease>): LeaseEvent[] {
    if (performance.now() >= this.#heldUntil) this.#held.clear();
    for (const key of this.#held) if (this.#stored.has(key) || !told.has(key)) this.#held.delete(key);
    const batch = leaseChanges(told, [...this.#stored.values()]).filter(
      ({ kind, lease }) => kind === "added" || !this.#held.has(leaseKey(lease)),
    );
    for (const { kind, lease } of batch) {
      if (kind === "added") told.set(leaseKey(lease), lease);
      else told.delete(leaseKey(lease));
    }
    return batch;
  }

  /** Until the connection breaks or the changes from here on are compacted. */
  async *#follow(link: WatchLink, told: Map<string, Lease>, signal: AbortSignal): AsyncGenerator<LeaseEvent[], void> {
    const ending = new AbortController();
    const either = AbortSignal.any([signal, ending.signal]);
    const messages = link.messages((this.#position?.revision ?? 0) + 1, either)[Symbol.asyncIterator]();
    const fetch = () => {
      const next = messages.next();
      next.catch(() => undefined); // awaited only if the reader reads on
      return next;
    };
    try {
      let next = fetch();
      for (;;) {
        const result = await this.#nextOrHoldOver(next);
        if (result === "hold over") {
          yield this.#tell(told);
          continue;
        }
        if (result.done === true) return;
        next = fetch();
        const message = result.value;
        if (message.kind === "compacted") {
          this.#isCompacted = true;
          return;
        }
        if (message.kind === "progress") this.#advance(message.revision);
        else {
          const batch = this.#apply(message.events, told);
          if (batch.length > 0) yield batch;
        }
      }
    } finally {
      ending.abort();
    }
  }

  /** The next message, or word that the time of what is held back is over. */
  async #nextOrHoldOver<T>(next: Promise<T>): Promise<T | "hold over"> {
    if (this.#held.size === 0) return next;
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<"hold over">((resolve) => {
      timer = setTimeout(() => resolve("hold over"), Math.max(0, this.#heldUntil - performance.now()));
    });
    return Promise.race([next, over]).finally(() => clearTimeout(timer));
  }

  /** Every event one change; none twice, whatever a member repeats. */
  #apply(events: readonly KeyEvent[], told: Map<string, Lease>): LeaseEvent[] {
    const { prefix, onConfigChange } = this.#options;
    const since = this.#position?.revision ?? 0;
    const batch: LeaseEvent[] = [];
    for (const { isPut, keyValue } of events) {
      if (keyValue.modRevision <= since) continue;
      this.#advance(keyValue.modRevision);
      if (keyValue.key === configKey(prefix)) onConfigChange();
      if (!keyValue.key.startsWith(subnetsFolder(prefix))) continue;
      if (isPut) this.#put(keyValue, this.#stored);
      else this.#remove(keyValue);
      batch.push(...this.#tellOne(keyValue, told));
    }
    this.#warnings.update([...this.#faults.values()]);
    return batch;
  }

  #tellOne({ key: etcdKey }: KeyValue, told: Map<string, Lease>): LeaseEvent[] {
    const key = etcdKey.slice(subnetsFolder(this.#options.prefix).length);
    const lease = this.#stored.get(key);
    const before = told.get(key);
    this.#held.delete(key); // whatever happened to it, it was meant
    if (lease !== undefined) {
      told.set(key, lease);
      return leaseChanges(before === undefined ? new Map() : byKey([before]), [lease]);
    }
    told.delete(key);
    return before === undefined ? [] : [{ kind: "removed", lease: before }];
  }

  /** A value that cannot be read leaves a lease that was known as it was: nobody else can hold its key. */
  #put(keyValue: KeyValue, before: ReadonlyMap<string, Lease>): void {
    const { lease, pair, fault } = readEntry(keyValue, this.#options.prefix);
    if (fault === null) this.#faults.delete(keyValue.key);
    else this.#faults.set(keyValue.key, fault);
    if (pair === null) return;
    const kept = lease ?? before.get(leaseKey(pair));
    if (kept !== undefined) this.#stored.set(leaseKey(pair), kept);
  }

  #remove({ key }: KeyValue): void {
    this.#faults.delete(key);
    this.#stored.delete(key.slice(subnetsFolder(this.#options.prefix).length));
  }

  #advance(revision: number): void {
    if (this.#position !== null && revision > this.#position.revision) this.#position = { ...this.#position, revision };
  }
}
