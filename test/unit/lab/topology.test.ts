// Names, addresses and limits of a lab.
import fc from "fast-check";
import t from "tap";
import {
  backendOf,
  isNetnsOfLab,
  type LabSpec,
  labFolder,
  memberNetns,
  planTopology,
} from "../../../src/lab/topology.js";

const SPEC: LabSpec = { name: "lab", hosts: 2, podsPerHost: 1, backend: "udp", hasIpv6: false, daemonArgs: [] };
const CABLE = { mtuBytes: 1500, prefixLength: 16, ethtool: [] };

t.test("hosts and pods are numbered, and carry the lab's name", async (t) => {
  const topology = planTopology({ ...SPEC, name: "my-lab", hosts: 3, podsPerHost: 2 });
  t.equal(topology.bridgeNetns, "hopsack-my-lab-net");
  t.same(
    topology.hosts.map((host) => [host.name, host.netns, host.underlay]),
    [
      ["h1", "hopsack-my-lab-h1", "192.168.50.10"],
      ["h2", "hopsack-my-lab-h2", "192.168.50.11"],
      ["h3", "hopsack-my-lab-h3", "192.168.50.12"],
    ],
  );
  t.same(topology.hosts[2]?.pods[1], { name: "h3-p2", netns: "hopsack-my-lab-h3-p2" });
  t.equal(topology.hosts[0]?.statusSocket, "/run/hopsack/labs/my-lab/h1/hopsackd.sock");
});

t.test("etcd members have addresses of their own beside the hosts', and are none by default", async (t) => {
  t.same(planTopology(SPEC).etcd, []);
  const { etcd, hosts } = planTopology({ ...SPEC, hosts: 100, etcdMembers: 3 });
  t.same(etcd[2], {
    name: "m3",
    underlay: "192.168.50.4",
    clientUrl: "http://192.168.50.4:2379",
    peerUrl: "http://192.168.50.4:2380",
    dataFolder: "/run/hopsack/labs/lab/etcd/m3",
    log: "/run/hopsack/labs/lab/etcd/m3.log",
  });
  t.equal(new Set([...etcd, ...hosts].map(({ underlay }) => underlay)).size, 103);
});

t.test("counts outside the limits are refused with option and value", async (t) => {
  const cases: readonly [Partial<LabSpec>, RegExp][] = [
    [{ hosts: 0 }, /^--hosts 0 is not accepted; give a whole number from 1 to 100$/],
    [{ hosts: 101 }, /^--hosts 101 /],
    [{ podsPerHost: 0 }, /^--pods 0 /],
    [{ podsPerHost: 1.5 }, /^--pods 1\.5 /],
    [{ hosts: 100, podsPerHost: 3 }, /makes 300 pods; a lab has at most 256$/],
    [{ backend: "" }, /^--backend "" /],
    [{ backend: "{}" }, /^--backend \{\} is no Backend; write a mode, or JSON like/],
    [{ backend: '{"Type": 1}' }, /^--backend \{"Type": 1\} is no Backend/],
    [{ backend: "{" }, /^--backend \{ is no Backend/],
    [{ backend: "alloc", hasIpv6: true }, /^--ipv6 does not go with --backend alloc: /],
    [{ backend: '{"Type": "extension"}', hasIpv6: true }, /^--ipv6 does not go with --backend extension: /],
    [{ etcdMembers: 2 }, /^--etcd-members 2 is not accepted; give 1 or 3$/],
    [{ etcdMembers: 5 }, /^--etcd-members 5 /],
    [{ hosts: 3, cable: CABLE }, /^a cable joins two hosts, not 3 with 0 etcd members$/],
    [{ etcdMembers: 1, cable: CABLE }, /^a cable joins two hosts, not 2 with 1 etcd members$/],
  ];
  for (const [change, message] of cases) {
    t.throws(() => planTopology({ ...SPEC, ...change }), { code: "BAD_OPTION", message });
  }
});

t.test("a backend is a mode's name, or its JSON as it is; a bare extension gets host-gw's commands", async (t) => {
  t.strictSame(backendOf({ backend: "vxlan" }), { Type: "vxlan" });
  const json = '{"Type": "vxlan", "DirectRouting": true}';
  t.strictSame(backendOf({ backend: json }), { Type: "vxlan", DirectRouting: true });
  t.match(backendOf({ backend: "extension" }), { SubnetAddCommand: 'ip route replace "$SUBNET" via "$PUBLIC_IP"' });
});

t.test("a name that could not be part of a namespace's name or a path is refused", async (t) => {
  for (const name of ["", "../x", "a/b", "-a", "a-", "A", "a b", "a".repeat(21), "ä"]) {
    t.throws(() => labFolder(name), { code: "BAD_OPTION", message: JSON.stringify(name) });
  }
  t.equal(labFolder("a"), "/run/hopsack/labs/a");
  t.equal(labFolder("a".repeat(20)), `/run/hopsack/labs/${"a".repeat(20)}`);
});

t.test("the paths of status sockets fit a unix socket address", async (t) => {
  const { hosts } = planTopology({ ...SPEC, name: "a".repeat(20), hosts: 100 });
  t.ok(hosts.every((host) => host.statusSocket.length <= 107));
});

t.test("every namespace belongs to its own lab and to no other", async (t) => {
  const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?$/);
  const tricky = fc.constantFrom("a", "a-h1", "a-h1-p1", "a-net", "h1", "net");
  const anyName = fc.oneof(name, tricky);
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(anyName, anyName, (mine, other) => {
        const { bridgeNetns, hosts } = planTopology({ ...SPEC, name: mine, podsPerHost: 2 });
        const names = [bridgeNetns, ...hosts.flatMap((host) => [host.netns, ...host.pods.map((pod) => pod.netns)])];
        return names.every((netns) => isNetnsOfLab(netns, mine) && (mine === other || !isNetnsOfLab(netns, other)));
      }),
    ),
  );
});

t.test("members are found by name, and only by a whole one", async (t) => {
  t.equal(memberNetns("lab", "h1"), "hopsack-lab-h1");
  t.equal(memberNetns("lab", "h12-p3"), "hopsack-lab-h12-p3");
  for (const member of ["", "net", "h1-p1-x", "../h1", "h1 h2"]) t.equal(memberNetns("lab", member), undefined, member);
});
