import t from "tap";
import type { BackendInput } from "../../../src/backend/backend.js";
import type { LinkReach } from "../../../src/backend/direct-route.js";
import { createBackend } from "../../../src/backend/registry.js";
import { vtepMac } from "../../../src/backend/vtep-mac.js";
import type { Lease } from "../../../src/lease/lease.js";
import { attrs, prefix, reservation } from "../../contract/lease-store.js";
import { backendInput } from "../../support/backend-input.js";

const IDENTITY = backendInput().identity;
const LAN: LinkReach = { onLink: [prefix("192.168.50.0/24")], elsewhere: [], connected: [] };

function input(backend: object = {}, changes: Partial<BackendInput> = {}, network: object = {}): BackendInput {
  const config = { ...network, Backend: { Type: "vxlan", ...backend } };
  return backendInput(config, { vxlanEngine: "userspace", ...changes });
}

function peer(number: number, subnetV6: string | null = null): Lease {
  const backendData = { VNI: 1, VtepMAC: `02:00:00:00:00:0${number}` };
  const lease = reservation(number);
  return {
    ...lease,
    subnetV6: subnetV6 === null ? null : prefix(subnetV6),
    attrs: { ...attrs(number), backendType: "vxlan", backendData },
  };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

t.test("publishes what the kernel engine publishes", async (t) => {
  const userspace = createBackend(input());
  const kernel = createBackend(input({}, { vxlanEngine: "kernel" }));
  t.same(userspace.leaseAttrs("h1"), kernel.leaseAttrs("h1"));
  t.equal(userspace.overheadBytes, kernel.overheadBytes);
  t.equal(userspace.objectionTo(reservation(2)), kernel.objectionTo(reservation(2)));
  t.strictSame(userspace.claimsOf(peer(2)), kernel.claimsOf(peer(2)));
  t.same(userspace.deviceNames, kernel.deviceNames);
});

t.test("each peer's header is VXLAN and inner Ethernet, from our tunnel end to its", async (t) => {
  const own = vtepMac(IDENTITY, 1).replaceAll(":", "");
  const { links, routes, pumpRoutes } = createBackend(input()).plan(peer(1), [peer(2)]);
  t.match(links, [{ kind: "tun", name: "flannel.1", mtuBytes: 1450 }]);
  t.match(routes, [{ prefix: "10.244.0.0/16", link: "flannel.1", gateway: null }]);
  t.match(pumpRoutes, [{ prefix: "10.244.2.0/24", endpoint: { address: "192.168.50.2", port: 8472 } }]);
  t.equal(hex(pumpRoutes[0]?.header ?? new Uint8Array()), `0800000000000100020000000002${own}0800`);
});

t.test("an IPv6 subnet has a header of its own", async (t) => {
  const backend = createBackend(input({}, {}, { EnableIPv6: true, IPv6Network: "fd00::/48" }));
  const { pumpRoutes } = backend.plan(peer(1, "fd00:0:0:1::/64"), [peer(2, "fd00:0:0:2::/64")]);
  t.same(
    pumpRoutes.map(({ prefix, header }) => `${prefix} ${hex(header).slice(-4)}`),
    ["10.244.2.0/24 0800", "fd00:0:0:2::/64 86dd"],
  );
});

t.test("what arrives is checked field by field, each with its reason, the outermost first", async (t) => {
  const socket = createBackend(input({ VNI: 0x1234, Port: 4789 })).socket;
  t.match(socket, { tunName: "flannel.4660", port: 4789, headerBytes: 22, endsInEthernet: true });
  t.ok((socket?.sourcePorts ?? 0) > 0, "inner flows have source ports of their own");
  const own = vtepMac(IDENTITY, 0x1234).replaceAll(":", "");
  t.same(
    socket?.headerChecks.map(({ offset, value, mask, reason }) => `${offset} ${hex(value)}/${hex(mask)} ${reason}`),
    [
      "0 08/08 no_vni_flag",
      "4 001234/ffffff wrong_vni",
      "8 00/01 inner_multicast",
      `8 ${own}/ffffffffffff wrong_inner_mac`,
      "20 0800/ffff wrong_ether_type",
      "20 86dd/ffff wrong_ether_type",
    ],
  );
});

t.test("DirectRouting reaches peers on our link without the tunnel, others through it", async (t) => {
  const backend = createBackend(input({ DirectRouting: true }, { reach: LAN }));
  const far = { ...peer(3), attrs: { ...peer(3).attrs, publicIp: "172.16.0.3" } };
  const { routes, pumpRoutes } = backend.plan(peer(1), [peer(2), far]);
  t.same(
    routes.map(({ prefix, link, gateway }) => `${prefix} ${link} ${gateway}`),
    ["10.244.0.0/16 flannel.1 null", "10.244.2.0/24 eth0 192.168.50.2"],
  );
  t.same(
    pumpRoutes.map((route) => route.prefix),
    ["10.244.3.0/24"],
  );
});
