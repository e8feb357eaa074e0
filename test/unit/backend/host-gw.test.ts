// backend/host-gw: the plan of a host, against flannel's host-gw backend.
import t from "tap";
import type { BackendInput } from "../../../src/backend/backend.js";
import type { LinkReach } from "../../../src/backend/direct-route.js";
import { createHostGwBackend } from "../../../src/backend/host-gw.js";
import type { Lease } from "../../../src/lease/lease.js";
import { attrs, prefix, reservation } from "../../contract/lease-store.js";
import { backendInput } from "../../support/backend-input.js";

const LAN: LinkReach = { onLink: [prefix("192.168.50.0/24")], elsewhere: [], connected: [] };

function input(changes: Partial<BackendInput> = {}, network: object = {}): BackendInput {
  return backendInput({ ...network, Backend: { Type: "host-gw" } }, { reach: LAN, ...changes });
}

function peer(number: number, publicIp = `192.168.50.${number}`): Lease {
  return { ...reservation(number), attrs: { ...attrs(number), backendType: "host-gw", publicIp } };
}

t.test("plans a plain route per peer and nothing else", async (t) => {
  const plan = createHostGwBackend(input()).plan(peer(1), [peer(2), peer(3)]);
  t.same(plan, {
    links: [],
    addresses: [],
    routes: [
      { prefix: "10.244.2.0/24", link: "eth0", gateway: "192.168.50.2", isOnLink: false },
      { prefix: "10.244.3.0/24", link: "eth0", gateway: "192.168.50.3", isOnLink: false },
    ],
    neighbors: [],
    fdb: [],
    masquerades: [],
    pumpRoutes: [],
  });
  t.same(createHostGwBackend(input({ ipMasq: true })).plan(peer(1), []).masquerades, [
    { network: "10.244.0.0/16", subnet: "10.244.1.0/24" },
  ]);
});

t.test("publishes flannel's lease: type and public IP, no data; packets keep their size", async (t) => {
  const backend = createHostGwBackend(input());
  t.match(backend.leaseAttrs("h1"), { backendType: "host-gw", publicIp: "192.168.50.1", backendData: null });
  t.match(backend, { overheadBytes: 0, socket: null, deviceNames: [] });
  t.strictSame(backend.claimsOf(peer(2)), []);
});

t.test("a peer behind a router is refused with the reason", async (t) => {
  const { objectionTo } = createHostGwBackend(input());
  t.equal(objectionTo(peer(2)), null);
  t.equal(
    objectionTo(peer(2, "172.16.0.2")),
    "lease 10.244.2.0-24 of h2 is not used: it is at 172.16.0.2, which is not on the link eth0, as host-gw needs it; " +
      "put both hosts on one link, or set Backend.Type to vxlan (with DirectRouting, if you like)",
  );
});

t.test("an address that others are to use instead of the interface's is refused at the start", async (t) => {
  const underlay = { ...input().underlay, publicIp: "203.0.113.7" };
  t.throws(() => createHostGwBackend(input({ underlay })), {
    code: "BAD_OPTION",
    message: /^the public IP 203\.0\.113\.7 is not the address of eth0 \(192\.168\.50\.1\), and host-gw .* --public-ip/,
  });
});

t.test("a network with IPv6 is refused: hosts have no IPv6 addresses to route to", async (t) => {
  t.throws(() => createHostGwBackend(input({}, { EnableIPv6: true, IPv6Network: "fd00::/48" })), {
    code: "BAD_CONFIG",
    message: /remove EnableIPv6, or set Backend\.Type to vxlan or udp$/,
  });
});
