import assert from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.js";
import type { InterfaceAddress } from "../../../src/netlink/addr.js";
import { type Change, objectOf } from "../../../src/netlink/change.js";
import type { Link } from "../../../src/netlink/link.js";
import { HOPSACK_ROUTE_PROTOCOL, type Route } from "../../../src/netlink/route.js";
import { type ActualState, diffPlan, type Marks } from "../../../src/plan/diff.js";
import { DEFAULT_METRIC } from "../../../src/plan/diff-routes.js";
import type { Plan, VxlanLinkPlan } from "../../../src/plan/plan.js";
import { linkOf } from "../../support/link.js";

const MARKS: Marks = {
  networks: ["10.55.0.0/16", "fd55::/48"].map(parsePrefix).filter((prefix): prefix is Prefix => prefix !== undefined),
  alias: "hopsack flannel0",
};
const PLAN: Plan = {
  links: [{ kind: "tun", name: "flannel0", mtuBytes: 1472, txQueueLength: 1000 }],
  addresses: [{ link: "flannel0", address: "10.55.30.0/32" }],
  routes: [{ prefix: "10.55.0.0/16", link: "flannel0", gateway: null, isOnLink: false }],
  neighbors: [],
  fdb: [],
  masquerades: [],
  pumpRoutes: [],
};
const ETH = 2;
const TUN = 7;

const link = (index: number, name: string, differences: Partial<Link> = {}): Link =>
  linkOf(index, name, { mtuBytes: 1472, ...differences });

function address(text: string, linkIndex = TUN, scope = 0): InterfaceAddress {
  const [address = "", length] = text.split("/");
  const family = text.includes(":") ? 6 : 4;
  const state = { isPermanent: true, isDeprecated: false, isTemporary: false, isTentative: false };
  return { linkIndex, family, address, prefixLength: Number(length), scope, ...state };
}

function route(prefix: string, linkIndex: number, gateway: string | null, differences: Partial<Route> = {}): Route {
  const family = prefix.includes(":") ? 6 : 4;
  return {
    family,
    prefix,
    table: 254,
    protocol: HOPSACK_ROUTE_PROTOCOL,
    scope: 253,
    type: 1,
    metric: DEFAULT_METRIC[family],
    preferredSource: null,
    nextHops: [{ linkIndex, gateway }],
    ...differences,
  };
}

const TRUE_STATE: ActualState = {
  links: [link(ETH, "eth0"), link(TUN, "flannel0")],
  addresses: [address("192.168.50.10/24", ETH), address("10.55.30.0/32")],
  routes: [route("0.0.0.0/0", ETH, "192.168.50.1", { protocol: 4 }), route("10.55.0.0/16", TUN, null)],
  neighbors: [],
  fdb: [],
  fouPorts: [],
  lastIndexes: new Map(),
};

function diff(actual: Partial<ActualState>, plan: Partial<Plan> = {}): string[] {
  const { changes } = diffPlan({ ...TRUE_STATE, ...actual }, { ...PLAN, ...plan }, MARKS);
  return changes.map((change: Change) => `${change.kind} ${objectOf(change)}`);
}

t.test("a true plan needs no change", async (t) => {
  t.strictSame(diffPlan(TRUE_STATE, PLAN, MARKS), { missingLinks: [], changes: [] });
});

t.test("a bare link gets settings, address and route, in this order", async (t) => {
  const bare = link(TUN, "flannel0", { isUp: false, mtuBytes: 1500, txQueueLength: 500 });
  t.strictSame(diff({ links: [bare], addresses: [], routes: [] }), [
    "set-link flannel0 up mtu 1472 txqueuelen 1000",
    "add-address 10.55.30.0/32 dev flannel0",
    "add-route 10.55.0.0/16 dev flannel0",
  ]);
});

t.test("a link is told only what differs, and nothing the plan leaves open or the kernel does not know", async (t) => {
  t.strictSame(diff({ links: [link(TUN, "flannel0", { mtuBytes: 1400 })] }), ["set-link flannel0 mtu 1472"]);
  const open = { kind: "tun" as const, name: "flannel0", mtuBytes: 1472, txQueueLength: null };
  t.strictSame(diff({ links: [link(TUN, "flannel0", { txQueueLength: 5 })] }, { links: [open] }), []);
});

