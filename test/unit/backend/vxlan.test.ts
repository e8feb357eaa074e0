// backend/vxlan: the plan of a host, against flannel's vxlan backend (device, address, route, neighbour and FDB entry per peer).
import t from "tap";
import type { BackendInput } from "../../../src/backend/backend.js";
import { linkReach } from "../../../src/backend/direct-route.js";
import { vtepMac } from "../../../src/backend/vtep-mac.js";
import { createVxlanBackend, usesIpv6Underlay } from "../../../src/backend/vxlan.js";
import { type Lease, leaseKey } from "../../../src/lease/lease.js";
import { formatLeaseAttrs } from "../../../src/lease/lease-json.js";
import type { Route } from "../../../src/netlink/route.js";
import { attrs, prefix, reservation } from "../../contract/lease-store.js";
import { backendInput } from "../../support/backend-input.js";

const DUAL = { EnableIPv6: true, IPv6Network: "fd00::/48" };
const IDENTITY = backendInput().identity;
const OWN_MAC = vtepMac(IDENTITY, 1);
/** 192.168.50.0/24 and fd99::/64 are on the link. */
const LAN = linkReach(["192.168.50.0/24", "fd99::/64"].map(onLinkRoute), 2);
const V6_UNDERLAY = { addressV6: "fd99::1", publicIpv6: "fd99::1" };
const OWN_MAC_V6 = vtepMac(IDENTITY, 1, 6);

function onLinkRoute(prefix: string): Route {
  const common = { prefix, table: 254, protocol: 2, scope: 253, type: 1, metric: 0, preferredSource: null };
  return { ...common, family: prefix.includes(":") ? 6 : 4, nextHops: [{ linkIndex: 2, gateway: null }] };
}

function input(backend: object = {}, changes: Partial<BackendInput> = {}, network: object = {}): BackendInput {
  return backendInput({ ...network, Backend: { Type: "vxlan", ...backend } }, changes);
}

const mac = (number: number): string => `02:00:00:00:00:${number.toString(16).padStart(2, "0")}`;

function peer(number: number, data: unknown = { VNI: 1, VtepMAC: mac(number) }, more: Partial<Lease> = {}): Lease {
  const lease = reservation(number);
  return { ...lease, attrs: { ...attrs(number), backendType: "vxlan", backendData: data }, ...more };
}

function dual(number: number): Lease {
  return { ...peer(number), subnetV6: prefix(`fd00:0:0:${number}::/64`) };
}

/** Of a network with IPv6, on a host with an IPv6 address. */
function inputV6(backend: object = {}, changes: Partial<BackendInput> = {}): BackendInput {
  const { underlay, ...rest } = input(backend, {}, DUAL);
  return { ...rest, underlay: { ...underlay, ...V6_UNDERLAY }, ...changes };
}

/** A host with an IPv6 end. */
function dualV6(number: number, backendV6Data: unknown = { VNI: 1, VtepMAC: mac(0x60 + number) }): Lease {
  const lease = dual(number);
  return { ...lease, attrs: { ...lease.attrs, publicIpv6: `fd99::${number}`, backendV6Data } };
}

t.test(
  "plans what flannel sets up: one device, and per peer one route, one neighbour, one forwarding entry",
  async (t) => {
    t.same(createVxlanBackend(input()).plan(peer(1), [peer(2), peer(3)]), {
      links: [
        {
          kind: "vxlan",
          name: "flannel.1",
          mtuBytes: 1450,
          macAddress: OWN_MAC,
          vni: 1,
          port: 8472,
          localAddress: "192.168.50.1",
          underlay: "eth0",
          isLearning: false,
          isGroupPolicy: false,
        },
      ],
      addresses: [{ link: "flannel.1", address: "10.244.1.0/32" }],
      routes: [
        { prefix: "10.244.2.0/24", link: "flannel.1", gateway: "10.244.2.0", isOnLink: true },
        { prefix: "10.244.3.0/24", link: "flannel.1", gateway: "10.244.3.0", isOnLink: true },
      ],
      neighbors: [
        { link: "flannel.1", address: "10.244.2.0", macAddress: mac(2) },
        { link: "flannel.1", address: "10.244.3.0", macAddress: mac(3) },
      ],
      fdb: [
        { link: "flannel.1", macAddress: mac(2), endpoint: "192.168.50.2" },
        { link: "flannel.1", macAddress: mac(3), endpoint: "192.168.50.3" },
      ],
      masquerades: [],
      pumpRoutes: [],
    });
  },
);

