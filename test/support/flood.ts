// A flood of forged datagrams at the receiver of one good TCP stream, and every datagram accounted for.
//
//   [a 192.168.50.10, 10.244.1.0/24] ── stream ──▶ [b 192.168.50.11, 10.244.2.0/24]
//   [m 192.168.50.12, a member, and .77, a stranger] ── flood ──▶ b, or first ──▶ [sink 192.168.50.99], which drops it unseen
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";
import type { StatusReport } from "../../src/daemon/status.js";
import { fetchStatus, parseStatus } from "../../src/daemon/status-client.js";
import { quiet } from "./flow.js";
import { changed, innerPacket } from "./forged.js";
import { type Host, ip, makeHost, UNHOOKED } from "./hopsackd.js";
import { ipJson, run, until } from "./netns.js";
import { Place } from "./place.js";
import { pings } from "./traffic.js";

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));
const BUILD = `${CHECKOUT}build/native-flood`;
const PORT = 8285;
const MEMBER = "192.168.50.12";
const STRANGER = "192.168.50.77";
const ALONE_MS = 10_000;
/** kMaxSegments in native/pump/send_queue.h. */
const DATAGRAMS_PER_SEND = 63;
const STREAM_SECONDS = 900;
const LOOKS_LIMIT = 1000;

const good = innerPacket("10.244.3.5", "10.244.2.5");
/** Source, what is sent, and what it is counted as. */
export const KINDS: readonly (readonly [string, Buffer, string])[] = [
  [STRANGER, good, "unknown_sender"],
  [STRANGER, Buffer.alloc(1400, 0x55), "unknown_sender"],
  [MEMBER, innerPacket("10.244.1.5", "10.244.2.5"), "inner_source"],
  [MEMBER, innerPacket("10.244.3.5", "192.168.50.10"), "inner_destination"],
  [MEMBER, changed(good, 2, 0xff, 0xff), "truncated"],
  [MEMBER, changed(good, 0, 0x4f), "bad_inner_packet"],
];

/** Over one stretch of time. */
interface Stretch {
  readonly seconds: number;
  readonly streamBytes: number;
}

export interface FloodReport {
  readonly flood: Stretch & { readonly datagrams: number };
  /** The stream alone, and beside the same flood at somebody else: what the flooding itself takes of this machine. */
  readonly alone: Stretch;
  readonly elsewhere: Stretch;
  /** By reason, as far as they were received; those of the flood. */
  readonly dropped: Readonly<Record<string, number>>;
  /** Left unread by the pump, the stream's among them. */
  readonly receiveBufferFull: number;
  /** Packets that links had no room for; one of them may be a send of the stream with several datagrams. */
  readonly lostOnLinks: number;
  /** Datagrams of the flood and the stream that were neither received nor counted as lost. */
  readonly unexplained: number;
}

/** Packets that links had no room for, on all ways to b. */
function linkDrops(): number {
  const links = [
    ipJson("-s link show"),
    ipJson("-n a -s link show eth0"),
    ipJson("-n m -s link show eth0"),
    ipJson("-n b -s link show eth0"),
  ];
  return links.flat().reduce((sum, link) => {
    const { rx, tx } = (link as { stats64?: { rx?: { dropped?: number }; tx?: { dropped?: number } } }).stats64 ?? {};
    return sum + (rx?.dropped ?? 0) + (tx?.dropped ?? 0);
  }, 0);
}

async function look(place: Place, host: Host): Promise<StatusReport> {
  return parseStatus(await fetchStatus(place.socket(host)), place.socket(host));
}

/** Both hosts at a moment at which nothing more is counted on either. */
async function lookAtRest(place: Place, a: Host, b: Host): Promise<{ a: StatusReport; b: StatusReport }> {
  let before = "";
  for (let n = 0; n < LOOKS_LIMIT; n++) {
    const now = { a: await look(place, a), b: await look(place, b) };
    const counted = JSON.stringify([now.a.traffic, now.b.traffic, now.b.drops]);
    if (counted === before) return now;
    before = counted;
  }
  throw new Error("packets come and come");
}

function buildFlood(): string {
  execFileSync("cmake", ["-S", `${CHECKOUT}native`, "-B", BUILD, "-DHOPSACK_TESTS=ON"], { stdio: "pipe" });
  execFileSync("cmake", ["--build", BUILD, "--target", "native_flood", "-j2"], { stdio: "pipe" });
  return `${BUILD}/native_flood`;
}

/** How many of each kind the kernel took. */
async function flood(program: string, from: Host, to: string, datagrams: number): Promise<number[]> {
  const child = spawn("ip", ["netns", "exec", from.name, program, to, `${PORT}`, `${datagrams}`]);
  let said = "";
  child.stdout.on("data", (chunk) => (said += chunk));
  child.stdin.end(KINDS.map(([source, bytes]) => `${source} ${bytes.toString("hex")}\n`).join(""));
  await once(child, "close");
  return JSON.parse(said);
}

/** Ends with what it returns. */
async function startStream(t: Test, a: Host, b: Host, isFlowing: () => Promise<boolean>): Promise<() => void> {
  const inside = (host: Host, ...words: string[]): (() => void) => {
    const child = spawn("ip", ["netns", "exec", host.name, ...UNHOOKED, "iperf3", ...words], { stdio: "ignore" });
    const end = (): void => void child.kill("SIGKILL");
    t.teardown(end);
    return end;
  };
  inside(b, "-s", "-1");
  await until("iperf3 listens", () => run("ip netns exec b ss -Htln sport = 5201") !== "");
  const end = inside(a, "-c", "10.244.2.0", "-t", `${STREAM_SECONDS}`);
  for (let isSo = false; !isSo; ) isSo = await isFlowing();
  return end;
}

