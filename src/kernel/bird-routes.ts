// Routes that a BIRD set (`proto bird`). The mark says nothing of whose BIRD it was, so callers know that it was ours before they
// ask for a removal: by the files that bird/bird.ts keeps. Pure.
import { covers, type Prefix, parsePrefix } from "../net/prefix.js";
import type { Change } from "../netlink/change.js";
import type { Link } from "../netlink/link.js";
import { BIRD_ROUTE_PROTOCOL, type Route, RouteType } from "../netlink/route.js";

/** Those within the Network. */
export function birdRoutes(routes: readonly Route[], network: Prefix): Route[] {
  return routes.filter((route) => {
    const prefix = parsePrefix(route.prefix);
    return route.protocol === BIRD_ROUTE_PROTOCOL && prefix !== undefined && covers(network, prefix);
  });
}

/** @param keep with it only blackholes go that are not this one */
export function birdRouteRemovals(
  { routes, links }: { readonly routes: readonly Route[]; readonly links: readonly Link[] },
  network: Prefix,
  keep: { readonly prefix: string; readonly metric: number } | null,
): Change[] {
  return birdRoutes(routes, network).flatMap((route): Change[] => {
    const { prefix, metric, protocol, type } = route;
    if (type === RouteType.blackhole) {
      const isKept = prefix === keep?.prefix && metric === keep.metric;
      return isKept ? [] : [{ kind: "remove-blackhole", prefix, metric, protocol }];
    }
    const [hop] = route.nextHops;
    const linkIndex = hop?.linkIndex ?? null;
    if (keep !== null || linkIndex === null) return [];
    const linkName = links.find(({ index }) => index === linkIndex)?.name ?? `link ${linkIndex}`;
    return [{ kind: "remove-route", prefix, linkIndex, linkName, gateway: hop?.gateway ?? null, metric, protocol }];
  });
}