t.test("publishes VNI and MAC in flannel's order", async (t) => {
  const lease = createVxlanBackend(input({ VNI: 7 })).leaseAttrs("h1");
  t.equal(
    formatLeaseAttrs(lease),
    `{"PublicIP":"192.168.50.1","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":7,"VtepMAC":"${vtepMac(IDENTITY, 7)}"}}`,
  );
  t.equal(lease.node, "h1");
});

t.test("the kernel carries the packets: no socket; 50 bytes of overhead", async (t) => {
  t.match(createVxlanBackend(input()), { type: "vxlan", socket: null, overheadBytes: 50, deviceNames: ["flannel.1"] });
});

t.test("options reach the device, in any case; 0 is flannel's way to say default", async (t) => {
  const link = (backend: object) => createVxlanBackend(input(backend)).plan(peer(1), []).links[0];
  t.match(link({ VNI: 42, port: 4789, MTU: 1400, Learning: true, gbp: true }), {
    name: "flannel.42",
    vni: 42,
    port: 4789,
    mtuBytes: 1350,
    isLearning: true,
    isGroupPolicy: true,
  });
  t.match(link({ VNI: 0, Port: 0, MTU: 0 }), { name: "flannel.1", port: 8472, mtuBytes: 1450 });
  t.equal(link({ VNI: 9_999_999 })?.name, "flannel.9999999", "15 bytes, the longest name Linux takes");
});

t.test("options that cannot be used are named, with what can", async (t) => {
  const faults: [object, string | RegExp][] = [
    [{ VNI: 10_000_000 }, "Backend.VNI 10000000 cannot be used; write a number from 1 to 9999999, or remove it for 1"],
    [{ VNI: -1 }, /^Backend\.VNI -1 /],
    [{ VNI: "1" }, /^Backend\.VNI "1" /],
    [{ Port: 65_536 }, /^Backend\.Port 65536 .* from 1 to 65535, or remove it for 8472$/],
    [{ MTU: 1501 }, /^Backend\.MTU 1501 is more than eth0 carries \(1500\); lower it/],
    [{ MTU: 100 }, /^eth0 has MTU 100, which leaves 50 bytes/],
    [{ DirectRouting: "yes" }, 'Backend.DirectRouting "yes" is not a boolean; write true or false'],
    [{ Learning: 1 }, /^Backend\.Learning 1 /],
    [{ GBP: null }, ""],
  ];
  for (const [backend, message] of faults) {
    if (message === "") t.doesNotThrow(() => createVxlanBackend(input(backend)));
    else t.throws(() => createVxlanBackend(input(backend)), { code: "BAD_CONFIG", message }, JSON.stringify(backend));
  }
});

t.test("IPv6 subnets go through the same device to the same tunnel ends", async (t) => {
  const plan = createVxlanBackend(input({}, { ipMasq: true }, DUAL)).plan(dual(1), [dual(2)]);
  t.same(
    plan.addresses.map(({ address }) => address),
    ["10.244.1.0/32", "fd00:0:0:1::/128"],
  );
  t.same(plan.routes[1], { prefix: "fd00:0:0:2::/64", link: "flannel.1", gateway: "fd00:0:0:2::", isOnLink: true });
  t.same(plan.neighbors[1], { link: "flannel.1", address: "fd00:0:0:2::", macAddress: mac(2) });
  t.equal(plan.fdb.length, 1);
  t.equal(plan.masquerades.length, 2);
});

