// What cannot be made in a namespace is shown to the checks as the kernel or the tool writes it.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import t from "tap";
import { statusReport } from "../../../src/daemon/status.js";
import { type Check, type Finding, NotChecked } from "../../../src/doctor/check.js";
import { CHECKS, diagnose } from "../../../src/doctor/doctor.js";
import type { Facts, Knock, Peer } from "../../../src/doctor/facts.js";
import { gatherFacts } from "../../../src/doctor/host-facts.js";
import { destinationsOf, hasVerdict, parseNftRules } from "../../../src/doctor/nft-rules.js";
import { readyState } from "../../support/daemon-fixtures.js";
import { linkOf } from "../../support/link.js";

const report = statusReport(readyState(), 0);
const TUN = linkOf(7, "flannel0", { mtuBytes: 1472, kind: "tun" });

/** Facts of a host on which all is well, but for what the test says. */
function factsWith(more: Partial<Facts>): Facts {
  const fail = (): never => {
    throw new NotChecked("not in this test");
  };
  return {
    report,
    daemonFault: null,
    peers: [],
    links: [TUN],
    routes: [],
    kernelRelease: "6.12.48",
    now: 0,
    readText: () => null,
    routeTo: () => null,
    nftRules: fail,
    ping: fail,
    ask: fail,
    knock: fail,
    run: fail,
    clockAhead: fail,
    youngestFileAt: () => null,
    ...more,
  };
}

async function findings(id: string, more: Partial<Facts>): Promise<readonly Finding[]> {
  const check = CHECKS.find((check) => check.id === id);
  if (check === undefined) throw new Error(`no check ${id}`);
  return check.find(factsWith(more));
}

t.test("every check has an id of its own and asks a question", async (t) => {
  t.equal(new Set(CHECKS.map(({ id }) => id)).size, CHECKS.length);
  for (const { id, question } of CHECKS) t.ok(/^[a-z-]+$/.test(id) && question.endsWith("?"), id);
});

t.test("the kernels with the UDP GSO bug are found, by the words of uname -r", async (t) => {
  const found = async (kernelRelease: string) => (await findings("udp-gso-bug", { kernelRelease })).length;
  for (const release of ["7.0.0", "7.0.12-200.fc44.x86_64", "7.1.4-1-pve", "7.1"])
    t.equal(await found(release), 1, release);
  for (const release of ["6.18.44-amd64", "5.10.0-30-amd64", "7.1.5", "7.2-rc1", "8.0.0"])
    t.equal(await found(release), 0, release);
  t.match(await findings("udp-gso-bug", { kernelRelease: "7.1.2" }), [
    { severity: "warning", what: /^Linux 7\.1\.2 mangles/, cure: /7\.1\.5/ },
  ]);
});

/** Two lines a protocol, as Linux 6.18 writes them. */
const snmp = (tcpBad: number, udpBad: number): string => `Ip: Forwarding DefaultTTL InReceives
Ip: 1 64 1
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors
Tcp: 1 200 120000 -1 93074 91925 0 99199 0 694040 650164 4392 0 91641 ${tcpBad}
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors
Udp: 124386 12 29 121937 0 0 ${udpBad} 0 0
`;

t.test("broken checksum offload is found by the kernel's counters in /proc/net/snmp", async (t) => {
  const found = (tcp: number, udp: number) => findings("checksums", { readText: () => snmp(tcp, udp) });
  t.same(await found(0, 0), []);
  t.same(await found(500, 9), [], "a few in a hundred thousand are the wire's");
  const fresh = snmp(9, 0).replace("694040", "100");
  t.same(await findings("checksums", { readText: () => fresh }), [], "nor do nine packets show anything");
  t.match(await found(50_000, 0), [
    {
      what: /^50000 TCP packets arrived with a wrong checksum, and 694040 /,
      cure: /ethtool -K flannel0 tx off rx off/,
    },
  ]);
  t.match(await found(0, 4000), [{ what: /^4000 UDP packets/ }]);
});