t.test("a missing link is named, and nothing is tried on it", async (t) => {
  const state = { ...TRUE_STATE, links: [link(ETH, "eth0")], addresses: [], routes: [] };
  t.strictSame(diffPlan(state, PLAN, MARKS), { missingLinks: ["flannel0"], changes: [] });
  const plan = { ...PLAN, routes: [{ prefix: "10.55.1.0/24", link: "eth9", gateway: "192.0.2.1", isOnLink: false }] };
  t.strictSame(diffPlan(TRUE_STATE, plan, MARKS).missingLinks, ["eth9"]);
});

t.test("global addresses on our link that are not planned go after the new ones came; others stay", async (t) => {
  const addresses = [address("10.55.29.0/32"), address("fe80::1/64", TUN, 253), address("10.55.28.1/24", ETH)];
  t.strictSame(diff({ addresses }), [
    "add-address 10.55.30.0/32 dev flannel0",
    "remove-address 10.55.29.0/32 dev flannel0",
  ]);
  t.strictSame(diff({ addresses: [address("10.55.30.0/32", ETH)] }), ["add-address 10.55.30.0/32 dev flannel0"]);
  t.strictSame(diff({ addresses: [address("10.55.30.0/24")] }), [
    "add-address 10.55.30.0/32 dev flannel0",
    "remove-address 10.55.30.0/24 dev flannel0",
  ]);
});

t.test("routes with our mark that are not planned are removed, wherever they lead", async (t) => {
  const stale = [route("10.55.29.0/24", ETH, "192.168.50.11"), route("10.99.0.0/16", TUN, null)];
  t.strictSame(diff({ routes: [...TRUE_STATE.routes, ...stale] }), [
    "remove-route 10.55.29.0/24 via 192.168.50.11 dev eth0",
    "remove-route 10.99.0.0/16 dev flannel0",
  ]);
});

t.test("routes of others stay: without our mark, or with it but of another Network", async (t) => {
  const foreign = [
    route("10.55.29.0/24", ETH, "192.168.50.11", { protocol: 3 }),
    route("10.55.31.0/24", TUN, null, { protocol: 2 }),
    route("10.77.0.0/16", ETH, "192.168.50.11"),
    route("10.55.40.0/24", ETH, null, { type: 6, protocol: 4, nextHops: [] }),
  ];
  t.strictSame(diff({ routes: [...TRUE_STATE.routes, ...foreign] }), []);
});

t.test("our own route with another next hop is replaced, not added and removed", async (t) => {
  const routes = [route("10.55.0.0/16", ETH, "192.168.50.11")];
  t.strictSame(diff({ routes }), ["replace-route 10.55.0.0/16 dev flannel0"]);
  t.strictSame(diff({ routes: [route("10.55.0.0/16", TUN, "10.55.0.1")] }), [
    "replace-route 10.55.0.0/16 dev flannel0",
  ]);
});

t.test("an IPv6 route through another link makes way before one with an on-link gateway", async (t) => {
  const old = route("fd55:0:0:2::/64", ETH, "fd99::11");
  const onLink = { prefix: "fd55:0:0:2::/64", link: "flannel0", gateway: "fd55:0:0:2::", isOnLink: true };
  const changesTo = (wanted: Plan["routes"][number], found: Route): string[] =>
    diff({ addresses: [], routes: [found] }, { addresses: [], routes: [wanted] });
  t.strictSame(changesTo(onLink, old), [
    "remove-route fd55:0:0:2::/64 via fd99::11 dev eth0",
    "add-route fd55:0:0:2::/64 via fd55:0:0:2:: dev flannel0",
  ]);
  const here = route("fd55:0:0:2::/64", TUN, "fd55:0:0:9::");
  t.strictSame(changesTo(onLink, here), ["replace-route fd55:0:0:2::/64 via fd55:0:0:2:: dev flannel0"]);
  const plain = { ...onLink, link: "eth0", gateway: "fd99::11", isOnLink: false };
  t.strictSame(changesTo(plain, here), ["replace-route fd55:0:0:2::/64 via fd99::11 dev eth0"]);
});

