// The eBPF engine, the same on every wire it speaks: which packets the programs carry, which they leave to the pump, and what stays when they go.
//
//   [a 192.168.50.10, 10.244.1.0/24] ── br0 ── [b 192.168.50.11, 10.244.2.0/24]
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import type { Test } from "tap";
import {
  carried,
  cutSuperPackets,
  datagramsReceived,
  EBPF,
  forge,
  hear,
  placeOf,
  SEGMENT_BYTES,
  SEGMENTS,
  startPair,
  type Wire,
} from "./accelerated.js";
import { Daemon, type Host, makeHost, withDaemons } from "./hopsackd.js";
import { ipJson, run, until } from "./netns.js";
import { ping, pings, received, sha256 } from "./traffic.js";

const STREAM_BYTES = 20_000_000;
/** MERGING of native/bpf/accelerator.bpf.c. */
const MERGING_MARK = 0x68706b67;

/** Declares them all. */
export function testEngine(t: Test, fileUrl: string, wire: Wire): void {
  withDaemons(t, fileUrl, async () => {
    const a = await makeHost("a", "192.168.50.10");
    const b = await makeHost("b", "192.168.50.11");
    declare(t, wire, a, b);
  });
}

function declare(t: Test, wire: Wire, a: Host, b: Host): void {
  const startBoth = (t: Test, flagsOf?: (host: Host) => readonly string[]) => startPair(t, wire, [a, b], { flagsOf });

  t.test("a stream goes by the programs, byte for byte, in super-packets", async (t) => {
    const { place } = await startBoth(t);
    t.equal(place.status(a).engine?.name, "ebpf");
    const bytes = randomBytes(STREAM_BYTES);
    const before = place.status(a).traffic;
    t.equal(await received(a, b, "10.244.2.0", bytes), sha256(bytes));
    const after = place.status(a).traffic;
    const packets = carried(place, a).sent - (before?.carriedByEbpf.sent.packets ?? 0);
    t.ok(packets >= STREAM_BYTES / wire.mtuBytes, `${packets} packets by the programs`);
    t.equal(after?.sent.tunCalls, before?.sent.tunCalls, "not one by the pump");
    t.ok((after?.sent.superPackets ?? 0) > (before?.sent.superPackets ?? 0));
    t.ok(carried(place, b).received >= packets * 0.99, `${carried(place, b).received} received`);
  });

  t.test("what the programs carry is in each peer's own bytes", async (t) => {
    const { place } = await startBoth(t);
    const before = place.status(a).traffic;
    t.equal(await received(a, b, "10.244.2.0", randomBytes(STREAM_BYTES)).then((hash) => hash.length), 64);
    const [ofA, ofB] = [a, b].map((host) => place.status(host));
    t.equal(ofA?.traffic?.sent.tunCalls, before?.sent.tunCalls, "not one by the pump");
    t.equal(ofA?.peers[0]?.bytes?.sent, ofA?.traffic?.sent.bytes, "the only peer has them all");
    t.equal(ofB?.peers[0]?.bytes?.received, ofB?.traffic?.received.bytes);
    t.ok((ofB?.peers[0]?.bytes?.received ?? 0) >= STREAM_BYTES);
  });

  t.test("the first packet waits for the neighbour, and arrives", async (t) => {
    const { place } = await startBoth(t);
    const { sent } = carried(place, a);
    run("ip -n a neigh flush dev eth0");
    t.ok(pings(a, "10.244.2.0"));
    t.equal(carried(place, a).sent, sent + 1);
  });

  t.test("a UDP super-packet arrives as the datagrams that it is made of", async (t) => {
    const { place } = await startBoth(t);
    const before = carried(place, a).sent;
    const payload = randomBytes(SEGMENT_BYTES * SEGMENTS);
    t.equal(await datagramsReceived(a, b, "10.244.2.0", payload), sha256(payload));
    t.ok(carried(place, a).sent >= before + SEGMENTS, "sent by the programs");
  });

  t.test("the pump answers what is too big for the path, and what has no host", async (t) => {
    const { place } = await startBoth(t);
    t.ok(pings(a, "10.244.2.0", "-M", "do", "-s", "1200"));
    run("ip -n a route add 192.168.50.11 dev eth0 mtu lock 1000");
    t.teardown(() => run("ip -n a route del 192.168.50.11"));
    await until("the path is measured again", () => !pings(a, "10.244.2.0", "-M", "do", "-s", "1200"));
    t.match(ping(a, "10.244.2.0", "-M", "do", "-s", "1200"), new RegExp(`mtu ?= ?${1000 - (1500 - wire.mtuBytes)}`));
    t.ok(pings(a, "10.244.2.0", "-M", "do", "-s", "900"));
    t.match(ping(a, "10.244.9.9"), /Net Unreachable/);
    const drops = new Map(place.status(a).drops.map(({ reason, packets }) => [reason, packets]));
    t.ok((drops.get("packet_too_big") ?? 0) > 0);
    t.ok((drops.get("no_route") ?? 0) > 0);
  });

  t.test("a host with the engine and one without exchange streams both ways", async (t) => {
    const { place } = await startBoth(t, (host) => (host === a ? EBPF : []));
    const bytes = randomBytes(STREAM_BYTES);
    t.equal(await received(a, b, "10.244.2.0", bytes), sha256(bytes));
    t.equal(await received(b, a, "10.244.1.0", bytes), sha256(bytes));
    t.ok(carried(place, a).sent > 0);
    t.equal(carried(place, a).received, 0, "a datagram with a checksum is the pump's");
    t.equal(place.status(b).engine?.name, "pump");
  });

  t.test("senders that are not whom they say they are counted as ever, and do not arrive", async (t) => {
    const { place } = await startBoth(t);
    const before = carried(place, b).received;
    const packet = { port: wire.port, header: wire.header(place) };
    run("ip -n a addr add 192.168.50.66/24 dev eth0");
    t.teardown(() => run("ip -n a addr del 192.168.50.66/24 dev eth0"));
    const dropsOf = (reason: string): number =>
      place.status(b).drops.find((drop) => drop.reason === reason)?.packets ?? 0;
    forge(a, { ...packet, outerSource: "192.168.50.66", innerSource: "10.244.1.0" });
    await until("unknown_sender", () => dropsOf("unknown_sender") === 1);
    forge(a, { ...packet, outerSource: "192.168.50.10", innerSource: "10.244.2.0" });
    await until("inner_source", () => dropsOf("inner_source") === 1);
    t.equal(carried(place, b).received, before, "not by the programs");
    forge(a, { ...packet, outerSource: "192.168.50.10", innerSource: "10.244.1.0" });
    await until("one that is right", () => carried(place, b).received === before + 1);
  });

  t.test("a link without Ethernet headers is the pump's", async (t) => {
    run("ip netns exec a ip tuntap add dev t0 mode tun");
    t.teardown(() => run("ip -n a link del t0"));
    run("ip -n a addr add 192.168.60.10/24 dev t0");
    run("ip -n a link set t0 up");
    const place = placeOf(t, wire);
    const daemon = place.start(t, a, "--iface", "t0", ...wire.flags, ...EBPF);
    await daemon.logged("ready");
    t.match(place.status(a).engine, { name: "pump", reason: "t0 is no Ethernet link" });
  });

  t.test("the programs go with the daemon, also when it is killed", async (t) => {
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const { place, daemons } = await startBoth(t);
      const packet = { port: wire.port, header: wire.header(place) };
      daemons[1]?.kill(signal);
      await daemons[1]?.ended;
      const hearing = hear(b, wire);
      await until("somebody else hears what was theirs", () => {
        forge(a, { ...packet, outerSource: "192.168.50.10", innerSource: "10.244.1.0" });
        return hearing.heard();
      });
      hearing.stop();
      await daemons[0]?.stop();
    }
  });

  t.test("where the kernel refuses the programs the pump carries everything, and says why once", async (t) => {
    const place = placeOf(t, wire);
    const wrapper = ["setpriv", "--bounding-set", "-sys_admin,-bpf", "--inh-caps", "-sys_admin,-bpf"];
    const daemon = new Daemon(a, place.flags(a, ...wire.flags, ...EBPF), wrapper);
    t.teardown(() => daemon.stop());
    await daemon.logged("ready");
    t.match(place.status(a).engine, {
      name: "pump",
      reason: "eBPF is not permitted here; give hopsackd CAP_BPF and CAP_PERFMON, or run it as root",
    });
    t.equal(daemon.lines.filter(({ event }) => event === "engine_not_used").length, 1);
  });

  t.test("auto takes the programs, whether super-packets arrive whole or in pieces that are merged", async (t) => {
    for (const [offloads, reason] of [
      ["on", /^eth0 carries super-packets whole; by tcx$/],
      ["off", /^hopgro\d+b merges what arrives in pieces; by tcx$/],
    ] as const) {
      cutSuperPackets(t, [a, b], offloads);
      const { place, daemons } = await startBoth(t, () => ["--engine", "auto"]);
      t.match(place.status(a).engine, { name: "ebpf", reason });
      for (const daemon of daemons) await daemon.stop();
    }
  });

  t.test("a stream that arrives in pieces is merged, byte for byte, and nothing is left of the pair", async (t) => {
    cutSuperPackets(t, [a, b], "off");
    const { place, daemons } = await startBoth(t);
    t.match(place.status(b).engine?.reason, /^asked for by --engine ebpf; by tcx; hopgro\d+b merges /);
    const bytes = randomBytes(STREAM_BYTES);
    const before = place.status(b).traffic?.received;
    const carriedBefore = carried(place, b).received;
    const silent = arrived(b, pairOf(b)[0] ?? "");
    t.equal(await received(a, b, "10.244.2.0", bytes), sha256(bytes));
    const after = place.status(b).traffic?.received;
    t.equal(after?.tunCalls, before?.tunCalls, "not one by the pump");
    const packets = carried(place, b).received - carriedBefore;
    t.ok(packets >= STREAM_BYTES / wire.mtuBytes, `${packets} packets on the wire`);
    const superPackets = (after?.superPackets ?? 0) - (before?.superPackets ?? 0);
    t.ok(superPackets >= STREAM_BYTES / 65_535 && superPackets < packets / 2, `${superPackets} super-packets`);
    t.equal(arrived(b, pairOf(b)[0] ?? ""), silent, "the sending end hears nothing");
    for (const daemon of daemons) t.match(await daemon.stop(), { status: 0 });
    t.strictSame([pairOf(a), pairOf(b)], [[], []]);
  });

  t.test("what others send into the pair does not reach the TUN", async (t) => {
    cutSuperPackets(t, [a, b], "off");
    await startBoth(t);
    const before = tcpReceived(b);
    const [sender = "", receiver = ""] = pairOf(b);
    const heard = arrived(b, receiver);
    sendFrame(b, sender);
    await until("the frame has arrived at the other end", () => arrived(b, receiver) > heard);
    t.equal(tcpReceived(b), before, "no socket was asked for");
    sendFrame(b, sender, MERGING_MARK);
    await until("one with the programs' mark arrives", () => tcpReceived(b) > before);
  });

  t.test("a pair that somebody removes or changes: the pump goes on, and status and log say why", async (t) => {
    for (const deed of ["link del", "link set down dev", "link set mtu 1500 dev"]) {
      cutSuperPackets(t, [a, b], "off");
      const { place, daemons } = await startBoth(t);
      run(`ip -n b ${deed} ${pairOf(b)[1]}`);
      await until("the pump has taken over", () => place.status(b).engine?.name === "pump");
      t.match(place.status(b).engine?.reason, /^hopgro\d+b, which merged .* was removed or changed; a restart /);
      await daemons[1].logged("engine_not_used");
      const bytes = randomBytes(STREAM_BYTES);
      t.equal(await received(a, b, "10.244.2.0", bytes), sha256(bytes));
      t.strictSame(pairOf(b), []);
      for (const daemon of daemons) await daemon.stop();
    }
  });

  t.test("a takeover leaves one pair, the successor's", async (t) => {
    cutSuperPackets(t, [a, b], "off");
    const { place, daemons } = await startBoth(t);
    const next = place.start(t, b, ...wire.flags, ...EBPF, "--takeover", place.socket(b));
    await next.logged("ready");
    await daemons[1].ended;
    const bytes = randomBytes(STREAM_BYTES);
    t.equal(await received(a, b, "10.244.2.0", bytes), sha256(bytes));
    t.equal(pairOf(b).length, 2);
    t.match(place.status(b).engine, { name: "ebpf", reason: /hopgro\d+b merges/ });
    t.ok((place.status(b).traffic?.received.superPackets ?? 0) > 0);
  });

  t.test("the pair of a killed daemon goes with the next start, or with cleanup", async (t) => {
    cutSuperPackets(t, [a, b], "off");
    const first = await startBoth(t);
    const [left] = pairOf(b);
    first.daemons[1].kill("SIGKILL");
    await first.daemons[1].ended;
    t.equal(pairOf(b)[0], left, "it is still there");
    await first.daemons[0].stop();
    const second = await startBoth(t);
    t.equal(pairOf(b).length, 2, "one, not two");
    t.ok(pings(a, "10.244.2.0"));
    second.daemons[1].kill("SIGKILL");
    await second.daemons[1].ended;
    t.match(second.place.cleanUp(b), /removed device hopgro\d+b\nremoved device hopgro\d+a\n/);
    t.strictSame(pairOf(b), []);
  });
}

