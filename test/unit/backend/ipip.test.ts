// backend/ipip and ipip-tunnel: the plan of a host, against flannel's ipip backend, by both engines.
import t from "tap";
import type { BackendInput } from "../../../src/backend/backend.js";
import type { LinkReach } from "../../../src/backend/direct-route.js";
import { createIpipBackend } from "../../../src/backend/ipip.js";
import { usesIpip } from "../../../src/backend/ipip-tunnel.js";
import { createBackend } from "../../../src/backend/registry.js";
import type { Lease } from "../../../src/lease/lease.js";
import { attrs, prefix, reservation } from "../../contract/lease-store.js";
import { backendInput } from "../../support/backend-input.js";

const LAN: LinkReach = { onLink: [prefix("192.168.50.0/24")], elsewhere: [], connected: [] };

function input(options: object = {}, changes: Partial<BackendInput> = {}): BackendInput {
  return backendInput({ Backend: { Type: "ipip", ...options } }, { reach: LAN, ...changes });
}

const byPump = { ipipEngine: "userspace" } as const;

function peer(number: number, publicIp = `192.168.50.${number}`): Lease {
  return { ...reservation(number), attrs: { ...attrs(number), backendType: "ipip", publicIp } };
}

const NEAR = peer(2);
const FAR = peer(3, "172.16.0.3");

function routesOf(options: object, changes: Partial<BackendInput> = {}): string[] {
  const { routes } = createIpipBackend(input(options, changes)).plan(peer(1), [NEAR, FAR]);
  return routes.map(({ prefix, gateway, link, isOnLink }) =>
    [prefix, ...(gateway === null ? [] : ["via", gateway]), "dev", link, ...(isOnLink ? ["onlink"] : [])].join(" "),
  );
}

t.test("by the kernel: flannel's device, /32 address, and for each peer an on-link route to its host", async (t) => {
  t.same(createIpipBackend(input()).plan(peer(1), [NEAR, FAR]), {
    links: [
      {
        kind: "ipip",
        name: "flannel.ipip",
        mtuBytes: 1480,
        localAddress: "192.168.50.1",
        isDscpInherited: false,
        fouPort: null,
      },
    ],
    addresses: [{ link: "flannel.ipip", address: "10.244.1.0/32" }],
    routes: [
      { prefix: "10.244.2.0/24", link: "flannel.ipip", gateway: "192.168.50.2", isOnLink: true },
      { prefix: "10.244.3.0/24", link: "flannel.ipip", gateway: "172.16.0.3", isOnLink: true },
    ],
    neighbors: [],
    fdb: [],
    masquerades: [],
    pumpRoutes: [],
  });
});

t.test("by the pump: a TUN of the same name, one route of the whole Network, hosts in the pump's table", async (t) => {
  const backend = createIpipBackend(input({}, { ...byPump, ipipDevice: "tunl0" }));
  const plan = backend.plan(peer(1), [NEAR, FAR]);
  t.match(plan.links, [{ kind: "tun", name: "tunl0", mtuBytes: 1480 }]);
  t.strictSame(routesOf({}, byPump), ["10.244.0.0/16 dev flannel.ipip"]);
  t.strictSame(
    plan.pumpRoutes.map(({ prefix, endpoint, header }) => [prefix, endpoint, header.length]),
    [
      ["10.244.2.0/24", { address: "192.168.50.2", port: 0 }, 0],
      ["10.244.3.0/24", { address: "172.16.0.3", port: 0 }, 0],
    ],
  );
  t.match(backend.socket, { protocol: "ipip", port: 0, tunName: "tunl0", innerMtuBytes: 1480, headerBytes: 0 });
});

t.test(
  "across subnets only hosts behind a router are tunnelled to; DirectRouting is flannel's word for it",
  async (t) => {
    const routes = ["10.244.3.0/24 via 172.16.0.3 dev flannel.ipip onlink", "10.244.2.0/24 via 192.168.50.2 dev eth0"];
    for (const options of [{ Mode: "cross-subnet" }, { Mode: "CrossSubnet" }, { DirectRouting: true }]) {
      t.strictSame(routesOf(options), routes, JSON.stringify(options));
    }
    t.strictSame(routesOf({ Mode: "cross-subnet" }, byPump), ["10.244.0.0/16 dev flannel.ipip", routes[1]]);
  },
);

