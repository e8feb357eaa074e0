// Leases in the memory of one process: the reference implementation, for tests. Stores that share a MemoryState behave
// as daemons that share a store.
import { type Lease, type LeaseEvent, leaseKey, type TimedLease } from "../lease/lease.js";
import { type NetworkConfig, parseNetworkConfig } from "../lease/network-config.js";
import { type Clock, systemClock } from "./clock.js";
import { decideAcquire, decideRelease, decideRenew, isLive, type LeaseTerms } from "./lease-rules.js";
import type { AcquireRequest, LeaseStore } from "./lease-store.js";
import { watchSnapshots } from "./snapshot-watch.js";

export class MemoryState {
  configText: string;
  readonly #leases = new Map<string, Lease>();
  readonly #listeners = new Set<() => void>();

  constructor(configText: string) {
    this.configText = configText;
  }

  /** Expired ones included. */
  leases(): Lease[] {
    return [...this.#leases.values()];
  }

  get(key: string): Lease | undefined {
    return this.#leases.get(key);
  }

  put(lease: Lease): void {
    this.#leases.set(leaseKey(lease), lease);
    this.#announce();
  }

  remove(lease: Lease): void {
    this.#leases.delete(leaseKey(lease));
    this.#announce();
  }

  subscribe(onChange: () => void): () => void {
    this.#listeners.add(onChange);
    return () => this.#listeners.delete(onChange);
  }

  #announce(): void {
    for (const listener of this.#listeners) listener();
  }
}

export class MemoryLeaseStore implements LeaseStore {
  readonly description = "memory";
  readonly #state: MemoryState;
  readonly #ttlMs: number;
  readonly #clock: Clock;
  readonly #closing = new AbortController();

  constructor(state: MemoryState, leaseTtlSeconds: number, clock: Clock = systemClock) {
    this.#state = state;
    this.#ttlMs = leaseTtlSeconds * 1000;
    this.#clock = clock;
  }

  async readConfig(): Promise<NetworkConfig> {
    return parseNetworkConfig(this.#state.configText, this.description);
  }

  async acquire(request: AcquireRequest): Promise<TimedLease> {
    const stored = { description: this.description, leases: this.#state.leases(), unreadable: [] };
    const { lease, remove } = decideAcquire(request, stored, this.#terms());
    for (const gone of remove) this.#state.remove(gone);
    this.#state.put(lease);
    return lease;
  }

  async renew(held: TimedLease, attrs = held.attrs): Promise<TimedLease> {
    const renewed = decideRenew(held, attrs, this.#state.get(leaseKey(held)), this.#terms());
    this.#state.put(renewed);
    return renewed;
  }

  async release(lease: TimedLease): Promise<void> {
    const rest = decideRelease(lease, this.#state.get(leaseKey(lease)));
    if (rest === null) this.#state.remove(lease);
    else if (rest !== undefined) this.#state.put(rest);
  }

  async list(): Promise<Lease[]> {
    return this.#state.leases().filter((lease) => isLive(lease, this.#clock.now()));
  }

  watch(signal: AbortSignal, known: readonly Lease[] = []): AsyncIterable<LeaseEvent[]> {
    const source = {
      list: () => this.list(),
      subscribe: async (onChange: () => void) => this.#state.subscribe(onChange),
      clock: this.#clock,
      relistMs: null,
    };
    return watchSnapshots(source, [signal, this.#closing.signal], known);
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  #terms(): LeaseTerms {
    return { nowMs: this.#clock.now(), ttlMs: this.#ttlMs };
  }
}
