// What has to be changed in the kernel so that a Plan is true: pure comparison of the actual state with the desired one.
// Called by kernel/reconciler.ts. Never asks for a change of what is not ours.
import { isDeepStrictEqual } from "node:util";
import { covers, type IpFamily, type Prefix, parsePrefix } from "../net/prefix.js";
import { type InterfaceAddress, RouteScope } from "../netlink/addr.js";
import type { AddressChange, Change, LinkChange, RouteChange } from "../netlink/change.js";
import type { Link } from "../netlink/link.js";
import { HOPSACK_ROUTE_PROTOCOL, type NextHop, type Route, RouteType } from "../netlink/route.js";
import type { LinkPlan, Plan, RoutePlan } from "./plan.js";

export interface ActualState {
  readonly links: readonly Link[];
  readonly addresses: readonly InterfaceAddress[];
  /** Of the main table. */
  readonly routes: readonly Route[];
}

export interface Diff {
  /** Links that the plan needs and that are not there; what the plan has on them is left out of `changes`. */
  readonly missingLinks: readonly string[];
  /** In the order in which they work. */
  readonly changes: readonly Change[];
}

/** The metric of a route that names none: 0, and for IPv6 IP6_RT_PRIO_USER. */
export const DEFAULT_METRIC: Readonly<Record<IpFamily, number>> = { 4: 0, 6: 1024 };

/**
 * Ours are: the plan's links, every global address on them, and the routes with our mark that lie on them or within
 * `networks` (another hopsackd of another Network may run on this host).
 */
export function diffPlan(
  actual: ActualState,
  plan: Pick<Plan, "links" | "addresses" | "routes">,
  networks: readonly Prefix[],
): Diff {
  const byName = new Map(actual.links.map((link) => [link.name, link]));
  const needed = new Set([
    ...plan.links.map(({ name }) => name),
    ...[...plan.addresses, ...plan.routes].map(({ link }) => link),
  ]);
  const ownLinks = plan.links.map(({ name }) => byName.get(name)).filter((link) => link !== undefined);
  return {
    missingLinks: [...needed].filter((name) => !byName.has(name)),
    changes: [
      ...linkChanges(plan.links, byName),
      ...addressChanges(actual, plan, byName, ownLinks),
      ...routeChanges(actual, plan.routes, byName, ownershipOf(ownLinks, networks)),
    ],
  };
}

interface Ownership {
  /** Made by us: may be removed. */
  isOurs(route: Route): boolean;
  /** On a device of ours: may be replaced, whoever made it. */
  isOnOwnLink(route: Route): boolean;
}

function ownershipOf(ownLinks: readonly Link[], networks: readonly Prefix[]): Ownership {
  const isOnOwnLink = ({ nextHops }: Route): boolean =>
    nextHops.length > 0 && nextHops.every(({ linkIndex }) => ownLinks.some(({ index }) => index === linkIndex));
  const isInNetworks = (route: Route): boolean => {
    const prefix = parsePrefix(route.prefix);
    return prefix !== undefined && networks.some((network) => covers(network, prefix));
  };
  return {
    isOnOwnLink,
    isOurs: (route) => route.protocol === HOPSACK_ROUTE_PROTOCOL && (isInNetworks(route) || isOnOwnLink(route)),
  };
}

function linkChanges(plans: readonly LinkPlan[], byName: ReadonlyMap<string, Link>): LinkChange[] {
  const changes: LinkChange[] = [];
  for (const plan of plans) {
    const link = byName.get(plan.name);
    if (link === undefined) continue;
    const settings = {
      isUp: link.isUp ? null : true,
      mtuBytes: wanted(plan.mtuBytes, link.mtuBytes),
      txQueueLength: wanted(plan.txQueueLength, link.txQueueLength),
    };
    if (Object.values(settings).every((value) => value === null)) continue;
    changes.push({ kind: "set-link", linkIndex: link.index, linkName: link.name, ...settings });
  }
  return changes;
}

