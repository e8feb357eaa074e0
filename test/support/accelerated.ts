// Two hosts with the eBPF engine, the wires that it speaks, and packets that only its tests send.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";
import { Daemon, type Host } from "./hopsackd.js";
import { run, until } from "./netns.js";
import { Place } from "./place.js";
import { startScript } from "./traffic.js";

/** Without probes, whose packets would be counted too. */
export const EBPF = ["--engine", "ebpf", "--probe-peers=false"];
/** Runs a daemon as on a kernel without tcx. */
export const BEFORE_TCX = ["python3", fileURLToPath(new URL("before-tcx.py", import.meta.url))];
export const SEGMENTS = 40;
export const SEGMENT_BYTES = 1000;

/** What the engine puts inner packets into. */
export interface Wire {
  readonly name: string;
  /** Of the network configuration. */
  readonly backend: object;
  /** That the pump carries it. */
  readonly flags: readonly string[];
  readonly tunName: string;
  readonly port: number;
  /** Of inner packets, over an underlay of 1500. */
  readonly mtuBytes: number;
  /** What lies between the UDP header and an IPv4 packet from a to b. */
  readonly header: (place: Place) => Buffer;
}

export const UDP: Wire = {
  name: "udp",
  backend: { Type: "udp" },
  flags: [],
  tunName: "flannel0",
  port: 8285,
  mtuBytes: 1472,
  header: () => Buffer.alloc(0),
};

export const VXLAN: Wire = {
  name: "vxlan",
  backend: { Type: "vxlan" },
  flags: ["--vxlan-engine", "userspace"],
  tunName: "flannel.1",
  port: 8472,
  mtuBytes: 1450,
  header: (place) => Buffer.from(`0800000000000100${macOf(place, 2)}${macOf(place, 1)}0800`, "hex"),
};

/** Of the tunnel end with the subnet 10.244.<n>.0/24, without colons. */
function macOf(place: Place, n: number): string {
  const lease = JSON.parse(readFileSync(join(place.store, "subnets", `10.244.${n}.0-24.json`), "utf8"));
  return lease.BackendData.VtepMAC.replaceAll(":", "");
}

export function placeOf(t: Test, { backend }: Wire): Place {
  return new Place(t, JSON.stringify({ Network: "10.244.0.0/16", Backend: backend }));
}

interface Setup {
  readonly flagsOf?: ((host: Host) => readonly string[]) | undefined;
  readonly wrapper?: readonly string[];
}

/** Daemons on both hosts, 10.244.1.0/24 and 10.244.2.0/24, that reach each other. */
export async function startPair(
  t: Test,
  wire: Wire,
  hosts: readonly [Host, Host],
  { flagsOf = () => EBPF, wrapper = [] }: Setup = {},
): Promise<{ place: Place; daemons: [Daemon, Daemon] }> {
  const place = placeOf(t, wire);
  const [a, b] = hosts;
  const start = (host: Host, subnet: string): Daemon => {
    place.reserve(host, subnet);
    const daemon = new Daemon(host, place.flags(host, ...wire.flags, ...flagsOf(host)), wrapper);
    t.teardown(() => daemon.stop());
    return daemon;
  };
  const daemons: [Daemon, Daemon] = [start(a, "10.244.1.0/24"), start(b, "10.244.2.0/24")];
  await Promise.all(daemons.map((daemon) => daemon.logged("ready")));
  await until("both know each other", () => hosts.every((host) => place.status(host).peers.length === 1));

  return { place, daemons };
}

/** Whether their links carry super-packets whole; as they come once the test has ended. */
export function cutSuperPackets(t: Test, hosts: readonly Host[], offloads: "on" | "off"): void {
  const set = (state: string): void => {
    const words = ["tso", "gso", "tx-udp-segmentation"].map((feature) => `${feature} ${state}`).join(" ");
    for (const { name } of hosts) run(`ip netns exec ${name} ethtool -K eth0 ${words}`);
  };
  set(offloads);
  t.teardown(() => set("on"));
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
export function hear(host: Host, { port }: Wire): { heard: () => boolean; stop: () => void } {
  const script = `require("dgram").createSocket("udp4").on("message", () => console.log("heard")).bind(${port})`;
  const child = startScript(host, script);
  let said = "";
  child.stdout?.on("data", (chunk) => (said += chunk));
  return { heard: () => said !== "", stop: () => void child.kill() };
}

/** One datagram to the tunnel's port of a host, without a checksum as the programs send it. */
export function sendBare(from: Host, to: Host, { port }: Wire, bytes: Buffer): void {
  const script = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 11, 1)
s.sendto(bytes.fromhex("${bytes.toString("hex")}"), ("${to.address}", ${port}))`;
  execFileSync("ip", ["netns", "exec", from.name, "python3", "-c", script]);
}

interface Forged {
  /** null: IP-in-IP, which has no ports. */
  readonly port: number | null;
  readonly header: Buffer;
  readonly outerSource: string;
  readonly innerSource: string;
  /** Of the outer packet. */
  readonly tos?: number;
  readonly payloadBytes?: number;
}

/** One ping to b, in a datagram without a checksum as the programs send it, in fragments when it is too long. */
export function forge(from: Host, forged: Forged): void {
  const { port, header, outerSource, innerSource, tos = 0, payloadBytes = 8 } = forged;
  const type = port === null ? "socket.SOCK_RAW, socket.IPPROTO_IPIP" : "socket.SOCK_DGRAM";
  const script = `
import socket, struct
def total(data):
    s = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    s = (s & 0xffff) + (s >> 16)
    return ~((s & 0xffff) + (s >> 16)) & 0xffff
icmp = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + bytes(${payloadBytes})
icmp = icmp[:2] + struct.pack("!H", total(icmp)) + icmp[4:]
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(icmp), 0, 0x4000, 64, 1, 0, socket.inet_aton("${innerSource}"), socket.inet_aton("10.244.2.0"))
ip = ip[:10] + struct.pack("!H", total(ip)) + ip[12:]
s = socket.socket(socket.AF_INET, ${type})
s.setsockopt(socket.SOL_SOCKET, 11, 1)
s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, ${tos})
s.bind(("${outerSource}", 0))
s.sendto(bytes.fromhex("${header.toString("hex")}") + ip + icmp, ("192.168.50.11", ${port ?? 0}))`;
  execFileSync("ip", ["netns", "exec", from.name, "python3", "-c", script]);
}