t.test("between hosts that both have an IPv6 end, IPv6 goes through the second device, as flannel's", async (t) => {
  const plan = createVxlanBackend(inputV6({ MTU: 1480 })).plan(dual(1), [dualV6(2)]);
  t.match(plan.links[0], { name: "flannel.1", mtuBytes: 1430, localAddress: "192.168.50.1", macAddress: OWN_MAC });
  t.same(plan.links[1], {
    kind: "vxlan",
    name: "flannel-v6.1",
    mtuBytes: 1410,
    macAddress: OWN_MAC_V6,
    vni: 1,
    port: 8472,
    localAddress: "fd99::1",
    underlay: "eth0",
    isLearning: false,
    isGroupPolicy: false,
  });
  t.same(plan.addresses, [
    { link: "flannel.1", address: "10.244.1.0/32" },
    { link: "flannel-v6.1", address: "fd00:0:0:1::/128" },
  ]);
  t.same(plan.routes, [
    { prefix: "10.244.2.0/24", link: "flannel.1", gateway: "10.244.2.0", isOnLink: true },
    { prefix: "fd00:0:0:2::/64", link: "flannel-v6.1", gateway: "fd00:0:0:2::", isOnLink: true },
  ]);
  t.same(plan.neighbors, [
    { link: "flannel.1", address: "10.244.2.0", macAddress: mac(2) },
    { link: "flannel-v6.1", address: "fd00:0:0:2::", macAddress: mac(0x62) },
  ]);
  t.same(plan.fdb, [
    { link: "flannel.1", macAddress: mac(2), endpoint: "192.168.50.2" },
    { link: "flannel-v6.1", macAddress: mac(0x62), endpoint: "fd99::2" },
  ]);
  t.not(OWN_MAC_V6, OWN_MAC, "each device has a MAC of its own");
  t.same(createVxlanBackend(inputV6()).deviceNames, ["flannel.1", "flannel-v6.1"]);
});

t.test("one MAC on both devices of a peer is an entry on each", async (t) => {
  const twin = dualV6(2, { VNI: 1, VtepMAC: mac(2) });
  t.equal(createVxlanBackend(inputV6()).plan(dual(1), [twin]).fdb.length, 2);
});

t.test("when either host has no IPv6 end, both take the IPv4 ends", async (t) => {
  const here = createVxlanBackend(inputV6()).plan(dual(1), [dual(2), dualV6(3)]);
  t.same(
    here.routes.map(({ prefix, link }) => `${prefix} ${link}`),
    ["10.244.2.0/24 flannel.1", "fd00:0:0:2::/64 flannel.1", "10.244.3.0/24 flannel.1", "fd00:0:0:3::/64 flannel-v6.1"],
  );
  const there = createVxlanBackend(input({}, {}, DUAL)).plan(dual(1), [dualV6(3)]);
  t.same(
    there.routes.map(({ prefix, link }) => `${prefix} ${link}`),
    ["10.244.3.0/24 flannel.1", "fd00:0:0:3::/64 flannel.1"],
  );
  t.same(there.fdb, [{ link: "flannel.1", macAddress: mac(3), endpoint: "192.168.50.3" }]);
});

t.test(
  "a host has an IPv6 end only with IPv6 in the network, an IPv6 address, the kernel's engine, a short VNI",
  async (t) => {
    const hasEnd = (given: BackendInput): boolean => {
      const backend = createVxlanBackend(given);
      const { publicIpv6, backendV6Data } = backend.leaseAttrs("h1");
      const linkCount = backend.plan(dual(1), []).links.length;
      t.same(
        [publicIpv6 !== null, backendV6Data !== null, linkCount],
        linkCount === 2 ? [true, true, 2] : [false, false, 1],
      );
      return linkCount === 2;
    };
    t.equal(hasEnd(inputV6()), true);
    t.equal(hasEnd(inputV6({ VNI: 9999 })), true, "flannel-v6.9999 is the longest name Linux takes");
    t.equal(hasEnd(inputV6({ VNI: 10_000 })), false);
    t.equal(hasEnd(input({}, {}, DUAL)), false);
    t.equal(hasEnd({ ...input(), underlay: { ...input().underlay, ...V6_UNDERLAY } }), false);
    const { config } = inputV6();
    t.equal(usesIpv6Underlay({ config, vxlanEngine: "kernel" }), true);
    t.equal(usesIpv6Underlay({ config, vxlanEngine: "userspace" }), false);
    t.equal(usesIpv6Underlay({ config: input().config, vxlanEngine: "kernel" }), false);
    const udp = { ...config, backend: { type: "udp", options: {} } };
    t.equal(usesIpv6Underlay({ config: udp, vxlanEngine: "kernel" }), false);
  },
);

