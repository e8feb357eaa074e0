// Leases in the memory of one process: the reference implementation, for tests. Stores that share a MemoryState behave
// as daemons that share a store.
import { type Lease, type LeaseEvent, leaseKey, type TimedLease } from "../lease/lease.js";
import { type NetworkConfig, parseNetworkConfig } from "../lease/network-config.js";
import type { SubnetPair } from "../lease/subnet-allocator.js";
import { type Clock, systemClock } from "./clock.js";
import {
  decideAcquire,
  decideRelease,
  decideRenew,
  decideReserve,
  isLive,
  type LeaseTerms,
  type StoredLeases,
} from "./lease-rules.js";
import type { AcquireRequest, LeaseStore, Reservation } from "./lease-store.js";
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

  remove(pair: SubnetPair): void {
    this.#leases.delete(leaseKey(pair));
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
    const { lease, remove } = decideAcquire(request, this.#stored(), this.#terms());
    this.#state.put(lease);
    for (const gone of remove) this.#state.remove(gone);
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

  async writeConfig(text: string): Promise<void> {
    parseNetworkConfig(text, this.description);
    this.#state.configText = text;
  }

  async reserve(reservation: Reservation): Promise<void> {
    this.#state.put(decideReserve(reservation, this.#stored(), this.#clock.now()));
  }

  async remove(subnets: SubnetPair): Promise<boolean> {
    const stored = this.#state.get(leaseKey(subnets));
    this.#state.remove(subnets);
    return stored !== undefined && isLive(stored, this.#clock.now());
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  #stored(): StoredLeases {
    return { description: this.description, leases: this.#state.leases(), unreadable: [] };
  }

  #terms(): LeaseTerms {
    return { nowMs: this.#clock.now(), ttlMs: this.#ttlMs };
  }
}
