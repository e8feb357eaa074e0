// Where a packet stopped, and the likeliest reason, from what was seen and what the hosts said. And the readers of those words.
import t from "tap";
import { sight } from "../../../src/capture/sighting.js";
import { parseSnmp, risen } from "../../../src/trace/host-facts.js";
import { type Mark, nftMatches, wayOf } from "../../../src/trace/mark.js";
import { parseTrace } from "../../../src/trace/netfilter-watch.js";
import { type Step, stepOf } from "../../../src/trace/step.js";
import { findStop, type Testimony } from "../../../src/trace/stop.js";
import { USUAL_PORTS } from "../../../src/wire/dissect.js";
import { bytes, INNER_PING, IPIP_PING, TUNNELLED_PING, VXLAN_PING } from "../wire/packets.js";

const MARK: Mark = { protocol: "icmp", source: "10.244.1.2", destination: "10.244.2.2", id: 0x1234, port: null };
const LINK = { index: 2, name: "eth0", mtuBytes: 1500, alias: null };

function seen(packet: Uint8Array, direction: "in" | "out" = "out", device = "eth0") {
  const header = bytes(`0800 0000 0000 0002 0001 0${direction === "out" ? 4 : 0} 06 0000 0000 0000 0000`);
  const captured = { timeSeconds: 1, originalLength: 20 + packet.length };
  const links = new Map([[2, { ...LINK, name: device }]]);
  const sighting = sight({ ...captured, bytes: Uint8Array.from([...header, ...packet]) }, links, USUAL_PORTS);
  if (sighting === undefined) throw new Error("nothing was seen");
  return sighting;
}

const at = (member: string, device: string, direction: "in" | "out", packet: Uint8Array = INNER_PING): Step =>
  stepOf(member, "there", seen(packet, direction, device));

function testimony(name: string, kind: "pod" | "host", facts: Partial<Testimony> = {}): Testimony {
  return {
    member: { name, netns: name, kind, socket: null },
    route: { text: "10.244.2.2 dev eth0", isRoute: true },
    report: null,
    verdicts: [],
    risen: [],
    links: [],
    neighbours: [],
    isForwarding: true,
    addresses: [],
    ...facts,
  };
}

const PATH = [
  testimony("p1", "pod"),
  testimony("h1", "host"),
  testimony("h2", "host", { addresses: ["192.168.50.11"] }),
  testimony("p2", "pod", { route: null }),
];

t.test(
  "the marked packet is known in every wrapping, its answer and errors about it too, others are not",
  async (t) => {
    for (const packet of [INNER_PING, TUNNELLED_PING.subarray(14), VXLAN_PING, IPIP_PING]) {
      t.equal(wayOf(seen(packet), MARK), "there");
      t.equal(wayOf(seen(packet), { ...MARK, id: 1 }), null);
      t.equal(wayOf(seen(packet), { ...MARK, source: "10.244.2.2", destination: "10.244.1.2" }), null);
    }
    const reply = INNER_PING.slice();
    reply[20] = 0;
    reply.set(bytes("0af4 0202 0af4 0102"), 12);
    t.equal(wayOf(seen(reply), MARK), "back");
    const error = Uint8Array.from([
      ...bytes("4500 0040 0000 0000 4001 0000 c0a8 320b 0af4 0102 0300 0000 0000 0000"),
      ...INNER_PING,
    ]);
    t.equal(wayOf(seen(error), MARK), "error");
    t.equal(wayOf(seen(error), { ...MARK, id: 1 }), null);
  },
);

t.test("nftables is told where destination and number lie in each wrapping", async (t) => {
  t.same(nftMatches(MARK), [
    "ip saddr 10.244.1.2 ip daddr 10.244.2.2 icmp id 4660 icmp type echo-request",
    "ip protocol udp @th,192,32 0x0af40202 @th,256,16 4660",
    "ip protocol udp @th,368,32 0x0af40202 @th,432,16 4660",
    "ip protocol 4 @th,128,32 0x0af40202 @th,192,16 4660",
  ]);
  t.match(nftMatches({ ...MARK, protocol: "tcp", id: 20_000, port: 80 })[1], "@th,224,16 20000");
});

t.test("where it stopped is where it was seen last", async (t) => {
  const where = (...steps: Step[]) => findStop(MARK, PATH, true, steps)?.where;
  t.equal(where(), "it does not leave p1");
  t.equal(where(at("p1", "eth0", "out")), "it leaves p1 by eth0 and does not arrive on h1");
  const inHost = [at("p1", "eth0", "out"), at("h1", "cni0", "in")];
  t.equal(where(...inHost), "it stops on h1: seen last on cni0, in");
  t.equal(where(...inHost, at("h1", "flannel0", "out")), "it stops on h1: seen last on flannel0, out");
  const left = [...inHost, at("h1", "eth0", "out", IPIP_PING)];
  t.equal(where(...left), "it leaves h1 by eth0 and does not arrive on h2");
  t.equal(where(...left, at("h2", "eth0", "in", IPIP_PING)), "it stops on h2: seen last on eth0, in");
  const arrived = [...left, at("h2", "veth1", "out"), at("p2", "eth0", "in")];
  t.equal(where(...arrived), "it arrives at p2, which does not answer");
  t.equal(
    where(...arrived, { ...at("p2", "eth0", "out"), way: "back" }),
    "the answer leaves p2 by eth0 and does not arrive on h2",
  );
  t.equal(where(...arrived, { ...at("p1", "eth0", "in"), way: "back" }), undefined, "answered");
  t.equal(findStop({ ...MARK, protocol: "udp", port: 9 }, PATH, true, arrived), null, "a datagram needs no answer");
  const toHost = [...PATH.slice(0, 2), testimony("h2", "host", { addresses: [MARK.destination] })];
  const ended = [...left, at("h2", "flannel0", "in")];
  t.equal(findStop(MARK, toHost, false, ended)?.where, "it arrives at h2, which does not answer");
});