t.test("a dual-stack lease is flannel's to the byte, with the published IPv6 address", async (t) => {
  const { underlay } = inputV6();
  const lease = createVxlanBackend(inputV6({}, { underlay: { ...underlay, publicIpv6: "2001:db8::1" } })).leaseAttrs(
    "h1",
  );
  t.equal(
    formatLeaseAttrs(lease),
    '{"PublicIP":"192.168.50.1","PublicIPv6":"2001:db8::1","BackendType":"vxlan",' +
      `"BackendData":{"VNI":1,"VtepMAC":"${OWN_MAC}"},"BackendV6Data":{"VNI":1,"VtepMAC":"${OWN_MAC_V6}"}}`,
  );
});

t.test("an underlay too narrow for IPv6 inside IPv6 is refused", async (t) => {
  const { underlay } = inputV6();
  t.throws(() => createVxlanBackend(inputV6({}, { underlay: { ...underlay, mtuBytes: 1349 } })), {
    code: "BAD_CONFIG",
    message: /leaves 1279 bytes for inner packets, and the network needs 1280; set its MTU to 1350 or more/,
  });
});

t.test(
  "with DirectRouting, peers on the link get a plain route and nothing else, IPv6 between IPv4 ends the tunnel",
  async (t) => {
    const far = { ...peer(3), attrs: { ...peer(3).attrs, publicIp: "172.16.0.3" } };
    const direct = input({ DirectRouting: true }, { reach: LAN });
    const plan = createVxlanBackend(direct).plan(peer(1), [peer(2), far]);
    t.same(plan.routes, [
      { prefix: "10.244.2.0/24", link: "eth0", gateway: "192.168.50.2", isOnLink: false },
      { prefix: "10.244.3.0/24", link: "flannel.1", gateway: "10.244.3.0", isOnLink: true },
    ]);
    t.same(plan.fdb, [{ link: "flannel.1", macAddress: mac(3), endpoint: "172.16.0.3" }]);
    t.equal(plan.neighbors.length, 1);
    const six = createVxlanBackend(input({ DirectRouting: true }, { reach: LAN }, DUAL)).plan(dual(1), [dual(2)]);
    t.same(
      six.routes.map(({ prefix, link }) => `${prefix} ${link}`),
      ["10.244.2.0/24 eth0", "fd00:0:0:2::/64 flannel.1"],
    );
    t.equal(six.fdb.length, 1);
    t.same(createVxlanBackend(input({}, { reach: LAN })).plan(peer(1), [peer(2)]).routes[0]?.link, "flannel.1");
  },
);

t.test("DirectRouting of IPv6 goes by the peer's IPv6 end", async (t) => {
  const backend = createVxlanBackend(inputV6({ DirectRouting: true }, { reach: LAN }));
  const far = { ...dualV6(3), attrs: { ...dualV6(3).attrs, publicIpv6: "2001:db8::3" } };
  const { routes, fdb } = backend.plan(dual(1), [dualV6(2), far]);
  t.same(routes.slice(1), [
    { prefix: "fd00:0:0:2::/64", link: "eth0", gateway: "fd99::2", isOnLink: false },
    { prefix: "10.244.3.0/24", link: "eth0", gateway: "192.168.50.3", isOnLink: false },
    { prefix: "fd00:0:0:3::/64", link: "flannel-v6.1", gateway: "fd00:0:0:3::", isOnLink: true },
  ]);
  t.same(fdb, [{ link: "flannel-v6.1", macAddress: mac(0x63), endpoint: "2001:db8::3" }]);
});