/** As iproute2's ss writes it. */
const ss = (bytes: number): string =>
  `UNCONN 0      0      192.168.50.10:8285      0.0.0.0:*\n\t skmem:(r0,rb${bytes},t0,tb${bytes},f0,w0,o0,bl0,d0)\n`;

t.test("a socket that got less buffer than it asked for is found in the words of ss", async (t) => {
  const found = (bytes: number) => findings("socket-buffers", { run: async () => ss(bytes) });
  t.same(await found(14_680_064), []);
  t.match(await found(425_984), [
    {
      severity: "warning",
      what: /a receive buffer of 212992 bytes instead of 7340032$/,
      cure: /^sysctl -w net\.core\.rmem_max=7340032 /,
    },
  ]);
  const drops = [{ reason: "receive_buffer_full", help: "", packets: 12 }];
  const [lost] = await findings("socket-buffers", { run: async () => ss(425_984), report: { ...report, drops } });
  t.match(lost?.what, /and 12 datagrams were lost because it was full$/);
  await t.rejects(
    async () => findings("socket-buffers", { run: async () => "" }),
    /ss does not show the socket on UDP 8285/,
  );
});

t.test("the clock of an etcd is compared by the Date of its HTTP answers", async (t) => {
  let ahead = 0;
  const server = createServer((_, response) => {
    response.setHeader("date", new Date(Date.now() + 1000 * ahead).toUTCString());
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const store = { spec: `etcd http://127.0.0.1:${port}/coreos.com/network`, connected: true };
  const { clockAhead } = await gatherFacts("/nowhere.sock");
  const found = () => findings("clock-skew", { report: { ...report, store }, clockAhead });
  t.same(await found(), []);
  ahead = 90;
  t.match(await found(), [{ what: /is (8[0-9]|90|91) seconds ahead of this host's$/ }]);
  ahead = -90;
  t.match(await found(), [{ what: /is (89|9[0-9]) seconds behind this host's$/ }]);
});

t.test("a device with another MTU than its mode needs, and VirtualBox's address, are found", async (t) => {
  const links = [{ ...TUN, mtuBytes: 9000 }];
  t.match(await findings("device-mtu", { links }), [
    { what: /^flannel0 has MTU 9000, and 1472 is what fits into eth0$/, cure: /ip link set flannel0 mtu 1472$/ },
  ]);
  t.same(await findings("device-mtu", {}), []);
  const underlay = { link: "eth0", address: "10.0.2.15", publicIp: "10.0.2.15", mtuBytes: 1500 };
  t.match(await findings("underlay-address", { report: { ...report, underlay } }), [
    { severity: "problem", cure: /--iface/ },
  ]);
  t.same(await findings("underlay-address", {}), []);
});

t.test("a check that cannot be made hides none of the others, and the worst is told first", async (t) => {
  const check = (id: string, find: Check["find"]): Check => ({ id, question: "?", find });
  const finding = (severity: Finding["severity"], what: string): Finding => ({ severity, what, cure: "none" });
  const diagnosis = await diagnose(factsWith({}), [
    check("one", () => [finding("note", "n"), finding("warning", "same words")]),
    check("two", () => {
      throw new NotChecked("no tool");
    }),
    check("three", async () => [finding("problem", "p"), finding("problem", "same words")]),
  ]);
  t.same(
    diagnosis.findings.map(({ check, severity, what }) => [check, severity, what]),
    [
      ["three", "problem", "p"],
      ["three", "problem", "same words"],
      ["one", "note", "n"],
    ],
  );
  t.same(diagnosis.notChecked, [{ check: "two", reason: "no tool" }]);
  t.equal(diagnosis.worst, "problem");
  await t.rejects(
    diagnose(factsWith({}), [
      check("bug", () => {
        throw new TypeError("a bug");
      }),
    ]),
    TypeError,
  );
});

t.test("of nft's listing the checks read verdicts and destinations, single and prefixes", async (t) => {
  const match = (right: unknown) => ({
    match: { op: "==", left: { payload: { protocol: "ip", field: "daddr" } }, right },
  });
  const rule = (...expr: unknown[]) => ({ rule: { family: "ip", table: "raw", chain: "PREROUTING", expr } });
  const { rules, chains } = parseNftRules(
    JSON.stringify({
      nftables: [
        { metainfo: { version: "1.0.6" } },
        { chain: { family: "ip", table: "raw", name: "PREROUTING", hook: "prerouting", policy: "accept" } },
        rule(match("10.244.1.2"), { counter: null }, { drop: null }),
        rule(match({ prefix: { addr: "10.244.1.0", len: 24 } }), { accept: null }),
        rule({ match: { op: "!=", left: { payload: { field: "daddr" } }, right: "10.0.0.1" } }, { drop: null }),
      ],
    }),
  );
  t.match(chains, [{ name: "PREROUTING", hook: "prerouting", policy: "accept" }]);
  t.same(rules.map(destinationsOf), [["10.244.1.2"], ["10.244.1.0/24"], []]);
  t.same(
    rules.map((rule) => hasVerdict(rule, "drop")),
    [true, false, true],
  );
});

t.test("who does not answer through the tunnel is judged by what else is known of that host", async (t) => {
  const reach = { state: "silent", lastHeardAt: null, roundTripMilliseconds: null, loss: 1 } as const;
  const stranger = { subnet: "10.244.2.0/24", subnetV6: null, publicIp: "192.168.50.11", publicIpv6: null, node: null };
  const peer: Peer = { ...stranger, backendType: "udp", probeAddress: "10.244.2.0", reach, bytes: null };
  const heard = { ...reach, state: "lost", lastHeardAt: "2030-01-01T00:00:00.000Z" } as const;
  const found = async (peer: Peer, hasPing: boolean, knocked: Knock = "silence") => {
    const answers = { ask: async () => false, ping: async () => hasPing, knock: async () => knocked };
    const [finding] = await findings("tunnel-port", { peers: [peer], ...answers });
    return finding?.severity;
  };
  t.equal(await found(peer, true), "note", "flannel");
  t.equal(await found({ ...peer, node: "h2" }, true), "warning", "a daemon of ours may be without probes");
  t.equal(await found({ ...peer, reach: heard }, true), "problem");
  t.equal(await found({ ...peer, reach: heard }, false), "problem", "ping may be forbidden there");
  t.equal(await found(peer, false), "warning");
  t.equal(await found(peer, true, "refused"), "problem");
  t.equal(await found(peer, true, "kept back"), "problem");
});

t.test("with IP-in-IP there is no port to knock at: the firewall is to accept the protocol", async (t) => {
  const reach = {
    state: "lost",
    lastHeardAt: "2030-01-01T00:00:00.000Z",
    roundTripMilliseconds: null,
    loss: 1,
  } as const;
  const stranger = { subnet: "10.244.2.0/24", subnetV6: null, publicIp: "192.168.50.11", publicIpv6: null, node: "h2" };
  const peer: Peer = { ...stranger, backendType: "ipip", probeAddress: "10.244.2.0", reach, bytes: null };
  const device = { name: "flannel.ipip", mtuBytes: 1480, udpPort: null, volume: null };
  const answers = { ask: async () => false, ping: async () => true };
  for (const backend of ["ipip", "bgp"]) {
    const facts = { peers: [peer], report: { ...report, backend, device }, ...answers };
    t.match(await findings("tunnel-port", facts), [{ severity: "problem", cure: /accept IP protocol 4 / }], backend);
  }
  const plain = { peers: [peer], report: { ...report, backend: "bgp", device: null }, ...answers };
  t.strictSame(await findings("tunnel-port", plain), [], "without IPIP there is no tunnel");
});

t.test("a guard that is on is told, with what it dropped", async (t) => {
  t.strictSame(await findings("guard", {}), []);
  const guard = { table: "inet hopsack_guard-flannel0", ports: [8285], peers: 2, droppedPackets: 7 };
  t.match(await findings("guard", { report: { ...report, guard } }), [
    { severity: "note", what: /2 known addresses send to UDP 8285, 7 packets so far/, cure: /nft list table inet/ },
  ]);
});