t.test("a foreign route in our place is replaced on our own device only", async (t) => {
  const onDevice = route("10.55.0.0/16", TUN, null, { protocol: 3 });
  t.strictSame(diff({ routes: [onDevice] }), ["replace-route 10.55.0.0/16 dev flannel0"]);
  const elsewhere = route("10.55.0.0/16", ETH, "192.168.50.11", { protocol: 3 });
  t.strictSame(diff({ routes: [elsewhere] }), ["add-route 10.55.0.0/16 dev flannel0"], "which the kernel refuses");
  const blackhole = route("10.55.0.0/16", TUN, null, { protocol: 3, type: 6, nextHops: [] });
  t.strictSame(diff({ routes: [blackhole] }), ["add-route 10.55.0.0/16 dev flannel0"]);
});

t.test("a route of another metric is no rival, and a true one of somebody else's is left to him", async (t) => {
  const behind = route("10.55.0.0/16", ETH, "192.168.50.11", { protocol: 3, metric: 100 });
  t.strictSame(diff({ routes: [...TRUE_STATE.routes, behind] }), []);
  const direct = { prefix: "10.55.29.0/24", link: "eth0", gateway: "192.168.50.11", isOnLink: false };
  const his = route("10.55.29.0/24", ETH, "192.168.50.11", { protocol: 4 });
  t.strictSame(diff({ routes: [his], addresses: [] }, { links: [], addresses: [], routes: [direct] }), []);
});

t.test("IPv6 routes are compared under the kernel's default metric", async (t) => {
  const plan = { routes: [{ prefix: "fd55::/48", link: "flannel0", gateway: null, isOnLink: false }] };
  t.strictSame(diff({ routes: [route("fd55::/48", TUN, null)] }, plan), []);
  t.strictSame(diff({ routes: [route("fd55::/48", TUN, null, { metric: 5 })] }, plan), [
    "add-route fd55::/48 dev flannel0",
    "remove-route fd55::/48 dev flannel0",
  ]);
});

t.test("a link that was renamed is the same link: routes on it stay, and an own one gets its name back", async (t) => {
  const lastIndexes = new Map([
    ["flannel0", TUN],
    ["eth0", ETH],
  ]);
  const direct = { prefix: "10.55.29.0/24", link: "eth0", gateway: "192.168.50.11", isOnLink: false };
  const plan = { routes: [...PLAN.routes, direct] };
  const routes = [...TRUE_STATE.routes, route("10.55.29.0/24", ETH, "192.168.50.11")];
  const links = [link(ETH, "lan0"), link(TUN, "foo")];
  t.strictSame(diff({ links, routes, lastIndexes }, plan), ["set-link foo name flannel0"]);
  t.strictSame(diffPlan({ ...TRUE_STATE, links, routes }, { ...PLAN, ...plan }, MARKS).missingLinks, [
    "flannel0",
    "eth0",
  ]);
});

const VXLAN: VxlanLinkPlan = {
  kind: "vxlan",
  name: "flannel.1",
  mtuBytes: 1472,
  macAddress: "02:00:00:00:00:01",
  vni: 1,
  port: 8472,
  localAddress: "192.168.50.10",
  underlay: "eth0",
  isLearning: false,
  isGroupPolicy: false,
};
const VXLAN_DEVICE = link(9, "flannel.1", {
  kind: "vxlan",
  alias: MARKS.alias,
  hardwareAddress: VXLAN.macAddress,
  vxlan: {
    vni: 1,
    port: 8472,
    localAddress: "192.168.50.10",
    underlayIndex: ETH,
    remoteAddress: null,
    isLearning: false,
    hasUdpChecksum: true,
    isGroupPolicy: false,
    isExternal: false,
  },
});
const PEER_ROUTE = { prefix: "10.55.2.0/24", link: "flannel.1", gateway: "10.55.2.0", isOnLink: true };

t.test("a VXLAN device is made first; what lies on it follows in the next diff", async (t) => {
  const plan: Partial<Plan> = {
    links: [VXLAN],
    addresses: [{ link: "flannel.1", address: "10.55.30.0/32" }],
    routes: [PEER_ROUTE],
    neighbors: [{ link: "flannel.1", address: "10.55.2.0", macAddress: "02:00:00:00:00:02" }],
    fdb: [{ link: "flannel.1", macAddress: "02:00:00:00:00:02", endpoint: "192.168.50.11" }],
  };
  const bare = { links: [link(ETH, "eth0")], addresses: [], routes: [] };
  t.strictSame(diff(bare, plan), ["add-link flannel.1 vni 1 port 8472"]);
  t.strictSame(diff({ ...bare, links: [link(ETH, "eth0"), VXLAN_DEVICE] }, plan), [
    "add-address 10.55.30.0/32 dev flannel.1",
    "set-neighbor 10.55.2.0 lladdr 02:00:00:00:00:02 dev flannel.1",
    "set-fdb 02:00:00:00:00:02 dst 192.168.50.11 dev flannel.1",
    "add-route 10.55.2.0/24 via 10.55.2.0 dev flannel.1",
  ]);
});

