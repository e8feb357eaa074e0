// What changed between two listings of a store, as events. Pure.
import { isDeepStrictEqual } from "node:util";
import { type Lease, type LeaseEvent, leaseKey } from "../lease/lease.js";

export function byKey(leases: readonly Lease[]): Map<string, Lease> {
  return new Map(leases.map((lease) => [leaseKey(lease), lease]));
}

/** Removals first, so that a subnet which passed to another host is free before it is taken. */
export function leaseChanges(before: ReadonlyMap<string, Lease>, leases: readonly Lease[]): LeaseEvent[] {
  const current = new Set(leases.map(leaseKey));
  const removed = [...before].filter(([key]) => !current.has(key)).map(([, lease]) => lease);
  const added = leases.filter((lease) => !isDeepStrictEqual(before.get(leaseKey(lease)), lease));
  return [
    ...removed.map((lease): LeaseEvent => ({ kind: "removed", lease })),
    ...added.map((lease): LeaseEvent => ({ kind: "added", lease })),
  ];
}
