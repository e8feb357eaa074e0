// kernel/bird-routes: which routes of a BIRD are removed, and in what words.
import t from "tap";
import { birdRouteRemovals } from "../../../src/kernel/bird-routes.js";
import { parsePrefix } from "../../../src/net/prefix.js";
import { objectOf } from "../../../src/netlink/change.js";
import { type Route, RouteType } from "../../../src/netlink/route.js";

function route(prefix: string, changes: Partial<Route> = {}): Route {
  return {
    ...{ family: 4, prefix, table: 254, protocol: 12, scope: 0, type: RouteType.unicast, metric: 0 },
    ...{ preferredSource: null, nextHops: [{ linkIndex: 2, gateway: "192.168.50.11" }] },
    ...changes,
  };
}

const blackhole = (prefix: string, metric: number): Route =>
  route(prefix, { type: RouteType.blackhole, metric, nextHops: [] });

const ROUTES = [
  blackhole("10.244.1.0/24", 0),
  blackhole("10.244.1.0/24", 32),
  blackhole("10.244.9.0/24", 0),
  route("10.244.2.0/24"),
  route("10.244.3.0/24", { protocol: 85 }),
  route("10.55.2.0/24"),
];

function removals(keep: { readonly prefix: string; readonly metric: number } | null): string[] {
  const network = parsePrefix("10.244.0.0/16");
  if (network === undefined) throw new Error("no prefix");
  return birdRouteRemovals({ routes: ROUTES, links: [] }, network, keep).map(objectOf);
}

t.test("all of a BIRD's within the Network go, and nothing else", async (t) => {
  t.strictSame(removals(null), [
    "blackhole 10.244.1.0/24",
    "blackhole 10.244.1.0/24 metric 32",
    "blackhole 10.244.9.0/24",
    "10.244.2.0/24 via 192.168.50.11 dev link 2",
  ]);
});

t.test("of a BIRD that runs only blackholes go that it was told to forget", async (t) => {
  t.strictSame(removals({ prefix: "10.244.1.0/24", metric: 32 }), [
    "blackhole 10.244.1.0/24",
    "blackhole 10.244.9.0/24",
  ]);
});
