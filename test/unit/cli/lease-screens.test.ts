// What `hopsack leases` shows a person: widths, order, and the words for each kind of end.
import t from "tap";
import * as screens from "../../../src/cli/lease-screens.js";
import { paintFor } from "../../../src/cli/output.js";
import { parseNetworkConfig } from "../../../src/lease/network-config.js";
import { lease } from "../../support/daemon-fixtures.js";

const plain = paintFor({}, {});
const NOW = Date.UTC(2030, 0, 1);
const HOUR = 3_600_000;

const LEASES = [
  lease("10.244.30.0/24", "192.168.50.12", null),
  { ...lease("10.244.4.0/24", "192.168.50.9", "host-b"), expiresAt: "unknown" as const },
  lease("10.244.1.0/24", "192.168.50.10", "host-a", { expiresAt: NOW + 23 * HOUR, backendType: "vxlan" }),
];

function config(value: unknown): ReturnType<typeof parseNetworkConfig> {
  return parseNetworkConfig(JSON.stringify(value), "test");
}

t.test("the table is sorted by subnet as numbers, and every end has its word", async (t) => {
  t.equal(
    screens.leaseTable(screens.sortedLeases(LEASES), "file:/srv", plain, NOW),
    `3 leases in file:/srv
  subnet          public IP      node    mode   ends in
  10.244.1.0/24   192.168.50.10  host-a  vxlan  23 h
  10.244.4.0/24   192.168.50.9   host-b  udp    unknown
  10.244.30.0/24  192.168.50.12  -       udp    reserved
`,
  );
  t.equal(screens.leaseTable([], "etcd", plain, NOW), "no leases in etcd\n");
  t.match(screens.leaseTable(LEASES.slice(0, 1), "etcd", plain, NOW), /^1 lease in etcd\n/);
});

t.test("both subnets of a dual-stack lease are shown", async (t) => {
  const dual = lease("10.244.1.0/24", "192.168.50.10", "host-a", { subnetV6: "fd00:244:0:1::/64", expiresAt: NOW });
  t.match(screens.leaseTable([dual], "x", plain, NOW), "  10.244.1.0/24 fd00:244:0:1::/64  192.168.50.10  host-a");
  const facts = screens.leaseFacts(dual, "x", plain, NOW);
  t.match(facts, /^10\.244\.1\.0-24&fd00:244:0:1::-64\n\n.*\nIPv6 subnet {3}fd00:244:0:1::\/64\n/);
});

t.test("one lease is shown with all it says", async (t) => {
  const vxlan = { publicIpv6: "fd00::1", backendType: "vxlan", backendData: { VNI: 1 }, backendV6Data: { VNI: 2 } };
  const full = lease("10.244.1.0/24", "192.168.50.10", "host-a", { ...vxlan, expiresAt: NOW + 23 * HOUR });
  t.equal(
    screens.leaseFacts(full, "file:/srv", plain, NOW),
    `10.244.1.0-24

subnet        10.244.1.0/24
public IP     192.168.50.10
public IPv6   fd00::1
node          host-a
mode          vxlan
mode's data   {"VNI":1}
  for IPv6    {"VNI":2}
ends          in 23 h unless renewed, at 2030-01-01T23:00:00.000Z
store         file:/srv
`,
  );
  const [reserved, unknown] = LEASES.map((one) => screens.leaseFacts(one, "etcd", plain, NOW));
  t.match(reserved, /\nnode {10}not named\n[\s\S]*\nends {10}never, it is reserved\n/);
  t.match(unknown, /\nends {10}unknown: the store takes it away/);
});

t.test("JSON has every field, its times in ISO 8601", async (t) => {
  t.same(
    LEASES.map((one) => screens.leaseJson(one).expiresAt),
    [null, "unknown", "2030-01-01T23:00:00.000Z"],
  );
  t.same(screens.leaseJson(lease("10.244.1.0/24", "192.168.50.10", "h1")), {
    key: "10.244.1.0-24",
    subnet: "10.244.1.0/24",
    subnetV6: null,
    publicIp: "192.168.50.10",
    publicIpv6: null,
    node: "h1",
    backendType: "udp",
    backendData: null,
    backendV6Data: null,
    expiresAt: null,
  });
});

t.test("a changed configuration is told fact by fact, and what stays the same is not", async (t) => {
  const before = config({ Network: "10.244.0.0/16", Backend: { Type: "vxlan", VNI: 7 } });
  const after = config({ Network: "10.244.0.0/16", EnableIPv6: true, IPv6Network: "fd00:244::/48" });
  t.equal(
    screens.configChange(before, after, "etcd"),
    `the network configuration of etcd is changed:

mode          vxlan {"VNI":7} → udp
IPv6 network  none → fd00:244::/48
IPv6 subnets  none → /64 from fd00:244:0:1::/64 to fd00:244:0:ffff::/64

hopsack hosts follow at once, flannel hosts when flanneld starts again
`,
  );
  t.equal(screens.configChange(after, after, "etcd"), "the network configuration of etcd says what it said before\n");
  t.equal(
    screens.configChange(null, before, "etcd"),
    `the network configuration of etcd is set:

network       10.244.0.0/16
subnets       /24 from 10.244.1.0/24 to 10.244.255.0/24
mode          vxlan {"VNI":7}
`,
  );
});

t.test("a sentence names ten leases and counts the others", async (t) => {
  const many = Array.from({ length: 12 }, (_, index) => lease(`10.244.${index}.0/24`, `192.168.50.${index}`, "h"));
  t.equal(screens.namedLeases(many).split(" of h").length - 1, 10);
  t.match(screens.namedLeases(many), / and 2 more$/);
  t.equal(screens.namedLeases(many.slice(0, 1)), "10.244.0.0/24 of h (192.168.50.0)");
});
