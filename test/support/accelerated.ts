// Two hosts with the eBPF engine, and packets that only its tests send.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";
import { Daemon, type Host } from "./hopsackd.js";
import { until } from "./netns.js";
import { Place } from "./place.js";
import { startScript } from "./traffic.js";

/** Without probes, whose packets would be counted too. */
export const EBPF = ["--engine", "ebpf", "--probe-peers=false"];
/** Runs a daemon as on a kernel without tcx. */
export const BEFORE_TCX = ["python3", fileURLToPath(new URL("before-tcx.py", import.meta.url))];
export const SEGMENTS = 40;
export const SEGMENT_BYTES = 1000;

interface Setup {
  readonly flagsOf?: ((host: Host) => readonly string[]) | undefined;
  readonly wrapper?: readonly string[];
}

/** Daemons on both hosts, 10.244.1.0/24 and 10.244.2.0/24, that reach each other. */
export async function startPair(
  t: Test,
  hosts: readonly [Host, Host],
  { flagsOf = () => EBPF, wrapper = [] }: Setup = {},
): Promise<{ place: Place; daemons: [Daemon, Daemon] }> {
  const place = new Place(t);
  const [a, b] = hosts;
  const start = (host: Host, subnet: string): Daemon => {
    place.reserve(host, subnet);
    const daemon = new Daemon(host, place.flags(host, ...flagsOf(host)), wrapper);
    t.teardown(() => daemon.stop());
    return daemon;
  };
  const daemons: [Daemon, Daemon] = [start(a, "10.244.1.0/24"), start(b, "10.244.2.0/24")];
  await Promise.all(daemons.map((daemon) => daemon.logged("ready")));
  await until("both know each other", () => hosts.every((host) => place.status(host).peers.length === 1));

  return { place, daemons };
}

/** Packets that the programs have carried. */
export function carried(place: Place, host: Host): { sent: number; received: number } {
  const { sent, received } = place.status(host).traffic?.carriedByEbpf ?? {};
  return { sent: sent?.packets ?? 0, received: received?.packets ?? 0 };
}

/** Sends all bytes in one UDP super-packet (UDP_SEGMENT); the sha256 of the datagrams that arrived. */
export async function datagramsReceived(from: Host, to: Host, address: string, payload: Buffer): Promise<string> {
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
export function hear(host: Host): { heard: () => boolean; stop: () => void } {
  const script = `require("dgram").createSocket("udp4").on("message", () => console.log("heard")).bind(8285)`;
  const child = startScript(host, script);
  let said = "";
  child.stdout?.on("data", (chunk) => (said += chunk));
  return { heard: () => said !== "", stop: () => void child.kill() };
}

/** One ping in a datagram without a checksum, as the programs send it. */
export function forge(from: Host, { outerSource, innerSource }: { outerSource: string; innerSource: string }): void {
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
