// backend/direct-route: on the link means what the kernel's own choice of route would make of it.
import t from "tap";
import { isOnLink, linkReach, NO_REACH } from "../../../src/backend/direct-route.js";
import { formatPrefix } from "../../../src/net/prefix.js";
import { HOPSACK_ROUTE_PROTOCOL, type Route, RouteType } from "../../../src/netlink/route.js";

const ETH0 = 2;
const ETH1 = 3;

function route(prefix: string, linkIndex: number, gateway: string | null, differences: Partial<Route> = {}): Route {
  return {
    family: prefix.includes(":") ? 6 : 4,
    prefix,
    table: 254,
    protocol: 2,
    scope: 253,
    type: RouteType.unicast,
    metric: 0,
    preferredSource: null,
    nextHops: [{ linkIndex, gateway }],
    ...differences,
  };
}

const LAN = route("192.168.50.0/24", ETH0, null);
const DEFAULT = route("0.0.0.0/0", ETH0, "192.168.50.1");

function isReached(address: string, ...routes: Route[]): boolean {
  return isOnLink(linkReach([DEFAULT, LAN, ...routes], ETH0), address);
}

t.test("neighbours of the link's own prefix are on it, what a router leads to is not", async (t) => {
  t.equal(isReached("192.168.50.11"), true);
  t.equal(isReached("192.168.51.11"), false);
  t.equal(isOnLink(NO_REACH, "192.168.50.11"), false);
  t.equal(isReached("not an address"), false);
});

t.test("a longer prefix wins: through a router, over another link, a blackhole, and back again", async (t) => {
  const within = "192.168.50.128/25";
  t.equal(isReached("192.168.50.200", route(within, ETH0, "192.168.50.1")), false);
  t.equal(isReached("192.168.50.200", route(within, ETH1, null)), false);
  t.equal(isReached("192.168.50.200", route(within, ETH0, null, { type: RouteType.blackhole, nextHops: [] })), false);
  t.equal(isReached("192.168.50.11", route(within, ETH0, "192.168.50.1")), true, "outside the longer prefix");
  const host = route("192.168.50.200/32", ETH0, null);
  t.equal(isReached("192.168.50.200", route(within, ETH0, "192.168.50.1"), host), true);
  t.equal(isReached("203.0.113.9", route("203.0.113.9/32", ETH0, null)), true, "a point-to-point peer");
});

t.test("of two routes to one prefix the lower metric counts", async (t) => {
  const detour = route("192.168.50.0/24", ETH1, null, { metric: 50 });
  t.equal(isReached("192.168.50.11", detour), true);
  const preferred = linkReach([{ ...LAN, metric: 100 }, detour], ETH0);
  t.equal(isOnLink(preferred, "192.168.50.11"), false);
});

t.test("neither our own routes nor multipath ones say that somebody is on the link", async (t) => {
  const own = route("10.244.2.0/24", ETH0, null, { protocol: HOPSACK_ROUTE_PROTOCOL });
  t.equal(isReached("10.244.2.1", own), false);
  const hops = [
    { linkIndex: ETH0, gateway: null },
    { linkIndex: ETH1, gateway: null },
  ];
  t.equal(isReached("10.9.0.1", route("10.9.0.0/16", ETH0, null, { nextHops: hops })), false);
});

t.test("IPv6 is judged by its own routes", async (t) => {
  const lan = route("fd99::/64", ETH0, null, { metric: 256 });
  const routes = [route("::/0", ETH0, "fe80::1", { metric: 1024 }), lan];
  t.equal(isReached("fd99::2", ...routes), true);
  t.equal(isReached("fd99:0:0:1::2", ...routes), false);
  t.equal(isReached("fd99::2", ...routes, route("fd99::2/128", ETH0, "fd99::1")), false, "behind a router");
  t.equal(isReached("fd99::2", ...routes, route("fd99::/64", ETH1, null, { metric: 100 })), false, "another link");
  t.equal(isReached("::ffff:192.168.50.11", ...routes), false, "an IPv4 route is none for IPv6");
});

t.test("what addresses of other links lead to is connected, also while a blackhole stands before it", async (t) => {
  const bridge = route("10.244.1.0/24", ETH1, null, { protocol: 2 });
  const blackhole = route("10.244.1.0/24", ETH0, null, { protocol: 12, type: RouteType.blackhole, nextHops: [] });
  const { connected } = linkReach([DEFAULT, { ...LAN, protocol: 2 }, blackhole, bridge], ETH0);
  t.same(connected.map(formatPrefix), ["10.244.1.0/24"]);
});

t.test("routes outside our link are not kept, however many there are", async (t) => {
  const internet = Array.from({ length: 1000 }, (_, i) => route(`11.${i >> 8}.${i & 255}.0/24`, ETH0, "192.168.50.1"));
  t.strictSame(linkReach([DEFAULT, LAN, ...internet], ETH0).elsewhere, []);
});
