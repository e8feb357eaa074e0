// What has to be changed in the kernel so that a Plan is true: pure comparison of the actual state with the desired one.
// Called by kernel/reconciler.ts. Never asks for a change of what is not ours.
import type { Prefix } from "../net/prefix.js";
import type { InterfaceAddress } from "../netlink/addr.js";
import type { Change } from "../netlink/change.js";
import type { FouPort } from "../netlink/fou.js";
import type { Link } from "../netlink/link.js";
import type { FdbEntry, Neighbor } from "../netlink/neigh.js";
import type { Route } from "../netlink/route.js";
import { addressChanges } from "./diff-addresses.js";
import { fouChanges } from "./diff-fou-ports.js";
import { isMadeKind, linkChanges } from "./diff-links.js";
import { fdbChanges, neighborChanges } from "./diff-neighbors.js";
import { routeChanges } from "./diff-routes.js";
import type { NetlinkPlan } from "./plan.js";

export interface ActualState {
  readonly links: readonly Link[];
  readonly addresses: readonly InterfaceAddress[];
  /** Of the main table. */
  readonly routes: readonly Route[];
  /** Of the plan's VXLAN links at least. */
  readonly neighbors: readonly Neighbor[];
  readonly fdb: readonly FdbEntry[];
  /** All of this host, where the plan or a device of ours has one. */
  readonly fouPorts: readonly FouPort[];
  /** Where links of the plan were when they were last seen under its names: a link that was renamed is still the same. */
  readonly lastIndexes: ReadonlyMap<string, number>;
}

/** What tells ours from others'. */
export interface Marks {
  /** Routes with our protocol number are ours within these: another hopsackd of another Network may run on this host. */
  readonly networks: readonly Prefix[];
  /** Devices of the kinds that we make with this alias are ours, whatever their names. */
  readonly alias: string;
}

export interface Diff {
  /** Links that the plan needs and that nobody here can make; what the plan has on them is left out of `changes`. */
  readonly missingLinks: readonly string[];
  /** In the order in which they work. What lies on a link that is still to be made follows in the next diff. */
  readonly changes: readonly Change[];
}

/**
 * Ours are: the plan's links with every global address, permanent neighbour and forwarding entry on them, VXLAN and ipip
 * devices and routes that carry our marks, the FOU ports of such devices, and on such devices of the plan any route within
 * the Network but BIRD's.
 */
export function diffPlan(actual: ActualState, plan: NetlinkPlan, marks: Marks): Diff {
  const found = findLinks(actual, plan);
  const links = linkChanges(actual.links, plan.links, found, marks.alias);
  const usable = new Map([...found].filter(([name]) => !links.unusable.has(name)));
  const fou = fouChanges(actual, plan.links, usable, marks.alias);
  const routes = routesBeside(actual.routes, links.changes);
  const ownLinks = plan.links.map(({ name }) => usable.get(name)).filter((link) => link !== undefined);
  return {
    missingLinks: missingLinks(plan, found),
    changes: [
      ...fou.removals,
      ...links.changes,
      ...fou.additions,
      ...addressChanges(actual.addresses, plan.addresses, usable, ownLinks),
      ...neighborChanges(actual.neighbors, plan.neighbors, usable, ownLinks),
      ...fdbChanges(actual.fdb, plan.fdb, usable, ownLinks),
      ...routeChanges({ routes, links: actual.links }, plan.routes, usable, ownLinks, marks.networks),
    ],
  };
}

/** The plan's links by the names it has for them, as far as they are there. */
export function findLinks(
  { links, lastIndexes }: Pick<ActualState, "links" | "lastIndexes">,
  plan: NetlinkPlan,
): Map<string, Link> {
  const byName = new Map(links.map((link) => [link.name, link]));
  const byIndex = new Map(links.map((link) => [link.index, link]));
  const found = new Map<string, Link>();
  for (const name of linkNames(plan)) {
    const link = byName.get(name) ?? byIndex.get(lastIndexes.get(name) ?? 0);
    if (link !== undefined) found.set(name, link);
  }
  return found;
}

/** Without those that go with a link that is removed. */
function routesBeside(routes: readonly Route[], changes: readonly Change[]): readonly Route[] {
  const doomed = new Set(changes.flatMap((change) => (change.kind === "remove-link" ? [change.linkIndex] : [])));
  if (doomed.size === 0) return routes;
  return routes.filter(
    ({ nextHops }) => !nextHops.some(({ linkIndex }) => linkIndex !== null && doomed.has(linkIndex)),
  );
}

/** Of the plan's own links, and of those that carry them or a route. */
function linkNames({ links, addresses, routes }: NetlinkPlan): Set<string> {
  const underlays = links.flatMap((link) => (link.kind === "vxlan" ? [link.underlay] : []));
  return new Set([
    ...links.map(({ name }) => name),
    ...underlays,
    ...[...addresses, ...routes].map(({ link }) => link),
  ]);
}

function missingLinks(plan: NetlinkPlan, found: ReadonlyMap<string, Link>): string[] {
  const isMadeHere = new Set(plan.links.filter(({ kind }) => isMadeKind(kind)).map(({ name }) => name));
  return [...linkNames(plan)].filter((name) => !found.has(name) && !isMadeHere.has(name));
}