t.test("the likeliest reason comes first, and each has its words", async (t) => {
  const reasons = (facts: Partial<Testimony>) => {
    const path = [testimony("p1", "pod"), testimony("h1", "host", { report: REPORT, ...facts })];
    return findStop(MARK, path, false, [at("p1", "eth0", "out"), at("h1", "cni0", "in")])?.reasons ?? [];
  };
  const REPORT = {
    network: "10.244.0.0/16",
    lease: { subnet: "10.244.1.0/24" },
    peers: [{ subnet: "10.244.2.0/24" }],
  } as never;
  t.same(reasons({}), []);
  t.same(reasons({ report: null }), ["no hopsackd answers on h1"]);
  t.match(
    reasons({ report: { network: "10.244.0.0/16", lease: null, peers: [] } as never })[0],
    "no lease that h1 knows covers 10.244.2.2",
  );
  const drop = { table: "inet wall", chain: "in", rule: "icmp drop", verdict: "drop" };
  t.match(reasons({ verdicts: [drop], isForwarding: false }), [
    /^nftables refused it on h1: .* rule "icmp drop"$/,
    /does not forward/,
  ]);
  t.match(reasons({ verdicts: [{ ...drop, table: "inet hopsack_policy" }] })[0], /^a policy refused it/);
  t.match(reasons({ verdicts: [{ ...drop, rule: null }] })[0], "the policy of the chain is drop");
  t.same(reasons({ verdicts: [{ ...drop, verdict: "accept" }] }), []);
  t.match(
    reasons({ route: { text: "Network is unreachable", isRoute: false } })[0],
    "h1 has no route: Network is unreachable",
  );
  t.match(
    reasons({ risen: [{ name: "hopsackd no_route", help: "no host", by: 1 }] })[0],
    "hopsackd on h1 counted 1 × no_route: no host",
  );
  t.match(
    reasons({ risen: [{ name: "Udp.NoPorts", help: "nobody", by: 2 }] })[0],
    "Udp.NoPorts rose by 2 on h1: nobody",
  );
  t.match(
    reasons({ neighbours: [{ address: "10.244.2.2", device: "cni0", states: ["INCOMPLETE"] }] })[0],
    "nobody answers h1's ARP",
  );
  t.match(reasons({ links: [{ name: "eth0", isUp: false, isBridge: false, vxlan: null }] })[0], "eth0 of h1 is down");
});

t.test("a wrapped packet that was sent to somebody else is said so", async (t) => {
  const path = [PATH[0], PATH[1], testimony("h2", "host", { addresses: ["192.168.50.99"] })].filter(
    (one) => one !== undefined,
  );
  const stop = findStop(MARK, path, false, [at("p1", "eth0", "out"), at("h1", "eth0", "out", IPIP_PING)]);
  t.equal(stop?.reasons[0], "it was wrapped for 192.168.50.11, which is no address of h2");
});

t.test("what nft monitor trace writes is read, but for our own table", async (t) => {
  const text = `
trace id 4760c487 inet hopsack_trace_7 arriving rule icmp id 4711 meta nftrace set 1 (verdict continue)
trace id 4760c487 inet hopsack_trace_7 arriving policy accept
trace id 4760c487 inet f i packet: iif "eth0" ip saddr 10.9.0.1 icmp id 4711
trace id 4760c487 inet f i rule icmp type echo-request drop (verdict drop)
trace id 4760c487 ip filter FORWARD policy drop
`;
  t.same(parseTrace(text), [
    { table: "inet f", chain: "i", rule: "icmp type echo-request drop", verdict: "drop" },
    { table: "ip filter", chain: "FORWARD", rule: null, verdict: "drop" },
  ]);
});

t.test("counters are read from pairs of lines, and what rose is told", async (t) => {
  const counters = parseSnmp("Ip: Forwarding OutNoRoutes\nIp: 1 4\nTcpExt: IPReversePathFilter\nTcpExt: 9\n");
  t.same(
    [...counters],
    [
      ["Ip.Forwarding", 1],
      ["Ip.OutNoRoutes", 4],
      ["TcpExt.IPReversePathFilter", 9],
    ],
  );
  const before = new Map([["a", { count: 3, help: "lost" }]]);
  const after = new Map([
    ["a", { count: 5, help: "lost" }],
    ["b", { count: 0, help: "" }],
  ]);
  t.same(risen(before, after), [{ name: "a", help: "lost", by: 2 }]);
});
