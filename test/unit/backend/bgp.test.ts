// backend/bgp: with whom a host talks, and what it is told when the options make no sense.
import t from "tap";
import type { BackendInput } from "../../../src/backend/backend.js";
import { createBgpBackend } from "../../../src/backend/bgp.js";
import type { LinkReach } from "../../../src/backend/direct-route.js";
import type { Lease } from "../../../src/lease/lease.js";
import type { BgpPlan } from "../../../src/plan/plan.js";
import { attrs, prefix, reservation } from "../../contract/lease-store.js";
import { backendInput } from "../../support/backend-input.js";

const LAN: LinkReach = { onLink: [prefix("192.168.50.0/24")], elsewhere: [], connected: [] };

/** On host `number`: 192.168.50.<number>. */
function input(options: object = {}, number = 2, changes: Partial<BackendInput> = {}): BackendInput {
  const made = backendInput({ Backend: { Type: "bgp", ...options } }, { reach: LAN, ...changes });
  const address = `192.168.50.${number}`;
  return { ...made, underlay: { ...made.underlay, address, publicIp: address } };
}

function peer(number: number, publicIp = `192.168.50.${number}`): Lease {
  return { ...reservation(number), attrs: { ...attrs(number), backendType: "bgp", publicIp } };
}

function bgpOf(made: BackendInput, own: number, ...peers: readonly number[]): BgpPlan {
  const { bgp } = createBgpBackend(made).plan(
    peer(own),
    peers.map((number) => peer(number)),
  );
  if (bgp === undefined) throw new Error("no BGP in the plan");
  return bgp;
}

const inWords = ({ sessions }: BgpPlan): string[] =>
  sessions.map(({ kind, address, isPassive }) => `${kind} ${address}${isPassive ? " passive" : ""}`);

t.test("a host talks to every other, in one order, and of two the smaller address dials", async (t) => {
  const plan = bgpOf(input(), 2, 10, 3, 1);
  t.strictSame(inWords(plan), ["mesh 192.168.50.1 passive", "mesh 192.168.50.3", "mesh 192.168.50.10"]);
  t.match(plan, {
    localAddress: "192.168.50.2",
    asNumber: 64_512,
    underlay: "eth0",
    network: "10.244.0.0/16",
    subnet: "10.244.2.0/24",
    blackholeMetric: 0,
    bfd: "off",
  });
  t.match(plan.sessions[0], { asNumber: 64_512, password: null, isOnLink: true });
});

t.test("the plan has no device, no route and no data in the lease; packets keep their size", async (t) => {
  const backend = createBgpBackend(input());
  const plan = backend.plan(peer(2), [peer(3)]);
  t.strictSame([plan.links, plan.addresses, plan.routes, plan.neighbors, plan.fdb, plan.pumpRoutes], Array(6).fill([]));
  t.match(backend.leaseAttrs("h1"), { backendType: "bgp", publicIp: "192.168.50.2", backendData: null });
  t.match(backend, { overheadBytes: 0, socket: null, deviceNames: [], bgpAddress: "192.168.50.2" });
});

t.test("with reflectors a host talks to these alone, and they to all", async (t) => {
  const options = { RouteReflectors: ["192.168.50.1", "192.168.50.4"] };
  t.strictSame(inWords(bgpOf(input(options, 2), 2, 1, 3, 4)), ["reflector 192.168.50.1", "reflector 192.168.50.4"]);
  t.strictSame(inWords(bgpOf(input(options, 4), 4, 1, 2, 3)), [
    "mesh 192.168.50.1 passive",
    "client 192.168.50.2 passive",
    "client 192.168.50.3 passive",
  ]);
});

t.test("routers outside are for all hosts, or for the one that is named", async (t) => {
  const tor = { Address: "192.168.50.254", ASNumber: 65_001, Password: "secret" };
  const other = { Address: "172.16.0.1", ASNumber: 64_512, Node: "h9" };
  const plan = bgpOf(input({ Peers: [tor, { ...tor, Node: "h1", Address: "172.16.0.1" }, other] }), 2, 3);
  t.strictSame(inWords(plan), ["mesh 192.168.50.3", "global 192.168.50.254", "node 172.16.0.1"]);
  t.match(plan.sessions[1], { asNumber: 65_001, password: "secret", isOnLink: true });
  t.match(plan.sessions[2], { isOnLink: false });
});

t.test("the blackhole stands behind a bridge that has the whole subnet, whatever else is connected", async (t) => {
  const metricWith = (...connected: readonly string[]) =>
    bgpOf(input({}, 2, { reach: { ...LAN, connected: connected.map((text) => prefix(text)) } }), 2).blackholeMetric;
  t.equal(metricWith("10.244.2.0/24"), 32);
  t.equal(metricWith("172.17.0.0/16", "10.244.2.0/26", "10.244.3.0/24"), 0);
});

t.test("a host behind a router is refused with the reason, unless the router is a peer", async (t) => {
  const far = peer(3, "172.16.0.3");
  t.equal(
    createBgpBackend(input()).objectionTo(far),
    "lease 10.244.3.0-24 of h3 is not used: it is at 172.16.0.3, which is not on the link eth0, as bgp needs it; " +
      "put both hosts on one link, set Backend.IPIP to CrossSubnet, or name the router between them in Backend.Peers",
  );
  t.equal(createBgpBackend(input()).objectionTo(peer(3)), null);
  const Peers = [{ Address: "192.168.50.254", ASNumber: 65_001 }];
  t.equal(createBgpBackend(input({ Peers })).objectionTo(far), null);
});

