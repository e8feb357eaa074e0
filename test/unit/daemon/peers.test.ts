import t from "tap";
import { choosePeers } from "../../../src/daemon/peers.js";
import { leaseKey } from "../../../src/lease/lease.js";
import { lease } from "../../support/daemon-fixtures.js";

const own = lease("10.244.1.0/24", "192.168.50.10", "a");
const b = lease("10.244.2.0/24", "192.168.50.11", "b");
const c = lease("10.244.3.0/24", "192.168.50.12", "c");

t.test("every other host is a peer, the own lease is not", async (t) => {
  t.same(choosePeers(own, [b, own, c]), { peers: [b, c], conflicts: [] });
});

t.test("of two hosts with one public IP the one known longer is used, and a sentence says so", async (t) => {
  const thief = lease("10.244.4.0/24", "192.168.50.11", "thief");
  const { peers, conflicts } = choosePeers(own, [b, c, thief]);
  t.same(peers, [b, c]);
  t.same(conflicts, [
    "leases 10.244.2.0-24 of b and 10.244.4.0-24 of thief have one public IP 192.168.50.11; the first, known longer, is used; give one of the hosts another --public-ip",
  ]);
});

t.test("two leases without a node name are two hosts", async (t) => {
  const first = lease("10.244.4.0/24", "192.168.50.14", null);
  const second = lease("10.244.5.0/24", "192.168.50.14", null);
  t.same(choosePeers(own, [first, second]).peers, [first]);
});

t.test("a host that moved to another subnet is reached there, without a warning", async (t) => {
  const moved = lease("10.244.9.0/24", "192.168.50.11", "b");
  t.same(choosePeers(own, [b, moved]), { peers: [moved], conflicts: [] });
});

t.test("a host that gained IPv6 keeps both leases of its one subnet", async (t) => {
  const dual = lease("10.244.2.0/24", "192.168.50.11", "b", { subnetV6: "fd00:1::/64" });
  t.same(choosePeers(own, [b, dual]).peers.map(leaseKey), ["10.244.2.0-24", "10.244.2.0-24&fd00:1::-64"]);
});

t.test("a lease over this host's own subnet is left out with a sentence", async (t) => {
  const wide = lease("10.244.0.0/22", "192.168.50.20", "wide");
  const { peers, conflicts } = choosePeers(own, [wide, b]);
  t.same(peers, [b]);
  t.match(conflicts, [/^lease 10\.244\.0\.0-22 of wide overlaps this host's 10\.244\.1\.0-24/]);
});

t.test(
  "a lease with this host's public IP is left out: another host's with a sentence, an older one of this host silently",
  async (t) => {
    const twin = lease("10.244.7.0/24", "192.168.50.10", "twin");
    t.match(choosePeers(own, [twin]), { peers: [], conflicts: [/has this host's public IP 192\.168\.50\.10/] });
    const before = lease("10.244.7.0/24", "192.168.50.10", "a");
    t.same(choosePeers(own, [before]), { peers: [], conflicts: [] });
  },
);
