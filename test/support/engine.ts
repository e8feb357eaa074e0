// The eBPF engine, the same on every wire it speaks: which packets the programs carry, which they leave to the pump, and what stays when they go.
//
//   [a 192.168.50.10, 10.244.1.0/24] ── br0 ── [b 192.168.50.11, 10.244.2.0/24]
import { randomBytes } from "node:crypto";
import type { Test } from "tap";
import {
  carried,
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
import { run, until } from "./netns.js";
import { ping, pings, received, sha256 } from "./traffic.js";

const STREAM_BYTES = 20_000_000;

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

  t.test("auto takes the programs where super-packets arrive whole, and the pump where they do not", async (t) => {
    for (const [tso, engine] of [
      ["on", "ebpf"],
      ["off", "pump"],
    ] as const) {
      run(`ip netns exec a ethtool -K eth0 tso ${tso}`);
      const { place, daemons } = await startBoth(t, () => ["--engine", "auto"]);
      t.match(place.status(a).engine, { name: engine });
      for (const daemon of daemons) await daemon.stop();
    }
    run("ip netns exec a ethtool -K eth0 tso on");
  });
}