t.test("options that make no sense are refused by name, value and what is accepted", async (t) => {
  const rows: readonly (readonly [object, RegExp])[] = [
    [{ ASNumber: 0 }, /^Backend\.ASNumber 0 is not accepted; give a whole number from 1 to 4294967294$/],
    [{ ASNumber: "64512" }, /^Backend\.ASNumber "64512" is not accepted/],
    [{ BFD: true }, /^Backend\.BFD true is not accepted; use one of: off, on, graceful$/],
    [{ RouteReflectors: "192.168.50.1" }, /^Backend\.RouteReflectors "192\.168\.50\.1" is not accepted; give a list/],
    [{ RouteReflectors: ["h1"] }, /^Backend\.RouteReflectors "h1" is not accepted; give IPv4 addresses/],
    [{ RouteReflectors: ["224.0.0.1"] }, /"224\.0\.0\.1" is not accepted/],
    [{ Peers: ["192.168.50.1"] }, /^Backend\.Peers "192\.168\.50\.1" is not accepted; give objects/],
    [{ Peers: [{ Address: "192.168.50.1" }] }, /^Backend\.Peers\.ASNumber is missing and is not accepted/],
    [{ Peers: [{ ASNumber: 1 }] }, /^Backend\.Peers\.Address is missing and is not accepted/],
    [{ Peers: [{ Address: "192.168.50.1", ASNumber: 1, Node: 7 }] }, /^Backend\.Peers\.Node 7 is not accepted/],
  ];
  for (const [options, message] of rows)
    t.throws(() => createBgpBackend(input(options)), { code: "BAD_CONFIG", message });
});

t.test("a password that BIRD's file cannot hold is refused, and not repeated", async (t) => {
  for (const Password of ["", 'quo"te', "line\nbreak", "ü", "x".repeat(81)]) {
    t.throws(() => createBgpBackend(input({ Password })), {
      code: "BAD_CONFIG",
      message: 'Backend.Password is not accepted; give 1 to 80 characters of printable ASCII other than "',
    });
  }
  t.equal(bgpOf(input({ Password: "x y;{}" }), 2, 3).sessions[0]?.password, "x y;{}");
});

t.test("a network with IPv6, and an address that is not the interface's, are refused as in host-gw", async (t) => {
  const v6 = backendInput({ EnableIPv6: true, IPv6Network: "fd00::/48", Backend: { Type: "bgp" } });
  t.throws(() => createBgpBackend(v6), { code: "BAD_CONFIG", message: /^bgp sends IPv6 .* remove EnableIPv6/ });
  const { underlay } = input();
  const published = input();
  t.throws(() => createBgpBackend({ ...published, underlay: { ...underlay, publicIp: "203.0.113.7" } }), {
    code: "BAD_OPTION",
    message: /and bgp routes to addresses on the link/,
  });
});

t.test(
  "IPIP Always: every host by the tunnel, the site's routers not; the device is there before BIRD needs it",
  async (t) => {
    const options = { IPIP: "Always", Peers: [{ Address: "192.168.50.254", ASNumber: 65_001 }] };
    const backend = createBgpBackend(input(options));
    const plan = backend.plan(peer(2), [peer(3), peer(4, "172.16.0.4")]);
    t.match(backend, { overheadBytes: 20, deviceNames: ["flannel.ipip"], socket: null });
    t.match(plan.links, [{ kind: "ipip", name: "flannel.ipip", localAddress: "192.168.50.2" }]);
    t.strictSame(plan.addresses, [{ link: "flannel.ipip", address: "10.244.2.0/32" }]);
    t.strictSame([plan.routes, plan.pumpRoutes], [[], []]);
    t.strictSame(plan.bgp?.tunnel, { device: "flannel.ipip", plain: ["192.168.50.254/32"], tunnelled: [] });
    t.equal(backend.probeAddress(peer(3)), "10.244.3.0");
  },
);

t.test(
  "IPIP CrossSubnet: by the tunnel to hosts that are not on the link, as the kernel has its prefix now",
  async (t) => {
    const reach: LinkReach = { ...LAN, onLink: [prefix("192.168.50.0/25")], elsewhere: [prefix("192.168.50.64/26")] };
    const made = input({ IPIP: "CrossSubnet" }, 2, { reach, ipipEngine: "userspace", ipipDevice: "tunl0" });
    const plan = createBgpBackend(made).plan(peer(2), [peer(3), peer(4, "172.16.0.4")]);
    t.strictSame(plan.bgp?.tunnel, { device: "tunl0", plain: ["192.168.50.0/25"], tunnelled: ["192.168.50.64/26"] });
    t.match(plan.links, [{ kind: "tun", name: "tunl0", mtuBytes: 1480 }]);
    t.strictSame(
      plan.pumpRoutes.map(({ endpoint }) => endpoint.address),
      ["192.168.50.3", "172.16.0.4"],
    );
    t.equal(createBgpBackend(made).objectionTo(peer(4, "172.16.0.4")), null);
  },
);

t.test("without IPIP a host behind a router is told of it", async (t) => {
  t.match(createBgpBackend(input()).objectionTo(peer(4, "172.16.0.4")), /set Backend\.IPIP to CrossSubnet/);
  t.throws(() => createBgpBackend(input({ IPIP: "Sometimes" })), {
    code: "BAD_CONFIG",
    message: /^Backend\.IPIP "Sometimes" is not accepted/,
  });
});
