// IP-in-IP by the pump, on the wire: what the outer header repeats of the inner one, and whose packets are refused.
//
//   a: hopsackd, eth0 192.168.50.10 ──┐
//   b: hopsackd, eth0 192.168.50.11 ──┼── br0
//   c: no daemon, eth0 192.168.50.12 ─┘   sends what it likes, as any host of the link can
import { spawnSync } from "node:child_process";
import t, { type Test } from "tap";
import { capture } from "../../src/lab/capture.js";
import { type Host, ip, makeHost, withDaemons } from "../support/hopsackd.js";
import { run, until, whyIpip } from "../support/netns.js";
import { Place } from "../support/place.js";
import { ping, pings } from "../support/traffic.js";

const USERSPACE = ["--ipip-engine", "userspace"];
const LIMIT_MS = 60_000;
const ETHERNET_BYTES = 14;
const IPV4_BYTES = 20;

const configOf = (backend: object): string =>
  JSON.stringify({ Network: "10.244.0.0/16", Backend: { Type: "ipip", ...backend } });

/** What both IPv4 headers of an IP-in-IP packet say. */
function headers(packet: Uint8Array) {
  const read = (header: Uint8Array) => ({
    tos: header[1],
    dontFragment: ((header[6] ?? 0) & 0x40) !== 0,
    ttl: header[8],
    protocol: header[9],
  });
  const outer = packet.subarray(ETHERNET_BYTES);
  return { outer: read(outer), inner: read(outer.subarray(IPV4_BYTES)) };
}

/** One ping from a to b as it crosses the underlay. */
async function pingOnTheWire(a: Host, flags: readonly string[]) {
  const filter = "ip proto 4 and src host 192.168.50.10 and ip[29]=1"; // ICMP inside
  const send = async () => void pings(a, "10.244.2.0", "-I", "10.244.1.0", ...flags);
  const [packet] = await capture({ netns: "a", link: "eth0" }, filter, 1, send, AbortSignal.timeout(LIMIT_MS));
  return headers(packet?.bytes ?? new Uint8Array());
}

/** A UDP packet in an IPv4 packet, sent by the kernel of `from` to `to` as IP-in-IP; `tos` of both headers. */
function sendIpip(from: Host, to: string, inner: { source: string; tos: number }, outerTos: number): void {
  const script = `
import socket, struct
def header(tos, length, source, destination):
    fields = struct.pack("!BBHHHBBH4s4s", 0x45, tos, length, 0, 0x4000, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(destination))
    total = sum(struct.unpack("!10H", fields))
    total = (total & 0xffff) + (total >> 16)
    return fields[:10] + struct.pack("!H", ~((total & 0xffff) + (total >> 16)) & 0xffff) + fields[12:]
inner = header(${inner.tos}, 36, "${inner.source}", "10.244.1.0") + struct.pack("!HHHH", 5000, 6000, 16, 0) + b"the text"
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 4)
s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, ${outerTos})
s.sendto(inner, ("${to}", 0))
`;
  const { status, stderr } = spawnSync("ip", ["netns", "exec", from.name, "python3", "-c", script], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stderr);
}

async function overlay(t: Test, hosts: readonly Host[], backend: object = {}): Promise<Place> {
  const place = new Place(t, configOf(backend));
  await place.startAll(t, hosts, () => USERSPACE);
  const [a] = hosts;
  await until("a reaches b", () => a !== undefined && pings(a, "10.244.2.0"));
  return place;
}

