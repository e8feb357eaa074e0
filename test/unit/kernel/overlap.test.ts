import t from "tap";
import { findOverlap, type OverlapInput } from "../../../src/kernel/overlap.js";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.js";
import type { InterfaceAddress } from "../../../src/netlink/addr.js";
import { HOPSACK_ROUTE_PROTOCOL, POD_ROUTE_PROTOCOL, type Route } from "../../../src/netlink/route.js";
import { linkOf } from "../../support/link.js";

const prefixes = (...texts: string[]): Prefix[] => texts.map(parsePrefix).filter((prefix) => prefix !== undefined);

const LINKS = ["lo", "eth0", "cni0", "flannel0"].map((name, position) =>
  linkOf(position + 1, name, { isLoopback: name === "lo" }),
);

function address(text: string, linkName: string): InterfaceAddress {
  const [address = "", length] = text.split("/");
  const linkIndex = LINKS.findIndex(({ name }) => name === linkName) + 1;
  const family = text.includes(":") ? 6 : 4;
  const state = { isPermanent: true, isDeprecated: false, isTemporary: false, isTentative: false };
  return { linkIndex, family, address, prefixLength: Number(length), scope: 0, ...state };
}

function route(prefix: string, linkName: string | null, differences: Partial<Route> = {}): Route {
  const linkIndex = LINKS.findIndex(({ name }) => name === linkName) + 1;
  return {
    family: prefix.includes(":") ? 6 : 4,
    prefix,
    table: 254,
    protocol: 3,
    scope: 0,
    type: 1,
    metric: 0,
    preferredSource: null,
    nextHops: linkName === null ? [] : [{ linkIndex, gateway: null }],
    ...differences,
  };
}

function check(differences: Partial<OverlapInput>): string | undefined {
  const error = findOverlap({
    networks: prefixes("10.55.0.0/16", "fd55::/48"),
    ownSubnets: prefixes("10.55.30.0/24"),
    deviceName: "flannel0",
    deviceNames: ["flannel0"],
    isBirdOurs: false,
    underlayAddresses: ["192.168.50.10", "203.0.113.9"],
    links: LINKS,
    addresses: [address("192.168.50.10/24", "eth0")],
    routes: [route("0.0.0.0/0", "eth0"), route("192.168.50.0/24", "eth0", { protocol: 2 })],
    ...differences,
  });
  if (error !== null) t.equal(error.code, "NETWORK_OVERLAP");
  return error?.message;
}

t.test("a host beside the Network has no overlap", async (t) => {
  t.equal(check({}), undefined);
});

t.test("own device, own subnet's bridges and routes with our mark are no overlap", async (t) => {
  t.equal(check({ addresses: [address("10.55.30.1/24", "cni0"), address("10.55.30.0/32", "flannel0")] }), undefined);
  t.equal(
    check({
      routes: [
        route("10.55.30.0/24", "cni0", { protocol: 2 }),
        route("10.55.30.7/32", "eth0"),
        route("10.55.30.0/24", null, { type: 6 }),
        route("10.55.0.0/16", "flannel0"),
        route("10.55.29.0/24", "eth0", { protocol: HOPSACK_ROUTE_PROTOCOL }),
        route("10.55.28.7/32", "eth0", { protocol: POD_ROUTE_PROTOCOL }),
      ],
    }),
    undefined,
  );
});

t.test("wider routes lose to ours: no overlap", async (t) => {
  t.equal(check({ routes: [route("10.0.0.0/8", "eth0"), route("::/0", "eth0")] }), undefined);
});

t.test("a pool-wide blackhole behind our route is no overlap, one in its place is", async (t) => {
  t.equal(check({ routes: [route("10.55.0.0/16", null, { type: 6, metric: 4_278_198_272 })] }), undefined);
  t.match(
    check({ routes: [route("10.55.0.0/16", null, { type: 7 })] }),
    /loses packets to the route unreachable 10\.55\.0\.0\/16 of this host; remove it \(ip route delete unreachable 10\.55/,
  );
});

t.test("an underlay inside the Network is an overlap, even inside the own subnet", async (t) => {
  for (const inside of ["10.55.7.9", "10.55.30.9"]) {
    t.equal(
      check({ underlayAddresses: [inside] }),
      `the Network 10.55.0.0/16 holds the address ${inside} that carries the overlay's own packets; ` +
        "choose another Network in the network configuration, or another interface with --iface",
    );
  }
});

t.test("an address inside the Network on another device is an overlap", async (t) => {
  t.equal(
    check({ addresses: [address("10.55.29.1/24", "cni0")] }),
    "the Network 10.55.0.0/16 holds the address 10.55.29.1/24 dev cni0 that this host already uses; " +
      "remove it (ip address delete 10.55.29.1/24 dev cni0), or choose another Network in the network configuration",
  );
  t.match(
    check({ addresses: [address("fd55::7/64", "eth0")] }),
    /Network fd55::\/48 holds the address fd55::7\/64 dev eth0/,
  );
});

t.test("a stale route of another mode is an overlap, with the command that removes it", async (t) => {
  const hop = { linkIndex: 2, gateway: "10.99.0.2" };
  t.equal(
    check({ routes: [route("10.55.29.0/24", "eth0", { nextHops: [hop] })] }),
    "the Network 10.55.0.0/16 loses packets to the route 10.55.29.0/24 via 10.99.0.2 dev eth0 of this host; " +
      "remove it (ip route delete 10.55.29.0/24 via 10.99.0.2 dev eth0), or choose another Network in the network configuration",
  );
  t.match(
    check({ routes: [route("10.55.0.0/16", "eth0", { metric: 100 })] }),
    /10\.55\.0\.0\/16 dev eth0 metric 100 of/,
  );
});
