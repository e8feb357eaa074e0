// The part of the diff that adds, replaces and removes routes. Pure. Called by diff.ts.
import { isDeepStrictEqual } from "node:util";
import { covers, type IpFamily, type Prefix, parsePrefix } from "../net/prefix.js";
import type { RouteChange, RouteRemoval } from "../netlink/change.js";
import type { Link } from "../netlink/link.js";
import {
  BIRD_ROUTE_PROTOCOL,
  HOPSACK_ROUTE_PROTOCOL,
  KERNEL_ROUTE_PROTOCOL,
  type NextHop,
  type Route,
  RouteType,
} from "../netlink/route.js";
import { isMadeKind } from "./diff-links.js";
import type { RoutePlan } from "./plan.js";

/** The metric of a route that names none: 0, and for IPv6 IP6_RT_PRIO_USER. */
export const DEFAULT_METRIC: Readonly<Record<IpFamily, number>> = { 4: 0, 6: 1024 };

interface Ownership {
  /** Made by us: may be removed. */
  isOurs(route: Route): boolean;
  /** On a device of ours: may be replaced, whoever made it. */
  isOnOwnLink(route: Route): boolean;
}

/** New routes first, so that no packet finds the gap, where the kernel lets us. @param found by the plan's names */
export function routeChanges(
  actual: { readonly routes: readonly Route[]; readonly links: readonly Link[] },
  plans: readonly RoutePlan[],
  found: ReadonlyMap<string, Link>,
  ownLinks: readonly Link[],
  networks: readonly Prefix[],
): (RouteChange | RouteRemoval)[] {
  const ownership = ownershipOf(actual.routes, ownLinks, networks);
  const rivals = rivalsByPrefix(actual.routes, ownership);
  const settled = new Set<Route>();
  const additions: (RouteChange | RouteRemoval)[] = [];
  for (const { prefix, link: name, gateway, isOnLink } of plans) {
    const link = found.get(name);
    if (link === undefined) continue;
    const rival = rivals.get(prefix);
    if (rival !== undefined) settled.add(rival);
    const kind = routeChangeKind(rival, { linkIndex: link.index, gateway }, ownership);
    const target = { prefix, linkIndex: link.index, linkName: link.name, gateway, isOnLink, metric: null };
    if (kind === "replace-route" && rival !== undefined && isObstacle(rival, target)) {
      additions.push(...removal(rival, actual.links), { kind: "add-route", ...target });
    } else if (kind !== null) {
      additions.push({ kind, ...target });
    }
  }
  const stale = actual.routes.filter((route) => ownership.isOurs(route) && !settled.has(route));
  return [...additions, ...stale.flatMap((route) => removal(route, actual.links))];
}

function ownershipOf(routes: readonly Route[], ownLinks: readonly Link[], networks: readonly Prefix[]): Ownership {
  const ownIndexes = new Set(ownLinks.map(({ index }) => index));
  const madeIndexes = new Set(ownLinks.filter(({ kind }) => isMadeKind(kind)).map(({ index }) => index));
  const isWithin = ({ nextHops }: Route, indexes: ReadonlySet<number>): boolean =>
    nextHops.length > 0 && nextHops.every(({ linkIndex }) => linkIndex !== null && indexes.has(linkIndex));
  const isInNetworks = (route: Route): boolean => {
    const prefix = parsePrefix(route.prefix);
    return prefix !== undefined && networks.some((network) => covers(network, prefix));
  };
  const isMarked = (route: Route): boolean =>
    route.protocol === HOPSACK_ROUTE_PROTOCOL && (isWithin(route, ownIndexes) || isInNetworks(route));
  // An adopted flannel device has flannel's routes; the kernel's go with their addresses, and BIRD looks after its own.
  const others: readonly number[] = [KERNEL_ROUTE_PROTOCOL, BIRD_ROUTE_PROTOCOL];
  const isAdopted = (route: Route): boolean =>
    !others.includes(route.protocol) && isWithin(route, madeIndexes) && isInNetworks(route);
  const ours = new Set(routes.filter((route) => isMarked(route) || isAdopted(route)));
  return { isOurs: (route) => ours.has(route), isOnOwnLink: (route) => isWithin(route, ownIndexes) };
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
  const hasOwner = rival.protocol === HOPSACK_ROUTE_PROTOCOL || !isOnOwnLink(rival);
  if (isTrue && hasOwner) return null;
  return isOurs(rival) || isOnOwnLink(rival) ? "replace-route" : "add-route";
}

/** Linux refuses an on-link IPv6 gateway while a route of another link leads to it (ip6_route_check_nh_onlink). */
function isObstacle(rival: Route, { isOnLink, gateway, linkIndex }: Omit<RouteChange, "kind">): boolean {
  const isElsewhere = rival.nextHops.some((hop) => hop.linkIndex !== linkIndex);
  return isOnLink && gateway !== null && rival.family === 6 && isElsewhere;
}

function removal(route: Route, links: readonly Link[]): RouteRemoval[] {
  const { prefix, metric, protocol, nextHops } = route;
  const linkIndex = nextHops[0]?.linkIndex ?? null;
  if (linkIndex === null) return [];
  const linkName = links.find(({ index }) => index === linkIndex)?.name ?? `link ${linkIndex}`;
  const gateway = nextHops[0]?.gateway ?? null;
  return [{ kind: "remove-route", prefix, linkIndex, linkName, gateway, metric, protocol }];
}