t.test("routes of a device that is removed go with it: another mode's stand in nobody's way", async (t) => {
  const links = [link(ETH, "eth0"), VXLAN_DEVICE];
  const direct = { prefix: "10.55.2.0/24", link: "eth0", gateway: "192.168.50.11", isOnLink: false };
  const routes = [route("10.55.2.0/24", 9, "10.55.2.0"), route("10.55.3.0/24", 9, "10.55.3.0")];
  t.strictSame(diff({ links, addresses: [], routes }, { links: [], addresses: [], routes: [direct] }), [
    "remove-link flannel.1",
    "add-route 10.55.2.0/24 via 192.168.50.11 dev eth0",
  ]);
});

t.test("routes that flannel left on its device are taken over or removed, the kernel's own stay", async (t) => {
  const flannels = { protocol: 3, metric: 0 };
  const routes = [
    route("10.55.2.0/24", 9, "10.55.2.0", flannels),
    route("10.55.3.0/24", 9, "10.55.3.0", flannels),
    route("10.99.0.0/16", 9, "10.55.2.0", flannels),
    route("fd55:0:0:1::/128", 9, null, { protocol: 2, metric: 256 }),
  ];
  const plan: Partial<Plan> = { links: [VXLAN], addresses: [], routes: [PEER_ROUTE] };
  t.strictSame(diff({ links: [link(ETH, "eth0"), VXLAN_DEVICE], addresses: [], routes }, plan), [
    "replace-route 10.55.2.0/24 via 10.55.2.0 dev flannel.1",
    "remove-route 10.55.3.0/24 via 10.55.3.0 dev flannel.1",
  ]);
});

t.test("after the changes nothing is left to change, and no foreign route was touched", async () => {
  const hop = fc.constantFrom<[number, string | null]>([TUN, null], [ETH, "192.168.50.11"], [ETH, "192.168.50.12"]);
  const prefix = fc.integer({ min: 0, max: 5 }).map((third) => `10.55.${third}.0/24`);
  const routeOf = fc
    .tuple(prefix, hop, fc.constantFrom(HOPSACK_ROUTE_PROTOCOL, 3))
    .map(([prefix, [linkIndex, gateway], protocol]) => route(prefix, linkIndex, gateway, { protocol }));
  const table = fc.uniqueArray(routeOf, { selector: ({ prefix }) => prefix });
  fc.assert(
    fc.property(table, table, (actual, wanted) => {
      const names: Record<number, string> = { [TUN]: "flannel0", [ETH]: "eth0" };
      const routes = wanted.map(({ prefix, nextHops: [hop] }) => {
        return { prefix, link: names[hop?.linkIndex ?? 0] ?? "", gateway: hop?.gateway ?? null, isOnLink: false };
      });
      const plan = { ...PLAN, routes };
      const { changes } = diffPlan({ ...TRUE_STATE, routes: actual }, plan, MARKS);
      const { table, refused } = applyTo(actual, changes);
      const rest = diffPlan({ ...TRUE_STATE, routes: table }, plan, MARKS).changes;
      assert.deepEqual(rest.map(objectOf), refused);
      const foreign = actual.filter(({ protocol, nextHops }) => protocol === 3 && nextHops[0]?.linkIndex === ETH);
      for (const route of foreign) assert.ok(table.includes(route));
    }),
  );
});

/** What the kernel makes of route changes: one route for each prefix here. */
function applyTo(routes: readonly Route[], changes: readonly Change[]): { table: Route[]; refused: string[] } {
  const table = new Map(routes.map((route) => [route.prefix, route]));
  const refused: string[] = [];
  for (const change of changes) {
    if (!("prefix" in change && "linkIndex" in change)) continue;
    const { kind, prefix, linkIndex, gateway } = change;
    if (kind === "remove-route") table.delete(prefix);
    else if (kind === "add-route" && table.has(prefix)) refused.push(objectOf(change));
    else table.set(prefix, route(prefix, linkIndex, gateway));
  }
  return { table: [...table.values()], refused };
}
