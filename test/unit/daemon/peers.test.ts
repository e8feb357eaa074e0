import t from "tap";
import { type PeerChoice, PeerChooser, type PeerRules } from "../../../src/daemon/peers.js";
import { type Lease, leaseKey } from "../../../src/lease/lease.js";
import { parseNetworkConfig } from "../../../src/lease/network-config.js";
import { lease } from "../../support/daemon-fixtures.js";

/** A mode that can reach everybody. */
const ANY = { type: "udp", objectionTo: () => null, claimsOf: () => [] };
const own = lease("10.244.1.0/24", "192.168.50.10", "a");
const b = lease("10.244.2.0/24", "192.168.50.11", "b");
const c = lease("10.244.3.0/24", "192.168.50.12", "c");

function peersOf(own: Lease, leases: readonly Lease[], rules: Partial<PeerRules> = {}): PeerChoice {
  const config = parseNetworkConfig('{"Network":"10.244.0.0/16"}', "a test");
  return new PeerChooser(own, { config, backend: ANY, ...rules }).choose(leases);
}

t.test("every other host is a peer, the own lease is not", async (t) => {
  t.same(peersOf(own, [b, own, c]), { peers: [b, c], conflicts: [] });
});

t.test("of two hosts with one public IP the one known longer is used, and a sentence says so", async (t) => {
  const thief = lease("10.244.4.0/24", "192.168.50.11", "thief");
  const { peers, conflicts } = peersOf(own, [b, c, thief]);
  t.same(peers, [b, c]);
  t.same(conflicts, [
    "leases 10.244.2.0-24 of b and 10.244.4.0-24 of thief have one public IP 192.168.50.11; the first, known longer, is used; give one of the hosts another --public-ip",
  ]);
});

t.test("two leases without a node name are two hosts", async (t) => {
  const first = lease("10.244.4.0/24", "192.168.50.14", null);
  const second = lease("10.244.5.0/24", "192.168.50.14", null);
  t.same(peersOf(own, [first, second]).peers, [first]);
});

t.test("a host that moved to another subnet is reached there, without a warning", async (t) => {
  const moved = lease("10.244.9.0/24", "192.168.50.11", "b");
  t.same(peersOf(own, [b, moved]), { peers: [moved], conflicts: [] });
});

t.test("a host that gained IPv6 keeps both leases of its one subnet", async (t) => {
  const dual = lease("10.244.2.0/24", "192.168.50.11", "b", { subnetV6: "fd00:1::/64" });
  t.same(peersOf(own, [b, dual]).peers.map(leaseKey), ["10.244.2.0-24", "10.244.2.0-24&fd00:1::-64"]);
});

t.test("a lease over this host's own subnet is left out with a sentence", async (t) => {
  const wide = lease("10.244.0.0/22", "192.168.50.20", "wide");
  const { peers, conflicts } = peersOf(own, [wide, b]);
  t.same(peers, [b]);
  t.match(conflicts, [/^lease 10\.244\.0\.0-22 of wide overlaps this host's 10\.244\.1\.0-24/]);
});

t.test(
  "a lease with this host's public IP is left out: another host's with a sentence, an older one of this host silently",
  async (t) => {
    const twin = lease("10.244.7.0/24", "192.168.50.10", "twin");
    t.match(peersOf(own, [twin]), { peers: [], conflicts: [/has this host's public IP 192\.168\.50\.10/] });
    const before = lease("10.244.7.0/24", "192.168.50.10", "a");
    t.same(peersOf(own, [before]), { peers: [], conflicts: [] });
  },
);

t.test("leases that overlap each other: the one known longer is used, whichever is the larger", async (t) => {
  const small = lease("10.244.8.0/24", "192.168.50.20", "small");
  const wide = lease("10.244.8.0/22", "192.168.50.21", "wide");
  t.same(peersOf(own, [small, b, wide]).peers, [small, b]);
  t.same(peersOf(own, [wide, b, small]).peers, [wide, b]);
  t.same(peersOf(own, [wide, small]).conflicts, [
    "leases 10.244.8.0-22 of wide and 10.244.8.0-24 of small overlap; the first, known longer, is used; remove the other",
  ]);
});

t.test("what cannot be reached is left out with its reason, the others stay", async (t) => {
  const cases: [Lease, RegExp][] = [
    [lease("10.244.4.0/24", "192.168.50.14", "x", { backendType: "vxlan" }), /is of mode vxlan, this host's is udp/],
    [lease("10.99.4.0/24", "192.168.50.14", "x"), /is outside the network 10\.244\.0\.0\/16 and is not used/],
    [lease("10.244.0.0/15", "192.168.50.14", "x"), /overlaps this host's/],
    [lease("10.244.4.0/24", "0.0.0.0", null), /10\.244\.4\.0-24 has 0\.0\.0\.0 for its public IP/],
    [lease("10.244.4.0/24", "239.1.1.1", "x"), /has 239\.1\.1\.1 for its public IP/],
    [lease("10.244.4.0/24", "127.0.0.1", "x"), /has 127\.0\.0\.1 for its public IP/],
    [lease("10.244.4.0/24", "10.244.4.1", "x"), /has 10\.244\.4\.1 for its public IP, which lies inside the network/],
    [lease("10.244.4.0/24", "255.255.255.255", "x"), /has 255\.255\.255\.255 for its public IP/],
  ];
  for (const [bad, reason] of cases) {
    const { peers, conflicts } = peersOf(own, [bad, b]);
    t.same(peers, [b]);
    t.match(conflicts, [reason]);
  }
});

t.test("a peer that the mode cannot reach is left out with the mode's sentence", async (t) => {
  const backend = { ...ANY, objectionTo: (peer: Lease) => (peer === b ? "b is far away" : null) };
  t.same(peersOf(own, [b, c], { backend }), { peers: [c], conflicts: ["b is far away"] });
});

t.test(
  "of two hosts with one claim the one known longer is used; one host that got another address is not two",
  async (t) => {
    const backend = { ...ANY, claimsOf: () => [{ what: "VtepMAC 02:00:00:00:00:02", flag: "--node-name" }] };
    t.same(peersOf(own, [b, c], { backend }), {
      peers: [b],
      conflicts: [
        "leases 10.244.2.0-24 of b and 10.244.3.0-24 of c have one VtepMAC 02:00:00:00:00:02; the first, known longer, is used; give one of the hosts another --node-name",
      ],
    });
    const moved = lease("10.244.9.0/24", "192.168.50.99", "b");
    t.same(peersOf(own, [b, moved], { backend }), { peers: [moved], conflicts: [] });
    const dual = lease("10.244.2.0/24", "192.168.50.11", "b", { subnetV6: "fd00:1::/64" });
    t.same(peersOf(own, [b, dual], { backend }).conflicts, []);
  },
);

t.test("any of several claims may be the one that two hosts share", async (t) => {
  const claimsOf = ({ attrs }: Lease) => [
    { what: `VtepMAC of ${attrs.node}`, flag: "--node-name" },
    { what: "public IPv6 fd99::2", flag: "--public-ipv6" },
  ];
  const { peers, conflicts } = peersOf(own, [b, c], { backend: { ...ANY, claimsOf } });
  t.same(peers, [b]);
  t.match(conflicts, [
    /of b and .* of c have one public IPv6 fd99::2; .* give one of the hosts another --public-ipv6$/,
  ]);
});
