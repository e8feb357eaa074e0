// Which hosts are on our own link, so that a plain route reaches them: told from the routes of the main table, as the kernel
// itself would choose. Pure. Used by host-gw and by vxlan's DirectRouting; the daemon asks again when the kernel's routes change.
import { addressWidth, covers, type Prefix, parseAddress, parsePrefix } from "../net/prefix.js";
import { HOPSACK_ROUTE_PROTOCOL, KERNEL_ROUTE_PROTOCOL, type Route, RouteType } from "../netlink/route.js";

export interface LinkReach {
  /** Reached on the link itself. */
  readonly onLink: readonly Prefix[];
  /** Parts of those that are reached in another way, or not at all: behind a router, over another link, blackholes. */
  readonly elsewhere: readonly Prefix[];
  /** What addresses on other links lead to, as a bridge of containers. */
  readonly connected: readonly Prefix[];
}

export const NO_REACH: LinkReach = { onLink: [], elsewhere: [], connected: [] };

/**
 * @param routes of the main table; our own and those with a metric behind another route of the same prefix do not count
 * @param linkIndex of the underlay's link
 */
export function linkReach(routes: readonly Route[], linkIndex: number): LinkReach {
  const best = new Map<string, Route>();
  for (const route of routes) {
    if (route.protocol === HOPSACK_ROUTE_PROTOCOL) continue;
    const rival = best.get(route.prefix);
    if (rival === undefined || route.metric < rival.metric) best.set(route.prefix, route);
  }
  const onLink: Prefix[] = [];
  const others: Prefix[] = [];
  for (const route of best.values()) {
    const prefix = parsePrefix(route.prefix);
    if (prefix !== undefined) (isPlain(route, linkIndex) ? onLink : others).push(prefix);
  }
  // A router has hundreds of thousands of routes; those outside our link are none of our business.
  const elsewhere = others.filter((prefix) => onLink.some((wide) => covers(wide, prefix)));
  return { onLink, elsewhere, connected: connectedPrefixes(routes, linkIndex) };
}

/** Also those in whose place another route stands, for now. */
function connectedPrefixes(routes: readonly Route[], linkIndex: number): Prefix[] {
  return routes
    .filter(({ protocol, nextHops: [hop] }) => protocol === KERNEL_ROUTE_PROTOCOL && hop?.linkIndex !== linkIndex)
    .map(({ prefix }) => parsePrefix(prefix))
    .filter((prefix) => prefix !== undefined);
}

function isPlain({ type, nextHops: [hop, ...others] }: Route, linkIndex: number): boolean {
  return type === RouteType.unicast && hop?.linkIndex === linkIndex && hop.gateway === null && others.length === 0;
}

/** @param address canonical text */
export function isOnLink({ onLink, elsewhere }: LinkReach, address: string): boolean {
  const parsed = parseAddress(address);
  if (parsed === undefined) return false;
  const host: Prefix = { family: parsed.family, base: parsed.bits, length: addressWidth(parsed.family) };
  return longestMatch(onLink, host) > longestMatch(elsewhere, host);
}

/** Length of the longest prefix that holds the address; -1 when none does. */
function longestMatch(prefixes: readonly Prefix[], host: Prefix): number {
  return prefixes.reduce((longest, prefix) => (covers(prefix, host) ? Math.max(longest, prefix.length) : longest), -1);
}