/** The planned value where it differs; null where it is already so, where it is not planned, or where the kernel has none. */
function wanted(planned: number | null, actual: number | null): number | null {
  return actual === null || planned === actual ? null : planned;
}

function addressChanges(
  actual: ActualState,
  plan: Pick<Plan, "addresses">,
  byName: ReadonlyMap<string, Link>,
  ownLinks: readonly Link[],
): AddressChange[] {
  const removals: AddressChange[] = [];
  const present = new Set<string>();
  const planned = new Set(plan.addresses.map(({ link, address }) => `${address} ${byName.get(link)?.index}`));
  for (const { linkIndex, address, prefixLength, scope } of actual.addresses) {
    const text = `${address}/${prefixLength}`;
    present.add(`${text} ${linkIndex}`);
    const link = ownLinks.find(({ index }) => index === linkIndex);
    if (link === undefined || scope !== RouteScope.universe || planned.has(`${text} ${linkIndex}`)) continue;
    removals.push({ kind: "remove-address", linkIndex, linkName: link.name, address: text });
  }
  const additions: AddressChange[] = [];
  for (const { link: name, address } of plan.addresses) {
    const link = byName.get(name);
    if (link === undefined || present.has(`${address} ${link.index}`)) continue;
    additions.push({ kind: "add-address", linkIndex: link.index, linkName: name, address });
  }
  // In this order: with its last IPv4 address a device loses its routes.
  return [...additions, ...removals];
}

/** New routes first, so that no packet finds the gap. */
function routeChanges(
  actual: ActualState,
  plans: readonly RoutePlan[],
  byName: ReadonlyMap<string, Link>,
  ownership: Ownership,
): RouteChange[] {
  const rivals = rivalsByPrefix(actual.routes, ownership);
  const settled = new Set<Route>();
  const additions: RouteChange[] = [];
  for (const { prefix, link: name, gateway } of plans) {
    const link = byName.get(name);
    if (link === undefined) continue;
    const rival = rivals.get(prefix);
    if (rival !== undefined) settled.add(rival);
    const kind = routeChangeKind(rival, { linkIndex: link.index, gateway }, ownership);
    if (kind !== null) additions.push({ kind, prefix, linkIndex: link.index, linkName: name, gateway, metric: null });
  }
  const stale = actual.routes.filter((route) => ownership.isOurs(route) && !settled.has(route));
  return [...additions, ...stale.flatMap((route) => removal(route, actual.links))];
}

/** The route that stands where one of ours would: the same prefix and metric. Of several, ours. */
function rivalsByPrefix(routes: readonly Route[], { isOurs }: Ownership): Map<string, Route> {
  const rivals = new Map<string, Route>();
  for (const route of routes) {
    if (route.metric !== DEFAULT_METRIC[route.family]) continue;
    if (!rivals.has(route.prefix) || isOurs(route)) rivals.set(route.prefix, route);
  }
  return rivals;
}

/** A foreign route elsewhere is left to the kernel to defend: `add-route` fails then. */
function routeChangeKind(
  rival: Route | undefined,
  hop: NextHop,
  { isOurs, isOnOwnLink }: Ownership,
): RouteChange["kind"] | null {
  if (rival === undefined) return "add-route";
  const isTrue = rival.type === RouteType.unicast && isDeepStrictEqual(rival.nextHops, [hop]);
  const hasOwner = isOurs(rival) || !isOnOwnLink(rival);
  if (isTrue && hasOwner) return null;
  return isOurs(rival) || isOnOwnLink(rival) ? "replace-route" : "add-route";
}

function removal(route: Route, links: readonly Link[]): RouteChange[] {
  const { prefix, metric, nextHops } = route;
  const linkIndex = nextHops[0]?.linkIndex ?? null;
  if (linkIndex === null) return [];
  const linkName = links.find(({ index }) => index === linkIndex)?.name ?? `link ${linkIndex}`;
  return [{ kind: "remove-route", prefix, linkIndex, linkName, gateway: nextHops[0]?.gateway ?? null, metric }];
}
