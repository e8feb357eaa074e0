// backend/vxlan: the plan of a host, against flannel's vxlan backend (device, address, route, neighbour and FDB entry per peer).
import t from "tap";
import type { BackendInput } from "../../../src/backend/backend.js";
import { linkReach, NO_REACH } from "../../../src/backend/direct-route.js";
import { vtepMac } from "../../../src/backend/vtep-mac.js";
import { createVxlanBackend } from "../../../src/backend/vxlan.js";
import { type Lease, leaseKey } from "../../../src/lease/lease.js";
import { formatLeaseAttrs } from "../../../src/lease/lease-json.js";
import { parseNetworkConfig } from "../../../src/lease/network-config.js";
import { attrs, prefix, reservation } from "../../contract/lease-store.js";

const DUAL = { EnableIPv6: true, IPv6Network: "fd00::/48" };
const IDENTITY = { machineId: "0123456789abcdef0123456789abcdef", nodeName: "h1" };
const OWN_MAC = vtepMac(IDENTITY, 1);
/** 192.168.50.0/24 is on the link. */
const LAN = linkReach(
  [
    {
      family: 4,
      prefix: "192.168.50.0/24",
      table: 254,
      protocol: 2,
      scope: 253,
      type: 1,
      metric: 0,
      preferredSource: null,
      nextHops: [{ linkIndex: 2, gateway: null }],
    },
  ],
  2,
);

function input(backend: object = {}, changes: Partial<BackendInput> = {}, network: object = {}): BackendInput {
  const config = { Network: "10.244.0.0/16", ...network, Backend: { Type: "vxlan", ...backend } };
  return {
    config: parseNetworkConfig(JSON.stringify(config), "test"),
    underlay: { linkName: "eth0", linkIndex: 2, address: "192.168.50.1", publicIp: "192.168.50.1", mtuBytes: 1500 },
    deviceName: "flannel0",
    ipMasq: false,
    identity: IDENTITY,
    reach: NO_REACH,
    vxlanEngine: "kernel",
    ...changes,
  };
}

const mac = (number: number): string => `02:00:00:00:00:${number.toString(16).padStart(2, "0")}`;

function peer(number: number, data: unknown = { VNI: 1, VtepMAC: mac(number) }, more: Partial<Lease> = {}): Lease {
  const lease = reservation(number);
  return { ...lease, attrs: { ...attrs(number), backendType: "vxlan", backendData: data }, ...more };
}

function dual(number: number): Lease {
  return { ...peer(number), subnetV6: prefix(`fd00:0:0:${number}::/64`) };
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

t.test("a flannel host's IPv6 subnet lies behind its IPv6 tunnel end, and is left out", async (t) => {
  const flannels = { ...dual(2), attrs: { ...peer(2).attrs, publicIpv6: "fd99::2" } };
  const { routes, neighbors } = createVxlanBackend(input({}, {}, DUAL)).plan(dual(1), [flannels]);
  t.same([routes.length, neighbors.length], [1, 1]);
});

t.test("with DirectRouting, peers on the link get a plain route and nothing else, IPv6 the tunnel", async (t) => {
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

t.test("no two hosts may claim one MAC, however it is written", async (t) => {
  const { claimOf } = createVxlanBackend(input());
  t.equal(claimOf(peer(2)), `VtepMAC ${mac(2)}`);
  t.equal(claimOf(peer(2, { VNI: 1, VtepMAC: "02:AB:00:00:00:01" })), "VtepMAC 02:ab:00:00:00:01");
});

t.test("a peer without a usable MAC makes no half entries", async (t) => {
  const { routes, neighbors, fdb } = createVxlanBackend(input()).plan(peer(1), [peer(2, null)]);
  t.same([routes, neighbors, fdb], [[], [], []]);
});