t.test("a peer that cannot be reached has one sentence that says why and what to do", async (t) => {
  const { objectionTo } = createVxlanBackend(input());
  const rows: [Lease, string | RegExp][] = [
    [peer(2, null), /^lease 10\.244\.2\.0-24 of h2 is not used: it has no VtepMAC; /],
    [peer(2, { VNI: 1 }), /has no VtepMAC; /],
    [peer(2, { VNI: 1, VtepMAC: "02:00:00" }), /has the VtepMAC "02:00:00", which is no host's MAC; /],
    [peer(2, { VNI: 1, VtepMAC: 7 }), /has the VtepMAC 7, /],
    [peer(2, { VNI: 1, VtepMAC: "01:00:5e:00:00:01" }), /no host's MAC/],
    [peer(2, { VNI: 1, VtepMAC: "00:00:00:00:00:00" }), /no host's MAC/],
    [peer(2, { VNI: 2, VtepMAC: mac(2) }), /has the VNI 2, and this host 1; give all hosts one Backend\.VNI$/],
    [peer(2, { VNI: 1, VtepMAC: OWN_MAC }), /has this host's VtepMAC .* --node-name$/],
  ];
  for (const [lease, objection] of rows) t.match(objectionTo(lease) ?? "none", objection, leaseKey(lease));
  t.equal(objectionTo(peer(2)), null);
  t.equal(objectionTo(peer(2, { vni: 1, vtepmac: mac(2).toUpperCase() })), null, "as Go reads JSON");
});

t.test("so has a peer whose IPv6 end cannot be used; a host without one does not look at it", async (t) => {
  const { objectionTo } = createVxlanBackend(inputV6());
  const at = (publicIpv6: string): Lease => ({ ...dualV6(2), attrs: { ...dualV6(2).attrs, publicIpv6 } });
  const rows: [Lease, string | RegExp][] = [
    [dualV6(2, null), /^lease 10\.244\.2\.0-24&fd00:0:0:2::-64 of h2 is not used: its BackendV6Data has no VtepMAC; /],
    [dualV6(2, "text"), /its BackendV6Data has no VtepMAC; /],
    [dualV6(2, { VNI: 1, VtepMAC: 7 }), /its BackendV6Data has the VtepMAC 7, which is no host's MAC; /],
    [dualV6(2, { VNI: 2, VtepMAC: mac(9) }), /its BackendV6Data has the VNI 2, and this host 1; /],
    [dualV6(2, { VNI: 1, VtepMAC: OWN_MAC_V6 }), /its BackendV6Data has this host's VtepMAC .* --node-name$/],
    [at("fd99::1"), /it has this host's public IPv6 fd99::1; give one of the hosts another --public-ipv6$/],
    [at("ff02::1"), /it has ff02::1 for its public IPv6; correct or remove it$/],
  ];
  for (const [lease, objection] of rows) t.match(objectionTo(lease) ?? "none", objection);
  t.equal(objectionTo(dualV6(2)), null);
  const without = createVxlanBackend(input({}, {}, DUAL));
  for (const [lease] of rows) t.equal(without.objectionTo(lease), null);
});

t.test("no two hosts may claim one MAC, however it is written, nor one public IPv6", async (t) => {
  const { claimsOf } = createVxlanBackend(input());
  const claim = (text: string) => ({ what: `VtepMAC ${text}`, flag: "--node-name" });
  t.same(claimsOf(peer(2)), [claim(mac(2))]);
  t.same(claimsOf(peer(2, { VNI: 1, VtepMAC: "02:AB:00:00:00:01" })), [claim("02:ab:00:00:00:01")]);
  t.same(claimsOf(dualV6(2)), [claim(mac(2))]);
  t.same(createVxlanBackend(inputV6()).claimsOf(dualV6(2)), [
    claim(mac(2)),
    { what: `VtepMAC for IPv6 ${mac(0x62)}`, flag: "--node-name" },
    { what: "public IPv6 fd99::2", flag: "--public-ipv6" },
  ]);
});

t.test("a peer without a usable MAC makes no half entries", async (t) => {
  const { routes, neighbors, fdb } = createVxlanBackend(input()).plan(peer(1), [peer(2, null)]);
  t.same([routes, neighbors, fdb], [[], [], []]);
});