withDaemons(t, import.meta.url, async () => {
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  const c = await makeHost("c", "192.168.50.12");

  t.test("the outer header repeats TTL, DF and ECN of the inner one, and its DSCP is 0", async (t) => {
    await overlay(t, [a, b]);
    const expedited = await pingOnTheWire(a, ["-Q", "0xb9", "-t", "33", "-M", "do"]); // with ECT(1)
    t.strictSame(expedited, {
      outer: { tos: 0x01, dontFragment: true, ttl: 33, protocol: 4 },
      inner: { tos: 0xb9, dontFragment: true, ttl: 33, protocol: 1 },
    });
    const plain = await pingOnTheWire(a, ["-M", "dont"]);
    t.match(plain, { outer: { tos: 0, dontFragment: false, ttl: 64 }, inner: { dontFragment: false } });
  });

  t.test('with DSCP "inherit" it is the inner one\'s', async (t) => {
    await overlay(t, [a, b], { DSCP: "inherit" });
    const { outer } = await pingOnTheWire(a, ["-Q", "0xb8"]);
    t.equal(outer.tos, 0xb8);
  });

  t.test("what may be fragmented passes a narrower path in pieces; what may not tells its sender", async (t) => {
    await overlay(t, [a, b]);
    ip(a, "route replace 192.168.50.11 dev eth0 mtu lock 1300");
    t.teardown(() => void ip(a, "route del 192.168.50.11"));
    t.ok(pings(a, "10.244.2.0", "-M", "dont", "-s", "1400"));
    t.ok(pings(a, "10.244.2.0", "-M", "do", "-s", "1252"), "1280 bytes");
    ping(a, "10.244.2.0", "-M", "do", "-s", "1253"); // the first one teaches
    t.match(ping(a, "10.244.2.0", "-M", "do", "-s", "1253"), /mtu ?= ?1280/);
    run("ip -n a route flush cache");
  });

  t.test("strangers, foreign inner sources and the illegal ECN pair are dropped by name; marks arrive", async (t) => {
    const place = await overlay(t, [a, b]);
    const dropped = (reason: string) => place.status(a).drops.find((drop) => drop.reason === reason)?.packets ?? 0;
    for (const [from, inner, outerTos, reason] of [
      [c, { source: "10.244.2.9", tos: 0 }, 0, "unknown_sender"],
      [b, { source: "10.244.3.9", tos: 0 }, 0, "inner_source"],
      [b, { source: "10.244.2.9", tos: 0 }, 3, "ecn_illegal"],
    ] as const) {
      const before = dropped(reason);
      sendIpip(from, "192.168.50.10", inner, outerTos);
      await until(`counted as ${reason}`, () => dropped(reason) === before + 1);
    }
    const send = async () => sendIpip(b, "192.168.50.10", { source: "10.244.2.9", tos: 2 }, 3);
    const filter = "udp dst port 6000";
    const [packet] = await capture(
      { netns: "a", link: "flannel.ipip" },
      filter,
      1,
      send,
      AbortSignal.timeout(LIMIT_MS),
    );
    t.equal(packet?.bytes[1], 3, "congestion experienced");
  });

  t.test("the status says who carries the packets and why, and which device; the wire has no port", async (t) => {
    const place = new Place(t, configOf({}));
    await place.startAll(t, [a], () => USERSPACE);
    t.match(place.status(a), {
      backend: "ipip",
      device: { name: "flannel.ipip", mtuBytes: 1480, udpPort: null },
      engine: { name: "pump", reason: /asked for by --ipip-engine userspace$/ },
    });
    t.match(ip(a, "-d link show flannel.ipip"), /tun type tun/);
  });

  t.test("where the kernel has no ipip devices, the pump is the engine by itself", { skip: whyIpip() }, async (t) => {
    const place = new Place(t, configOf({}));
    await place.startAll(t, [a]);
    t.match(place.status(a), { engine: { name: "pump", reason: /this kernel has no ipip devices$/ } });
  });

  t.test("cleanup after a kill leaves nothing", async (t) => {
    const place = new Place(t, configOf({ Mode: "cross-subnet" }));
    const [daemon] = await place.startAll(t, [a, b], () => USERSPACE);
    await until("the plain route is there", () => ip(a, "route").includes("10.244.2.0/24 via 192.168.50.11 dev eth0"));
    daemon?.kill("SIGKILL");
    await daemon?.ended;
    place.cleanUp(a);
    t.notMatch(ip(a, "route"), /10\.244/);
    t.notMatch(ip(a, "link"), /flannel/);
  });
});
