// The kernel as the judge: what a receiver sees of generated flows (judged-flows.ts) through Hopsack must be what it sees over plain veth.
//
//   src 10.244.1.2 ── link [a 192.168.50.10] ── br0 ── [b 192.168.50.11] link ── dst 10.244.2.2
//
// Flows go in at src's link as a sender's kernel would hand them to it, and are taken down at dst's. b's link to dst has no offloads: its
// kernel cuts every super-packet that the pump made, and finishes every checksum, so whole packets are compared, header by header.
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { foldSum, IPPROTO_TCP, sumWords } from "../../src/wire/checksum.js";
import { type Host, ip, makeHost } from "./hopsackd.js";
import { type Flow, FRAGMENT_HEADER, flowsOf, OWN_ADDRESSES, type Shot } from "./judged-flows.js";
import { ipJson, run, until } from "./netns.js";
import { pings } from "./traffic.js";

const REPLAY = fileURLToPath(new URL("replay.py", import.meta.url));
const NO_OFFLOADS = "tx off tso off gso off tx-udp-segmentation off";
/** So many flows send at the same time, in turn: the coalescer's 256 places are shared, or are not. */
const CROWDS = [1, 4, 24, 400];
/** Fewer than the TUN's queue holds: a burst waits there while a daemon is held up. */
const BURST_PACKETS = 300;
/** Nobody looks at it. */
const SENDER_MAC = "020000000099";
const TCP_FLAGS_OFFSET = 13;
const TCP_ACK = 0x10;
const MORE_OR_OFFSET = 0x3fff;
const DONT_FRAGMENT = 0x4000;

export interface World {
  readonly a: Host;
  readonly b: Host;
  readonly source: Host;
  readonly target: Host;
}

export async function makeWorld(): Promise<World> {
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  const source = makeEnd(a, "src", 1);
  const target = makeEnd(b, "dst", 2);
  ip(b, "route add 10.244.2.128/25 via 10.244.2.2 dev pod");
  ip(b, "-6 route add fd00:0:0:2:0:1::/96 via fd00:0:0:2::2 dev pod");
  run(`ip netns exec b ethtool -K pod ${NO_OFFLOADS}`);
  return { a, b, source, target };
}

/** A namespace on a link of the host; what comes for others it drops unanswered. */
function makeEnd(host: Host, name: string, number: number): Host {
  run(`ip netns add ${name}`);
  for (const netns of [host.name, name]) {
    for (const setting of ["all/disable_ipv6=0", "default/disable_ipv6=0", "default/accept_dad=0"]) {
      run(`ip netns exec ${netns} sysctl -q -w net/ipv6/conf/${setting}`);
    }
  }
  run(`ip netns exec ${host.name} sysctl -q -w net/ipv6/conf/all/forwarding=1`);
  ip(host, `link add pod type veth peer name eth0 netns ${name}`);
  ip(host, `addr add 10.244.${number}.1/24 dev pod`);
  ip(host, `addr add fd00:0:0:${number}::1/64 dev pod nodad`);
  ip(host, "link set pod up");
  const end = { name, address: `10.244.${number}.2` };
  ip(end, `addr add ${end.address}/24 dev eth0`);
  ip(end, `addr add fd00:0:0:${number}::2/64 dev eth0 nodad`);
  ip(end, "link set eth0 up");
  ip(end, `route add default via 10.244.${number}.1`);
  ip(end, `-6 route add default via fd00:0:0:${number}::1`);
  return end;
}

/** Both families arrive, and every neighbour is known: nothing waits, or is lost, on its account. */
export async function isConnected({ source, target }: World): Promise<void> {
  for (const address of [target.address, "fd00:0:0:2::2"]) {
    await until(`${address} answers`, () => pings(source, address));
  }
}

