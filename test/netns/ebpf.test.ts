// The eBPF engine of UDP mode: which packets the programs carry, which they leave to the pump, and what stays when they go.
//
//   [a 192.168.50.10, 10.244.1.0/24] ── br0 ── [b 192.168.50.11, 10.244.2.0/24]
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import t, { type Test } from "tap";
import { Daemon, type Host, makeHost, withDaemons } from "../support/hopsackd.js";
import { run, until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { ping, pings, received, sha256, startScript } from "../support/traffic.js";

const EBPF = ["--engine", "ebpf"];
const STREAM_BYTES = 20_000_000;
const SEGMENTS = 40;
const SEGMENT_BYTES = 1000;

withDaemons(t, import.meta.url, async () => {
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");

  const carried = (place: Place, host: Host): { sent: number; received: number } => {
    const { sent, received } = place.status(host).traffic?.carriedByEbpf ?? {};
    return { sent: sent?.packets ?? 0, received: received?.packets ?? 0 };
  };

  async function startBoth(t: Test, flagsOf: (host: Host) => readonly string[] = () => EBPF) {
    const place = new Place(t);
    const daemons = await place.startAll(t, [a, b], flagsOf);
    await until("both know each other", () => [a, b].every((host) => place.status(host).peers.length === 1));
    await until("the neighbours are known", () => pings(a, "10.244.2.0") && pings(b, "10.244.1.0"));
    return { place, daemons };
  }

  t.test("a stream goes by the programs, byte for byte, in super-packets", async (t) => {
    const { place } = await startBoth(t);
    t.equal(place.status(a).engine?.name, "ebpf");
    const bytes = randomBytes(STREAM_BYTES);
    const before = place.status(a).traffic;
    t.equal(await received(a, b, "10.244.2.0", bytes), sha256(bytes));
    const after = place.status(a).traffic;
    const packets = carried(place, a).sent - (before?.carriedByEbpf.sent.packets ?? 0);
    t.ok(packets >= STREAM_BYTES / 1472, `${packets} packets by the programs`);
    t.equal(after?.sent.tunCalls, before?.sent.tunCalls, "not one by the pump");
    t.ok((after?.sent.superPackets ?? 0) > (before?.sent.superPackets ?? 0));
    t.ok(carried(place, b).received >= packets * 0.99, `${carried(place, b).received} received`);
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
    t.match(ping(a, "10.244.2.0", "-M", "do", "-s", "1200"), /mtu ?= ?972/);
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
    run("ip -n a addr add 192.168.50.66/24 dev eth0");
    t.teardown(() => run("ip -n a addr del 192.168.50.66/24 dev eth0"));
    const dropsOf = (reason: string): number =>
      place.status(b).drops.find((drop) => drop.reason === reason)?.packets ?? 0;
    forge(a, { outerSource: "192.168.50.66", innerSource: "10.244.1.0" });
    await until("unknown_sender", () => dropsOf("unknown_sender") === 1);
    forge(a, { outerSource: "192.168.50.10", innerSource: "10.244.2.0" });
    await until("inner_source", () => dropsOf("inner_source") === 1);
    t.equal(carried(place, b).received, before, "not by the programs");
    forge(a, { outerSource: "192.168.50.10", innerSource: "10.244.1.0" });
    await until("one that is right", () => carried(place, b).received === before + 1);
  });

  t.test("a peer behind a router is the pump's", async (t) => {
    run("ip -n a route add 192.168.50.11 via 192.168.50.11 dev eth0 onlink");
    t.teardown(() => run("ip -n a route del 192.168.50.11"));
    const { place } = await startBoth(t);
    t.ok(pings(a, "10.244.2.0"));
    t.equal(carried(place, a).sent, 0);
    t.ok(carried(place, b).sent > 0, "to b the way is direct");
    run("ip -n a route del 192.168.50.11");
    await until("the programs after the route has changed", () => pings(a, "10.244.2.0") && carried(place, a).sent > 0);
    run("ip -n a route add 192.168.50.11 via 192.168.50.11 dev eth0 onlink");
  });

  t.test("a link without Ethernet headers is the pump's", async (t) => {
    run("ip netns exec a ip tuntap add dev t0 mode tun");
    t.teardown(() => run("ip -n a link del t0"));
    run("ip -n a addr add 192.168.60.10/24 dev t0");
    run("ip -n a link set t0 up");
    const place = new Place(t);
    const daemon = place.start(t, a, "--iface", "t0", ...EBPF);
    await daemon.logged("ready");
    t.match(place.status(a).engine, { name: "pump", reason: "t0 is no Ethernet link" });
  });

  t.test("the programs go with the daemon, also when it is killed", async (t) => {
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const { daemons } = await startBoth(t);
      daemons[1]?.kill(signal);
      await daemons[1]?.ended;
      const hearing = hear(b);
      await until("somebody else hears what was theirs", () => {
        forge(a, { outerSource: "192.168.50.10", innerSource: "10.244.1.0" });
        return hearing.heard();
      });
      hearing.stop();
      await daemons[0]?.stop();
    }
  });

  t.test("where the kernel refuses the programs the pump carries everything, and says why once", async (t) => {
    const place = new Place(t);
    const wrapper = ["setpriv", "--bounding-set", "-sys_admin,-bpf", "--inh-caps", "-sys_admin,-bpf"];
    const daemon = new Daemon(a, place.flags(a, ...EBPF), wrapper);
    t.teardown(() => daemon.stop());
    await daemon.logged("ready");
    t.match(place.status(a).engine, {
      name: "pump",
      reason: "eBPF is not permitted here; give hopsackd CAP_BPF, or run it as root",
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
});

/** Sends all bytes in one UDP super-packet (UDP_SEGMENT); the sha256 of the datagrams that arrived. */
async function datagramsReceived(from: Host, to: Host, address: string, payload: Buffer): Promise<string> {
  const receiver = startScript(
    to,
    `const hash = require("crypto").createHash("sha256");
    let count = 0;
    const socket = require("dgram").createSocket("udp4").on("message", (message) => {
      hash.update(message);
      if (++count === ${SEGMENTS}) console.log(hash.digest("hex"));
    });
    socket.bind(7001, () => console.log("ready"));`,
  );
  let said = "";
  receiver.stdout?.on("data", (chunk) => (said += chunk));
  try {
    await until("the receiver is ready", () => said.includes("ready"));
    const script = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_UDP, 103, ${SEGMENT_BYTES})
s.sendto(sys.stdin.buffer.read(), ("${address}", 7001))`;
    execFileSync("ip", ["netns", "exec", from.name, "python3", "-c", script], { input: payload });
    await until("all datagrams have arrived", () => said.trim().includes("\n"));
  } finally {
    receiver.kill();
  }
  return said.split("\n")[1] ?? "";
}

/** A socket on the tunnel's port, in the daemon's place. */
function hear(host: Host): { heard: () => boolean; stop: () => void } {
  const script = `require("dgram").createSocket("udp4").on("message", () => console.log("heard")).bind(8285)`;
  const child = startScript(host, script);
  let said = "";
  child.stdout?.on("data", (chunk) => (said += chunk));
  return { heard: () => said !== "", stop: () => void child.kill() };
}

/** One ping in a datagram without a checksum, as the programs send it. */
function forge(from: Host, { outerSource, innerSource }: { outerSource: string; innerSource: string }): void {
  const script = `
import socket, struct
def total(data):
    s = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    s = (s & 0xffff) + (s >> 16)
    return ~((s & 0xffff) + (s >> 16)) & 0xffff
icmp = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + bytes(8)
icmp = icmp[:2] + struct.pack("!H", total(icmp)) + icmp[4:]
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(icmp), 0, 0x4000, 64, 1, 0, socket.inet_aton("${innerSource}"), socket.inet_aton("10.244.2.0"))
ip = ip[:10] + struct.pack("!H", total(ip)) + ip[12:]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 11, 1)
s.bind(("${outerSource}", 0))
s.sendto(ip + icmp, ("192.168.50.11", 8285))`;
  execFileSync("ip", ["netns", "exec", from.name, "python3", "-c", script]);
}
