// backend/udp: the plan of a host, against flannel's udp backend (addresses, routes, MTU, port).
import t from "tap";
import { createUdpBackend } from "../../../src/backend/udp.js";
import type { Lease, TimedLease } from "../../../src/lease/lease.js";
import { attrs, prefix, reservation } from "../../contract/lease-store.js";
import { backendInput } from "../../support/backend-input.js";

const DUAL = { EnableIPv6: true, IPv6Network: "fd00::/48" };

function dual(number: number): TimedLease {
  return { ...reservation(number), subnetV6: prefix(`fd00:0:0:${number}::/64`) };
}

function routeRows(peers: readonly Lease[], input = backendInput(), own = reservation(1)): string[] {
  const { pumpRoutes } = createUdpBackend(input).plan(own, peers);
  return pumpRoutes.map(({ prefix, endpoint }) => `${prefix} ${endpoint.address}:${endpoint.port}`);
}

t.test("plans what flannel sets up: device, /32 address, one route of the whole Network", async (t) => {
  const header = new Uint8Array();
  t.same(createUdpBackend(backendInput()).plan(reservation(1), [reservation(2), reservation(3)]), {
    links: [{ kind: "tun", name: "flannel0", mtuBytes: 1472, txQueueLength: 1000 }],
    addresses: [{ link: "flannel0", address: "10.244.1.0/32" }],
    routes: [{ prefix: "10.244.0.0/16", link: "flannel0", gateway: null, isOnLink: false }],
    neighbors: [],
    fdb: [],
    masquerades: [],
    pumpRoutes: [
      { prefix: "10.244.2.0/24", endpoint: { address: "192.168.50.2", port: 8285 }, header },
      { prefix: "10.244.3.0/24", endpoint: { address: "192.168.50.3", port: 8285 }, header },
    ],
  });
});

t.test("IPv6 parts travel to the peer's IPv4 address", async (t) => {
  const plan = createUdpBackend(backendInput(DUAL, { ipMasq: true })).plan(dual(1), [dual(2), reservation(3)]);
  t.same(
    plan.addresses.map(({ address }) => address),
    ["10.244.1.0/32", "fd00:0:0:1::/128"],
  );
  t.same(
    plan.routes.map(({ prefix }) => prefix),
    ["10.244.0.0/16", "fd00::/48"],
  );
  t.same(
    plan.pumpRoutes.map(({ prefix, endpoint }) => `${prefix} ${endpoint.address}`),
    ["10.244.2.0/24 192.168.50.2", "fd00:0:0:2::/64 192.168.50.2", "10.244.3.0/24 192.168.50.3"],
  );
  t.same(plan.masquerades, [
    { network: "10.244.0.0/16", subnet: "10.244.1.0/24" },
    { network: "fd00::/48", subnet: "fd00:0:0:1::/64" },
  ]);
});

t.test("publishes a lease like flannel's: public IP, no data", async (t) => {
  const underlay = { ...backendInput().underlay, publicIp: "203.0.113.7" };
  t.same(createUdpBackend(backendInput({}, { underlay })).leaseAttrs("h1"), {
    publicIp: "203.0.113.7",
    publicIpv6: null,
    backendType: "udp",
    backendData: null,
    backendV6Data: null,
    node: "h1",
  });
});

t.test("opens the configured port with no header", async (t) => {
  const bare = {
    tunName: "flannel0",
    protocol: "udp",
    isDscpInherited: false,
    sourcePorts: 0,
    innerMtuBytes: 1472,
    headerBytes: 0,
    headerChecks: [],
    endsInEthernet: false,
    questions: null,
  };
  t.same(createUdpBackend(backendInput()).socket, { ...bare, port: 8285 });
  t.same(createUdpBackend(backendInput({ Backend: { Type: "udp", port: 9000 } })).socket, { ...bare, port: 9000 });
  t.same(routeRows([reservation(2)], backendInput({ Backend: { Port: 9000, Type: "udp" } })), [
    "10.244.2.0/24 192.168.50.2:9000",
  ]);
  for (const Port of [0, 65_536, -1, 8285.5, "8285", true]) {
    t.throws(() => createUdpBackend(backendInput({ Backend: { Type: "udp", Port } })), {
      code: "BAD_CONFIG",
      message: `Backend.Port ${JSON.stringify(Port)} is not a UDP port; use a number from 1 to 65535, or remove it for 8285`,
    });
  }
});

