// kernel/leftovers: which routes and devices are a killed daemon's. nft is asked for real, about a table that nobody has.
import t from "tap";
import { kernelLeftovers } from "../../../src/kernel/leftovers.js";
import { parsePrefix } from "../../../src/net/prefix.js";
import type { FouPort } from "../../../src/netlink/fou.js";
import type { IpipParameters } from "../../../src/netlink/ipip.js";
import type { Link } from "../../../src/netlink/link.js";
import type { Route } from "../../../src/netlink/route.js";
import { linkOf } from "../../support/link.js";

const ROUTE: Route = {
  family: 4,
  prefix: "10.244.2.0/24",
  table: 254,
  protocol: 85,
  scope: 0,
  type: 1,
  metric: 0,
  preferredSource: null,
  nextHops: [{ linkIndex: 2, gateway: "192.168.50.11" }],
};

const link = (index: number, name: string, kind: string | null, changes: Partial<Link> = {}): Link =>
  linkOf(index, name, { kind, ...changes });

async function found(
  links: readonly Link[],
  routes: readonly Route[],
  network: string | null = null,
  hasFlannel = false,
  fouPorts: readonly FouPort[] = [],
) {
  const rtnetlink = {
    filters: () => [],
    links: () => [...links],
    routes: () => [...routes],
    fouPorts: () => [...fouPorts],
    apply: () => [],
  };
  const networks = network === null ? [] : [network].flatMap((text) => parsePrefix(text) ?? []);
  const leftovers = await kernelLeftovers({
    rtnetlink,
    deviceName: "unit-test",
    networks,
    birdNetwork: null,
    hasFlannel,
    hostTables: [],
  });
  return leftovers.map(({ kind, what }) => `${kind} ${what}`);
}

const ETH0 = link(2, "eth0", null);

t.test("routes with our mark, within the network where it is known; nobody else's", async (t) => {
  const outside = { ...ROUTE, prefix: "10.1.2.0/24" };
  const routes = [ROUTE, outside, { ...ROUTE, prefix: "10.244.3.0/24", protocol: 4 }];
  t.same(await found([ETH0], routes, "10.244.0.0/16"), ["route 10.244.2.0/24 via 192.168.50.11 dev eth0"]);
  t.equal((await found([ETH0], routes)).length, 2);
});

t.test("our VXLAN devices by alias, with their routes; another instance's and its routes stay", async (t) => {
  const ours = link(5, "renamed", "vxlan", { alias: "hopsack unit-test" });
  const others = link(6, "flannel.2", "vxlan", { alias: "hopsack other" });
  const on = (linkIndex: number): Route => ({ ...ROUTE, nextHops: [{ linkIndex, gateway: "10.244.2.0" }] });
  t.same(await found([ours, others], [on(5), on(6)], null, true), ["device renamed"]);
});

t.test("a FOU port goes with our device that sends by it, before it; others stay", async (t) => {
  const ipip: IpipParameters = {
    ...{ localAddress: "192.168.50.10", remoteAddress: null, ttl: 0, tos: 0 },
    ...{ hasPathMtuDiscovery: false, fouPort: 8285, isPlain: true },
  };
  const ours = link(5, "flannel0", "ipip", { alias: "hopsack unit-test", ipip });
  const port: FouPort = { port: 8285, localAddress: "192.168.50.10", protocol: 4, isPlain: true };
  const others = [
    { ...port, port: 5555 },
    { ...port, localAddress: null },
    { ...port, localAddress: "192.168.60.10" },
  ];
  t.same(await found([ours], [], null, false, [port, ...others]), [
    "FOU port 8285 local 192.168.50.10",
    "device flannel0",
  ]);
  t.same(await found([{ ...ours, alias: null }], [], null, false, [port]), []);
});

t.test("our ipip devices by alias, whatever their names", async (t) => {
  const ours = link(5, "tunl7", "ipip", { alias: "hopsack unit-test" });
  const others = [link(6, "tunl0", "ipip"), link(7, "flannel.ipip", "ipip", { alias: "hopsack other" })];
  t.same(await found([ours, ...others], []), ["device tunl7"]);
});

t.test("a TUN device that a process has open stays; an unused one goes when our route lies on it", async (t) => {
  const on: Route = { ...ROUTE, nextHops: [{ linkIndex: 7, gateway: null }] };
  const tun = (isRunning: boolean) => link(7, "unit-test", "tun", { isRunning });
  t.same(await found([tun(false)], [on]), ["device unit-test"]);
  t.same(await found([tun(false)], []), [], "somebody's own");
  t.same(await found([tun(true)], [on]), [], "nor do the routes of a running one go");
  t.same(await found([link(8, "flannel0", "tun")], [], null, true), []);
});

t.test("flannel's devices by name and kind, only when asked", async (t) => {
  const devices = [
    link(3, "flannel.1", "vxlan"),
    link(4, "flannel-v6.1", "vxlan"),
    link(5, "flannel.ipip", "ipip"),
    link(6, "flannel0", "tun", { isRunning: false }),
  ];
  const near = [
    link(7, "flannel.1x", "vxlan"),
    link(8, "flannel.3", "veth"),
    link(9, "flannel1", "tun", { isRunning: false }),
  ];
  t.same(await found([...devices, ...near], []), []);
  t.same(
    await found([...devices, ...near], [], null, true),
    devices.map(({ name }) => `device ${name}`),
  );
});