/** Names of the devices that merge: sender and receiver, or none. */
function pairOf({ name }: Host): string[] {
  const links = ipJson(`-n ${name} link show type veth`) as { ifname: string }[];
  return links
    .map(({ ifname }) => ifname)
    .filter((ifname) => ifname.startsWith("hopgro"))
    .sort();
}

/** Packets that have arrived on a device. */
function arrived({ name }: Host, device: string): number {
  const [link] = ipJson(`-n ${name} -s link show dev ${device}`) as { stats64: { rx: { packets: number } } }[];
  return link?.stats64.rx.packets ?? 0;
}

/** TCP packets that the host's kernel has taken, whosever they are. */
function tcpReceived({ name }: Host): number {
  const [names = "", values = ""] = run(`ip netns exec ${name} cat /proc/net/snmp`).match(/^Tcp: .*$/gm) ?? [];
  return Number(values.split(" ")[names.split(" ").indexOf("InSegs")]);
}

/** An inner packet of a's as it comes out of the tunnel, by a device of b's. */
function sendFrame({ name }: Host, device: string, mark = 0): void {
  const script = `
import socket, struct
def total(data):
    s = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    s = (s & 0xffff) + (s >> 16)
    return ~((s & 0xffff) + (s >> 16)) & 0xffff
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0x4000, 64, 6, 0, socket.inet_aton("10.244.1.0"), socket.inet_aton("10.244.2.0"))
ip = ip[:10] + struct.pack("!H", total(ip)) + ip[12:]
tcp = struct.pack("!HHIIBBHHH", 7000, 7000, 1, 1, 0x50, 0x10, 1000, 0, 0)
tcp = tcp[:16] + struct.pack("!H", total(ip[12:20] + struct.pack("!HH", 6, 20) + tcp)) + tcp[18:]
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.setsockopt(socket.SOL_SOCKET, 36, ${mark})
s.bind(("${device}", 0))
s.send(bytes(12) + b"\\x08\\x00" + ip + tcp)`;
  execFileSync("ip", ["netns", "exec", name, "python3", "-c", script]);
}