/** Inside withDaemons(). */
export async function underFlood(t: Test, datagrams: number, flags: readonly string[] = []): Promise<FloodReport> {
  const program = buildFlood();
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  const m = await makeHost("m", MEMBER);
  const sink = await makeHost("sink", "192.168.50.99");
  ip(m, `addr add ${STRANGER}/24 dev eth0`);
  run("ip netns exec sink nft add table inet sink");
  run("ip netns exec sink nft add chain inet sink first { type filter hook prerouting priority raw ; }");
  run("ip netns exec sink nft add rule inet sink first meta l4proto udp drop");
  const place = new Place(t);
  place.writeMember(MEMBER, "10.244.3.0/24");
  await place.startAll(t, [a, b], () => ["--probe-peers=false", ...flags]);
  await until("b knows a and m", () => place.status(b).peers.length === 2);
  await until("the overlay carries", () => pings(a, "10.244.2.0"));

  const before = { a: await look(place, a), b: await look(place, b), links: linkDrops() };
  const arrived = async (): Promise<number> => (await look(place, b)).traffic?.received.bytes ?? 0;
  const endStream = await startStream(t, a, b, async () => (await arrived()) > 10_000_000);
  const during = async (deed: () => Promise<unknown>): Promise<Stretch> => {
    const [startedAt, bytes] = [performance.now(), await arrived()];
    await deed();
    return { seconds: (performance.now() - startedAt) / 1000, streamBytes: (await arrived()) - bytes };
  };
  const alone = await during(() => new Promise((resolve) => setTimeout(resolve, Math.min(ALONE_MS, datagrams / 100))));
  const elsewhere = await during(() => flood(program, m, sink.address, datagrams));
  let sent: number[] = [];
  const flooded = await during(async () => {
    sent = await flood(program, m, b.address, datagrams);
  });
  endStream();
  await quiet(b);
  await until("what was lost is told", () => pings(a, "10.244.2.0")); // with the next datagram that is received
  const after = { ...(await lookAtRest(place, a, b)), links: linkDrops() };

  const datagramsSent = sent.reduce((sum, count) => sum + count, 0);
  const { receive_buffer_full: receiveBufferFull = 0, ...dropped } = since(before.b, after.b);
  const streamSent = (after.a.traffic?.sent.datagrams ?? 0) - (before.a.traffic?.sent.datagrams ?? 0);
  const received = (after.b.traffic?.received.datagrams ?? 0) - (before.b.traffic?.received.datagrams ?? 0);
  const lostOnLinks = after.links - before.links;
  return {
    flood: { ...flooded, datagrams: datagramsSent },
    ...{ alone, elsewhere, dropped, receiveBufferFull },
    lostOnLinks,
    unexplained: datagramsSent + streamSent - received - receiveBufferFull - lostOnLinks,
  };
}

/** Drops by reason, those that are none left out. */
function since(before: StatusReport, after: StatusReport): Record<string, number> {
  const earlier = new Map(before.drops.map(({ reason, packets }) => [reason, packets]));
  const changes = after.drops.map(({ reason, packets }): [string, number] => [
    reason,
    packets - (earlier.get(reason) ?? 0),
  ]);
  return Object.fromEntries(changes.filter(([, packets]) => packets !== 0));
}

/** In bits a second, and as a part of what the stream had beside nothing and beside the same flood at another host. */
export function describeFlood({
  flood,
  alone,
  elsewhere,
  dropped,
  receiveBufferFull,
  lostOnLinks,
  unexplained,
}: FloodReport): string[] {
  const gigabits = ({ streamBytes, seconds }: Stretch): string => ((streamBytes * 8) / seconds / 1e9).toFixed(2);
  const rate = Math.round(flood.datagrams / flood.seconds / 1000);
  return [
    `stream alone: ${gigabits(alone)} Gbit/s; beside the flood at another host: ${gigabits(elsewhere)}; under it: ${gigabits(flood)}`,
    `kept: ${kept(flood, alone)} of the rate alone, ${kept(flood, elsewhere)} of that beside the flood at another host`,
    `${flood.datagrams} datagrams in ${flood.seconds.toFixed(1)} s, ${rate} thousand a second`,
    `dropped: ${Object.entries(dropped)
      .map(([reason, packets]) => `${packets} ${reason}`)
      .join(", ")}; ${receiveBufferFull} receive_buffer_full`,
    `lost on links: ${lostOnLinks} packets; unexplained: ${unexplained} datagrams`,
  ];
}

/** Whether every datagram is accounted for: a packet that a link lost is one count, and up to so many datagrams. */
export function isComplete({ unexplained, lostOnLinks }: FloodReport): boolean {
  return unexplained >= 0 && unexplained <= lostOnLinks * (DATAGRAMS_PER_SEND - 1);
}

/** Two decimals. */
export function kept(under: Stretch, beside: Stretch): number {
  const rate = ({ streamBytes, seconds }: Stretch): number => streamBytes / seconds;
  return Math.round((100 * rate(under)) / rate(beside)) / 100;
}
