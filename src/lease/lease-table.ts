// The leases as the daemon knows them, fed by a store's watch. Tells which events matter, so that a mere renewal does
// not make a new plan.
import { type Lease, type LeaseEvent, leaseKey } from "./lease.js";
import { formatLeaseAttrs } from "./lease-json.js";

export class LeaseTable {
  #leases = new Map<string, Lease>();

  get size(): number {
    return this.#leases.size;
  }

  /** Takes one batch in; returns the events that changed more than an expiry. */
  apply(batch: readonly LeaseEvent[]): LeaseEvent[] {
    return batch.filter((event) => (event.kind === "added" ? this.#put(event.lease) : this.#remove(event.lease)));
  }

  list(): Lease[] {
    return [...this.#leases.values()];
  }

  get(key: string): Lease | undefined {
    return this.#leases.get(key);
  }

  /** Every lease but the own one. */
  peers(own: Lease): Lease[] {
    const ownKey = leaseKey(own);
    return this.list().filter((lease) => leaseKey(lease) !== ownKey);
  }

  #put(lease: Lease): boolean {
    const key = leaseKey(lease);
    const before = this.#leases.get(key);
    this.#leases.set(key, lease);
    return before === undefined || !sameAttrs(before, lease);
  }

  #remove(lease: Lease): boolean {
    return this.#leases.delete(leaseKey(lease));
  }
}

function sameAttrs(a: Lease, b: Lease): boolean {
  return a.attrs.node === b.attrs.node && formatLeaseAttrs(a.attrs) === formatLeaseAttrs(b.attrs);
}