t.test("across subnets the pump knows all hosts: what they think of the way may differ for a moment", async (t) => {
  const { pumpRoutes } = createIpipBackend(input({ Mode: "cross-subnet" }, byPump)).plan(peer(1), [NEAR, FAR]);
  t.strictSame(
    pumpRoutes.map(({ endpoint }) => endpoint.address),
    ["192.168.50.2", "172.16.0.3"],
  );
});

t.test("the prefix length of the link is what the kernel says at the moment", async (t) => {
  const half: LinkReach = { ...LAN, elsewhere: [prefix("192.168.50.2/31")] };
  const wider: LinkReach = { ...LAN, onLink: [prefix("192.168.50.0/24"), prefix("172.16.0.0/16")] };
  t.match(routesOf({ Mode: "cross-subnet" }, { reach: half })[0], "10.244.2.0/24 via 192.168.50.2 dev flannel.ipip");
  t.notMatch(routesOf({ Mode: "cross-subnet" }, { reach: wider }).join(), "flannel.ipip");
});

t.test("never: host-gw under this name, with no device, and hosts behind a router objected to", async (t) => {
  const backend = createIpipBackend(input({ Mode: "never" }, byPump));
  t.match(backend, { type: "ipip", overheadBytes: 0, socket: null, deviceNames: [] });
  t.strictSame(backend.plan(peer(1), [NEAR]).routes, [
    { prefix: "10.244.2.0/24", link: "eth0", gateway: "192.168.50.2", isOnLink: false },
  ]);
  t.equal(backend.objectionTo(NEAR), null);
  t.match(backend.objectionTo(FAR), /172\.16\.0\.3, which is not on the link eth0, as ipip needs it/);
  t.equal(backend.leaseAttrs("h1").backendType, "ipip");
  t.equal(backend.probeAddress(NEAR), "192.168.50.2");
});

t.test("publishes flannel's lease: type and public IP, no data; every host can be reached", async (t) => {
  const backend = createBackend(input());
  t.match(backend.leaseAttrs("h1"), { backendType: "ipip", publicIp: "192.168.50.1", backendData: null });
  t.match(backend, { overheadBytes: 20, deviceNames: ["flannel.ipip"] });
  t.strictSame([backend.objectionTo(NEAR), backend.objectionTo(FAR)], [null, null]);
  t.equal(backend.probeAddress(FAR), "10.244.3.0");
});

t.test("the outer DSCP is 0 as tunl0 has it, or the inner one", async (t) => {
  const inherited = { DSCP: "inherit" };
  t.match(createIpipBackend(input(inherited)).plan(peer(1), []).links, [{ isDscpInherited: true }]);
  t.match(createIpipBackend(input(inherited, byPump)).socket, { isDscpInherited: true });
  t.match(createIpipBackend(input({ DSCP: 0 }, byPump)).socket, { isDscpInherited: false });
});

t.test("what cannot be used is refused with the value and what is accepted", async (t) => {
  for (const [options, sentence] of [
    [{ Mode: "sometimes" }, 'Backend.Mode "sometimes" is not accepted; use always, cross-subnet or never'],
    [{ Mode: 1 }, "Backend.Mode 1 is not accepted"],
    [{ DirectRouting: "yes" }, 'Backend.DirectRouting "yes" is not a boolean'],
    [{ Mode: "always", DirectRouting: true }, 'Backend.Mode "always" and DirectRouting true contradict each other'],
    [{ DSCP: 46 }, "Backend.DSCP 46 is not accepted; use 0"],
  ] as const) {
    t.throws(() => createIpipBackend(input(options)), { code: "BAD_CONFIG", message: sentence });
  }
  const dual = backendInput({ EnableIPv6: true, IPv6Network: "fd00::/48", Backend: { Type: "ipip" } });
  t.throws(() => createIpipBackend(dual), { code: "BAD_CONFIG", message: /^ipip carries IPv4 packets only/ });
  const narrow = { underlay: { ...input().underlay, mtuBytes: 80 } };
  t.throws(() => createIpipBackend(input({}, narrow)), { code: "BAD_CONFIG", message: /leaves 60 bytes/ });
});

t.test("the kernel is asked for ipip only where the mode needs it", async (t) => {
  const uses = (backend: object) => usesIpip(backendInput({ Backend: backend }).config);
  t.strictSame([{ Type: "ipip" }, { Type: "bgp", IPIP: "Always" }, { Type: "bgp", IPIP: "CrossSubnet" }].map(uses), [
    true,
    true,
    true,
  ]);
  t.strictSame([{ Type: "ipip", Mode: "never" }, { Type: "bgp" }, { Type: "udp" }].map(uses), [false, false, false]);
});