/** With a and b as each other's routers, and no tunnel. */
export async function withRoutes(world: World, deed: () => void): Promise<void> {
  const hosts = [world.a, world.b] as const;
  const peerOf = (index: number): number => 2 - index;
  for (const [index, host] of hosts.entries()) ip(host, `addr add fd99::${index + 1}/64 dev eth0 nodad`);
  for (const [index, host] of hosts.entries()) {
    ip(host, `route add 10.244.${peerOf(index)}.0/24 via ${hosts[1 - index]?.address}`);
    ip(host, `-6 route add fd00:0:0:${peerOf(index)}::/64 via fd99::${peerOf(index)}`);
  }
  await isConnected(world);
  deed();
  for (const [index, host] of hosts.entries()) {
    ip(host, `route del 10.244.${peerOf(index)}.0/24`);
    ip(host, `-6 route del fd00:0:0:${peerOf(index)}::/64`);
    ip(host, `addr del fd99::${index + 1}/64 dev eth0`);
  }
}

/** What came of a round of flows. */
export interface Seen {
  readonly packets: number;
  /** By flow, in the order in which they came, as strings of bytes; of TCP the bare acknowledgements apart. */
  readonly flows: ReadonlyMap<string, readonly string[]>;
}

/** Some flows, in a file that can be replayed. */
export class Round {
  readonly packets: number;
  readonly flows: readonly Flow[];
  readonly seed: number;
  readonly #folder = mkdtempSync("/run/kernel-judge-");
  readonly #shotsPath = join(this.#folder, "shots");
  readonly #seenPath = join(this.#folder, "seen");

