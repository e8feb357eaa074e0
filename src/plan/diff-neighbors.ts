// The part of the diff that sets and removes neighbours and forwarding entries. Pure. Called by diff.ts. Entries that the
// kernel found out by itself come and go; only permanent ones are compared.
import type { FdbChange, FdbRemoval, NeighborChange, NeighborRemoval } from "../netlink/change.js";
import type { Link } from "../netlink/link.js";
import type { FdbEntry, Neighbor } from "../netlink/neigh.js";
import type { FdbPlan, NeighborPlan } from "./plan.js";

/** @param found by the plan's names */
export function neighborChanges(
  actual: readonly Neighbor[],
  plans: readonly NeighborPlan[],
  found: ReadonlyMap<string, Link>,
  ownLinks: readonly Link[],
): (NeighborChange | NeighborRemoval)[] {
  const present = new Map(actual.filter(isPermanent).map((entry) => [`${entry.address} ${entry.linkIndex}`, entry]));
  const changes: (NeighborChange | NeighborRemoval)[] = [];
  for (const { link: name, address, macAddress } of plans) {
    const link = found.get(name);
    if (link === undefined) continue;
    const key = `${address} ${link.index}`;
    const isTrue = present.get(key)?.macAddress === macAddress;
    present.delete(key);
    const target = { linkIndex: link.index, linkName: name, address, macAddress };
    if (!isTrue) changes.push({ kind: "set-neighbor", ...target });
  }
  for (const { linkIndex, address } of present.values()) {
    const link = ownLinks.find(({ index }) => index === linkIndex);
    if (link !== undefined) changes.push({ kind: "remove-neighbor", linkIndex, linkName: link.name, address });
  }
  return changes;
}

/** @param found by the plan's names */
export function fdbChanges(
  actual: readonly FdbEntry[],
  plans: readonly FdbPlan[],
  found: ReadonlyMap<string, Link>,
  ownLinks: readonly Link[],
): (FdbChange | FdbRemoval)[] {
  const present = new Map(actual.filter(isPermanent).map((entry) => [`${entry.macAddress} ${entry.linkIndex}`, entry]));
  const changes: (FdbChange | FdbRemoval)[] = [];
  for (const { link: name, macAddress, endpoint } of plans) {
    const link = found.get(name);
    if (link === undefined) continue;
    const key = `${macAddress} ${link.index}`;
    const entry = present.get(key);
    present.delete(key);
    const isTrue = entry?.endpoint === endpoint && !entry.isSpecial;
    if (!isTrue) changes.push({ kind: "set-fdb", linkIndex: link.index, linkName: name, macAddress, endpoint });
  }
  for (const { linkIndex, macAddress } of present.values()) {
    const link = ownLinks.find(({ index }) => index === linkIndex);
    if (link !== undefined) changes.push({ kind: "remove-fdb", linkIndex, linkName: link.name, macAddress });
  }
  return changes;
}

function isPermanent(entry: { readonly isPermanent: boolean }): boolean {
  return entry.isPermanent;
}