t.test("an IPv6 subnet needs an IPv6 network", async (t) => {
  t.same(routeRows([dual(3)]), ["10.244.3.0/24 192.168.50.3:8285"]);
});

t.test("of two leases of one subnet the younger one counts", async (t) => {
  const older = { ...reservation(2), expiresAt: 1000 };
  const younger = { ...dual(2), attrs: attrs(20), expiresAt: 2000 };
  const rows = ["10.244.2.0/24 192.168.50.20:8285", "fd00:0:0:2::/64 192.168.50.20:8285"];
  t.same(routeRows([older, younger], backendInput(DUAL), dual(1)), rows);
  t.same(routeRows([younger, older], backendInput(DUAL), dual(1)), rows);
});

t.test("the inner MTU is the underlay's less 28, and must suit the network", async (t) => {
  const mtu = (mtuBytes: number, config = {}): number | undefined => {
    const underlay = { ...backendInput().underlay, mtuBytes };
    return createUdpBackend(backendInput(config, { underlay })).plan(reservation(1), []).links[0]?.mtuBytes;
  };
  t.equal(mtu(9000), 8972);
  t.equal(mtu(65_536), 65_507, "no datagram is larger, not even on loopback");
  t.equal(mtu(1308, DUAL), 1280);
  t.throws(() => mtu(1307, DUAL), { code: "BAD_CONFIG", message: /eth0 has MTU 1307, .* set its MTU to 1308 or more/ });
  t.throws(() => mtu(90), { code: "BAD_CONFIG" });
});

t.test("by FOU: the same lease, one ipip device with the port, a route to each host, nothing for a pump", async (t) => {
  const byFou = createUdpBackend(backendInput({}, { fouObjection: null, ipMasq: true }));
  const byPump = createUdpBackend(backendInput());
  const { socket, fouPort, overheadBytes, deviceNames, probeAddress, leaseAttrs } = byFou;
  t.same({ socket, fouPort }, { socket: null, fouPort: { port: 8285, localAddress: "192.168.50.1" } });
  t.same([overheadBytes, deviceNames], [byPump.overheadBytes, byPump.deviceNames]);
  t.same(leaseAttrs("h1"), byPump.leaseAttrs("h1"));
  t.equal(probeAddress(reservation(2)), "10.244.2.0");
  const link = "flannel0";
  t.same(byFou.plan(reservation(1), [reservation(2), reservation(3)]), {
    links: [
      {
        ...{ kind: "ipip", name: link, mtuBytes: 1472, localAddress: "192.168.50.1" },
        ...{ isDscpInherited: false, fouPort: 8285 },
      },
    ],
    addresses: [{ link, address: "10.244.1.0/32" }],
    routes: [
      { prefix: "10.244.2.0/24", link, gateway: "192.168.50.2", isOnLink: true },
      { prefix: "10.244.3.0/24", link, gateway: "192.168.50.3", isOnLink: true },
    ],
    neighbors: [],
    fdb: [],
    masquerades: [{ network: "10.244.0.0/16", subnet: "10.244.1.0/24" }],
    pumpRoutes: [],
  });
});

t.test("by FOU: the port of the configuration", async (t) => {
  const input = backendInput({ Backend: { Type: "udp", Port: 9999 } }, { fouObjection: null });
  const backend = createUdpBackend(input);
  t.equal(backend.fouPort?.port, 9999);
  t.match(backend.plan(reservation(1), []).links, [{ fouPort: 9999 }]);
});
