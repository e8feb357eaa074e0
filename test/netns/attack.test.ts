// What strangers and dishonest members send to the tunnel's port: each kind is counted by one name, nothing of it arrives behind the
// tunnel, nothing is logged. m has no daemon, but the address of a member and one of nobody.
//
//   [a 192.168.50.10, 10.244.1.0/24] ──┐
//   [b 192.168.50.11, 10.244.2.0/24] ──┼── br0
//   [m 192.168.50.12, 10.244.3.0/24, and 192.168.50.77] ──┘
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import type { StatusReport } from "../../src/daemon/status.js";
import { fetchStatus, parseStatus } from "../../src/daemon/status-client.js";
import { parseMac } from "../../src/net/mac.js";
import { encodeEthernetHeader } from "../../src/wire/ethernet.js";
import { encodeVxlanHeader } from "../../src/wire/vxlan.js";
import { changed, innerPacket, innerUdp, send } from "../support/forged.js";
import { ip, makeHost, withDaemons } from "../support/hopsackd.js";
import { until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { pings } from "../support/traffic.js";
import { Trials } from "../support/trials.js";

const MEMBER = "192.168.50.12";
const MEMBER_MAC = "02:00:00:00:00:03";
const STRANGER = "192.168.50.77";
const COUNT = 8;
const LIMIT_MS = 20_000;
/** A pod of a's, and one of the member's own. */
const POD = "10.244.1.5";
const HONEST = "10.244.3.5";
const MORE_FRAGMENTS = 0x2000;
/** In units of eight bytes: the last place where a fragment can begin. */
const LAST_FRAGMENT = 0x1fff;
const TUNNEL_PORT = 8285;

const good = innerPacket(HONEST, POD);
const from = (source: string): Buffer => innerPacket(source, POD);
const to = (destination: string): Buffer => innerPacket(HONEST, destination);

interface Attack {
  readonly tried: string;
  readonly reason: string;
  readonly payload: Buffer;
  /** Who sends it; the member unless told. */
  readonly source?: string;
}

const ATTACKS: readonly Attack[] = [
  { tried: "a packet in order, from an unknown sender", reason: "unknown_sender", payload: good, source: STRANGER },
  {
    tried: "no IP packet, from an unknown sender",
    reason: "unknown_sender",
    payload: Buffer.from("GET / HTTP/1.1\r\n\r\n"),
    source: STRANGER,
  },
  {
    tried: "an empty datagram from an unknown sender",
    reason: "unknown_sender",
    payload: Buffer.alloc(0),
    source: STRANGER,
  },
  {
    tried: "60,000 bytes in outer fragments, from an unknown sender",
    reason: "unknown_sender",
    payload: innerPacket(HONEST, POD, { payload: innerUdp({ payloadBytes: 59_000 }) }),
    source: STRANGER,
  },
  { tried: "an inner source of another member", reason: "inner_source", payload: from("10.244.2.5") },
  { tried: "an inner source outside the network", reason: "inner_source", payload: from("203.0.113.9") },
  { tried: "this host's own address as inner source", reason: "inner_source", payload: from("10.244.1.0") },
  { tried: "this host's underlay address as inner source", reason: "inner_source", payload: from("192.168.50.10") },
  { tried: "a multicast inner source", reason: "inner_source", payload: from("224.0.0.1") },
  { tried: "the broadcast address as inner source", reason: "inner_source", payload: from("255.255.255.255") },
  { tried: "a loopback inner source", reason: "inner_source", payload: from("127.0.0.1") },
  { tried: "0.0.0.0 as inner source", reason: "inner_source", payload: from("0.0.0.0") },
  { tried: "a link-local inner source", reason: "inner_source", payload: from("169.254.1.1") },
  {
    tried: "a first fragment with an inner source of another member",
    reason: "inner_source",
    payload: innerPacket("10.244.2.5", POD, { fragment: MORE_FRAGMENTS }),
  },
  { tried: "an inner destination of another member (a relay)", reason: "inner_destination", payload: to("10.244.2.5") },
  { tried: "an inner destination outside the network", reason: "inner_destination", payload: to("203.0.113.9") },
  {
    tried: "this host's underlay address as inner destination",
    reason: "inner_destination",
    payload: to("192.168.50.10"),
  },
  { tried: "a loopback inner destination", reason: "inner_destination", payload: to("127.0.0.1") },
  { tried: "a multicast inner destination", reason: "inner_destination", payload: to("224.0.0.251") },
  { tried: "the broadcast address as inner destination", reason: "inner_destination", payload: to("255.255.255.255") },
  {
    tried: "a tunnel in the tunnel: an inner datagram for the tunnel's port of a member",
    reason: "inner_destination",
    payload: innerPacket(HONEST, "192.168.50.11", {
      payload: Buffer.concat([innerUdp({ port: TUNNEL_PORT, payloadBytes: good.length }).subarray(0, 8), good]),
    }),
  },
  { tried: "a length field beyond the datagram", reason: "truncated", payload: changed(good, 2, 0xff, 0xff) },
  { tried: "a length field of zero", reason: "truncated", payload: changed(good, 2, 0, 0) },
  { tried: "a length field shorter than the header", reason: "truncated", payload: changed(good, 2, 0, 19) },
  { tried: "a header length of 16 bytes", reason: "bad_inner_packet", payload: changed(good, 0, 0x44) },
  { tried: "a header length beyond the datagram", reason: "bad_inner_packet", payload: changed(good, 0, 0x4f) },
  {
    tried: "a fragment that ends beyond 65,535 bytes",
    reason: "bad_inner_packet",
    payload: innerPacket(HONEST, POD, { fragment: LAST_FRAGMENT, payload: innerUdp({ payloadBytes: 8 }) }),
  },
];

/** What VXLAN calls by other names, since its header comes first. */
const BARE: readonly Attack[] = [
  { tried: "IP version 5", reason: "bad_inner_packet", payload: changed(good, 0, 0x55) },
  { tried: "an empty datagram", reason: "bad_inner_packet", payload: Buffer.alloc(0) },
  { tried: "one byte", reason: "bad_inner_packet", payload: Buffer.of(0x45) },
  { tried: "a header cut short", reason: "bad_inner_packet", payload: good.subarray(0, 19) },
];

/** Frames of VXLAN, by what is done to a right one. */
const FRAMES: readonly { tried: string; reason: string; change: (frame: Buffer) => Buffer }[] = [
  { tried: "an empty VXLAN datagram", reason: "truncated", change: () => Buffer.alloc(0) },
  { tried: "a VXLAN header without a frame", reason: "truncated", change: (frame) => frame.subarray(0, 8) },
  { tried: "a VXLAN header without the VNI flag", reason: "no_vni_flag", change: (frame) => changed(frame, 0, 0) },
  { tried: "a VXLAN header of another VNI", reason: "wrong_vni", change: (frame) => changed(frame, 4, 0, 0, 2) },
  {
    tried: "a broadcast frame",
    reason: "inner_multicast",
    change: (frame) => changed(frame, 8, ...Array(6).fill(255)),
  },
  { tried: "a frame for another tunnel end", reason: "wrong_inner_mac", change: (frame) => changed(frame, 9, 0, 0, 0) },
  {
    tried: "a frame whose type contradicts the packet",
    reason: "wrong_ether_type",
    change: (frame) => changed(frame, 20, 0x86, 0xdd),
  },
];

/** A way to run the daemons, and how a datagram carries an inner packet to a. */
interface Target {
  readonly name: string;
  readonly config: string;
  readonly flags: readonly string[];
  readonly port: number;
  readonly attacks: (place: Place) => readonly Attack[];
  readonly unchecked?: boolean;
}

const UDP = { config: '{"Network": "10.244.0.0/16", "Backend": {"Type": "udp"}}', port: TUNNEL_PORT };
const VXLAN = {
  config: '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}',
  port: 8472,
  attacks: (place: Place) => {
    const framed = frameTo(place);
    return [
      ...ATTACKS.map((attack) => ({ ...attack, payload: framed(attack.payload) })),
      ...FRAMES.map(({ tried, reason, change }) => ({ tried, reason, payload: change(framed(good)) })),
    ];
  },
};
const TARGETS: readonly Target[] = [
  { ...UDP, name: "udp, the pump", flags: [], attacks: () => [...ATTACKS, ...BARE] },
  { ...UDP, name: "udp, one packet at a time (--naive)", flags: ["--naive"], attacks: () => [...ATTACKS, ...BARE] },
  { ...UDP, name: "udp, the eBPF engine", flags: ["--engine", "ebpf"], attacks: () => [...ATTACKS, ...BARE] },
  {
    ...UDP,
    name: "udp, the eBPF engine, datagrams without a checksum",
    flags: ["--engine", "ebpf"],
    unchecked: true,
    attacks: () => [...ATTACKS, ...BARE],
  },
  { ...VXLAN, name: "vxlan in user space", flags: ["--vxlan-engine", "userspace"] },
  {
    ...VXLAN,
    name: "vxlan, the eBPF engine, datagrams without a checksum",
    flags: ["--vxlan-engine", "userspace", "--engine", "ebpf"],
    unchecked: true,
  },
];

/** Puts VXLAN and Ethernet in front of a packet, for the tunnel end that a's lease names. */
function frameTo(place: Place): (packet: Buffer) => Buffer {
  const lease = JSON.parse(readFileSync(join(place.store, "subnets", "10.244.1.0-24.json"), "utf8"));
  const [end, member] = [lease.BackendData.VtepMAC, MEMBER_MAC].map((mac) => parseMac(mac) ?? new Uint8Array());
  const header = [...encodeVxlanHeader(1), ...encodeEthernetHeader(end as Uint8Array, member as Uint8Array, 0x0800)];
  return (packet) => Buffer.concat([Uint8Array.from(header), packet]);
}

function dropsOf({ drops }: StatusReport): Record<string, number> {
  return Object.fromEntries(drops.map(({ reason, packets }) => [reason, packets]));
}

function difference(after: Record<string, number>, before: Record<string, number>): Record<string, number> {
  const changes = Object.entries(after).map(([name, count]): [string, number] => [name, count - (before[name] ?? 0)]);
  return Object.fromEntries(changes.filter(([, count]) => count !== 0));
}

function datagramsOf({ traffic }: StatusReport): number {
  return traffic?.received.datagrams ?? 0;
}

/** The first look at which it is so, or the last one before the limit. A packet thread tells what it counted when its round is over. */
async function lookUntil(
  look: () => Promise<StatusReport>,
  isSo: (status: StatusReport) => boolean,
): Promise<StatusReport> {
  const deadline = performance.now() + LIMIT_MS;
  let status = await look();
  while (!isSo(status) && performance.now() < deadline) status = await look();
  return status;
}

withDaemons(t, import.meta.url, async () => {
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  const m = await makeHost("m", MEMBER);
  ip(m, `addr add ${STRANGER}/24 dev eth0`);
  const trials = new Trials(import.meta.url, "Datagrams to the tunnel's port");
  /** By what was tried: what happened, and to which targets. */
  const outcomes = new Map<string, { reason: string; targets: string[] }>();

  for (const target of TARGETS) {
    t.test(target.name, async (t) => {
      const place = new Place(t, target.config);
      const tunnelEnd = { BackendType: "vxlan", BackendData: { VNI: 1, VtepMAC: MEMBER_MAC } };
      place.writeMember(MEMBER, "10.244.3.0/24", target.port === TUNNEL_PORT ? {} : tunnelEnd);
      const flags = [...target.flags, "--probe-peers=false"];
      const [daemon] = await place.startAll(t, [a, b], () => flags);
      await until("a knows b and m", () => place.status(a).peers.length === 2);
      await until("the overlay carries", () => pings(b, "10.244.1.0"));
      const logged = daemon?.lines.length;

      const look = async (): Promise<StatusReport> => parseStatus(await fetchStatus(place.socket(a)), place.socket(a));
      // Each ping was answered: what came in went out again, and is counted when that is over.
      let before = await lookUntil(look, ({ traffic }) => traffic?.received.packets === traffic?.sent.packets);
      for (const { tried, reason, payload, source = MEMBER } of target.attacks(place)) {
        send(m, { to: a.address, port: target.port, unchecked: target.unchecked ?? false }, [
          { source, payload, count: COUNT },
        ]);
        const wanted = datagramsOf(before) + COUNT;
        const drops = (status: StatusReport) => difference(dropsOf(status), dropsOf(before));
        const total = (counts: Record<string, number>) => Object.values(counts).reduce((sum, count) => sum + count, 0);
        const isOver = (status: StatusReport) => datagramsOf(status) >= wanted && total(drops(status)) >= COUNT;
        const after = await lookUntil(look, isOver);
        const counted = drops(after);
        t.strictSame(counted, { [reason]: COUNT }, `${tried}: by one name`);
        t.equal(after.traffic?.received.packets, before.traffic?.received.packets, `${tried}: nothing is let in`);
        t.equal(after.traffic?.sent.packets, before.traffic?.sent.packets, `${tried}: nothing is sent on`);
        const outcome = outcomes.get(tried) ?? { reason, targets: [] };
        outcome.targets.push(target.name);
        outcomes.set(tried, outcome);
        before = after;
      }

      const said = daemon?.lines.slice(logged).filter(({ event }) => event !== "forwarding_updated"); // of b and m: may be late
      t.strictSame(said, [], "not one line in the log");
      t.ok(pings(b, "10.244.1.0"), "and an honest member goes on");
    });
  }

  t.test("what happened, in TRIALS.md", async () => {
    for (const [tried, { reason, targets }] of outcomes) {
      const where = targets.length === TARGETS.length ? "" : `: ${targets.join("; ")}`;
      trials.row({ tried, happened: `dropped, counted as \`${reason}\`${where}` });
    }
  });
});
