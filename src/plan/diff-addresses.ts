// The part of the diff that adds and removes addresses. Pure. Called by diff.ts.
import { type InterfaceAddress, RouteScope } from "../netlink/addr.js";
import type { AddressChange } from "../netlink/change.js";
import type { Link } from "../netlink/link.js";
import type { Plan } from "./plan.js";

/** @param found by the plan's names */
export function addressChanges(
  actual: readonly InterfaceAddress[],
  plans: Plan["addresses"],
  found: ReadonlyMap<string, Link>,
  ownLinks: readonly Link[],
): AddressChange[] {
  const removals: AddressChange[] = [];
  const present = new Set<string>();
  const planned = new Set(plans.map(({ link, address }) => `${address} ${found.get(link)?.index}`));
  for (const { linkIndex, address, prefixLength, scope } of actual) {
    const text = `${address}/${prefixLength}`;
    present.add(`${text} ${linkIndex}`);
    const link = ownLinks.find(({ index }) => index === linkIndex);
    if (link === undefined || scope !== RouteScope.universe || planned.has(`${text} ${linkIndex}`)) continue;
    removals.push({ kind: "remove-address", linkIndex, linkName: link.name, address: text });
  }
  const additions: AddressChange[] = [];
  for (const { link: name, address } of plans) {
    const link = found.get(name);
    if (link === undefined || present.has(`${address} ${link.index}`)) continue;
    additions.push({ kind: "add-address", linkIndex: link.index, linkName: name, address });
  }
  // In this order: with its last IPv4 address a device loses its routes.
  return [...additions, ...removals];
}