  /** @param superMtuBytes as flowsOf has it */
  constructor({ a }: World, seed: number, count: number, superMtuBytes: number | null) {
    this.seed = seed;
    this.flows = flowsOf(seed, count, superMtuBytes);
    const [{ address: mac = "" } = {}] = ipJson(`-n ${a.name} link show pod`);
    const ethernet = Buffer.from(String(mac).replaceAll(":", "") + SENDER_MAC, "hex");
    const file = openSync(this.#shotsPath, "w");
    this.packets = 0;
    for (const burst of burstsOf(this.flows)) {
      const packets = burst.reduce((sum, shot) => sum + shot.packets, 0);
      writeSync(file, Buffer.concat([words(burst.length, packets), ...burst.map((shot) => frameOf(shot, ethernet))]));
      this.packets += packets;
    }
    closeSync(file);
  }

  /** @param pids of daemons that are held up in turn, so that what they are sent comes at once */
  replay({ source, target }: World, pids: readonly number[]): Seen {
    const words = [REPLAY, source.name, target.name, this.#shotsPath, this.#seenPath, ...pids.map(String)];
    const packets = Number(execFileSync("python3", words, { encoding: "utf8" }));
    const flows = new Map<string, string[]>();
    for (const packet of packetsIn(readFileSync(this.#seenPath))) {
      const key = flowOf(packet);
      const flow = flows.get(key) ?? [];
      flow.push(comparable(packet).toString("latin1"));
      flows.set(key, flow);
    }
    return { packets, flows };
  }

  forget(): void {
    rmSync(this.#folder, { recursive: true });
  }
}

/**
 * Which order a way keeps: that of the flow; that of whole packets and that of fragments, which show no ports and so may go by another of several
 * sockets; or none, since some of a flow's packets go by the programs and overtake those that go by the pump.
 */
export type Order = "flow" | "fragments apart" | "none";

/** What was seen otherwise than over plain veth, flow by flow; empty when nothing was. */
export function differences(plain: Seen, seen: Seen, order: Order): string[] {
  const keys = new Set([...plain.flows.keys(), ...seen.flows.keys()]);
  return [...keys].flatMap((key) => {
    const wanted = inOrder(plain.flows.get(key) ?? [], order);
    const got = inOrder(seen.flows.get(key) ?? [], order);
    const at = wanted.findIndex((packet, i) => packet !== got[i]);
    if (at === -1 && wanted.length === got.length) return [];
    const place = at === -1 ? wanted.length : at;
    const isOrder = wanted.toSorted().join() === got.toSorted().join();
    const what = isOrder ? "another order" : `${wanted.length} packets, ${got.length} came`;
    const [plainly, here] = [wanted, got].map((packets) => Buffer.from(packets[place] ?? "", "latin1").toString("hex"));
    return [`${key}: ${what}; packet ${place}: plain ${plainly || "none"}, here ${here || "none"}`];
  });
}

function inOrder(packets: readonly string[], order: Order): readonly string[] {
  if (order === "none") return packets.toSorted();
  if (order === "flow") return packets;
  return [...packets.filter(isFragment), ...packets.filter((packet) => !isFragment(packet))];
}

const words = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, 4 * i);
  return bytes;
};

function frameOf({ offload, packet }: Shot, ethernet: Buffer): Buffer {
  const etherType = Buffer.from((packet[0] ?? 0) >> 4 === 6 ? "86dd" : "0800", "hex");
  return Buffer.concat([words(offload.length + 14 + packet.length), offload, ethernet, etherType, packet]);
}

/** All that the flows send: crowds of them take turns, and none sends out of its order. */
function* burstsOf(flows: readonly Flow[]): Generator<Shot[]> {
  let burst: Shot[] = [];
  let packets = 0;
  for (const shot of turnsOf(flows)) {
    if (packets + shot.packets > BURST_PACKETS) {
      yield burst;
      [burst, packets] = [[], 0];
    }
    burst.push(shot);
    packets += shot.packets;
  }
  yield burst;
}

function* turnsOf(flows: readonly Flow[]): Generator<Shot> {
  for (let first = 0, round = 0; first < flows.length; round++) {
    const size = CROWDS[round % CROWDS.length] ?? 1;
    const crowd = flows.slice(first, first + size);
    first += size;
    const longest = Math.max(...crowd.map(({ shots }) => shots.length));
    for (let from = 0, turn = 0; from < longest; turn++) {
      const shotsATurn = 1 + (turn % 3);
      for (const { shots } of crowd) yield* shots.slice(from, from + shotsATurn);
      from += shotsATurn;
    }
  }
}

function* packetsIn(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    yield bytes.subarray(at + 4, at + 4 + length);
    at += 4 + length;
  }
}

/** Where TCP or UDP begins in a packet of the flows that share addresses; null: one of those that do not. */
function portsOffset(packet: Buffer): number | null {
  const isV6 = (packet[0] ?? 0) >> 4 === 6;
  const isAlone = (packet[isV6 ? 23 : 15] ?? 0) >= OWN_ADDRESSES;
  return isAlone ? null : isV6 ? 40 : 20;
}

/** Of a packet as it is kept for comparing. */
function isFragment(packet: string): boolean {
  const isV6 = packet.charCodeAt(0) >> 4 === 6;
  if (isV6) return packet.charCodeAt(6) === FRAGMENT_HEADER;
  return (((packet.charCodeAt(6) << 8) | packet.charCodeAt(7)) & MORE_OR_OFFSET) !== 0;
}

const protocolOf = (packet: Buffer): number => packet[(packet[0] ?? 0) >> 4 === 6 ? 6 : 9] ?? 0;

/**
 * A bare acknowledgement lets what comes behind it pass, as it has no place in the stream: its order is compared with others of its kind.
 */
function flowOf(packet: Buffer): string {
  const isV6 = (packet[0] ?? 0) >> 4 === 6;
  const addresses = packet.toString("hex", isV6 ? 8 : 12, isV6 ? 40 : 20);
  const ports = portsOffset(packet);
  if (ports === null) return addresses;
  const isBare =
    protocolOf(packet) === IPPROTO_TCP &&
    packet[ports + TCP_FLAGS_OFFSET] === TCP_ACK &&
    packet.length === ports + ((packet[ports + 12] ?? 0) >> 4) * 4;
  return `${addresses} ${protocolOf(packet)} ${packet.toString("hex", ports, ports + 4)}${isBare ? " ACK" : ""}`;
}

/** Without the ID of an IPv4 packet that must not be fragmented: it means nothing (RFC 6864), and whoever cuts makes it anew. */
function comparable(packet: Buffer): Buffer {
  if ((packet[0] ?? 0) >> 4 === 6) return packet;
  const place = packet.readUInt16BE(6);
  const header = packet.subarray(0, ((packet[0] ?? 0) & 15) * 4);
  if ((place & DONT_FRAGMENT) === 0 || (place & MORE_OR_OFFSET) !== 0 || foldSum(sumWords(header)) !== 0xffff) {
    return packet;
  }
  const copy = Buffer.from(packet);
  copy.writeUInt16BE(0, 4);
  copy.writeUInt16BE(0, 10);
  return copy;
}
