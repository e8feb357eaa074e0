// What the pumps of both hosts did during a measurement: how many packets they moved at once, and which they lost.
import type { DirectionReport, StatusReport } from "../daemon/status.js";
import { fetchStatus, parseStatus } from "../daemon/status-client.js";
import type { Sample } from "./results.js";

type Carried = NonNullable<StatusReport["traffic"]>["carriedByEbpf"];

export type PumpWork = Pick<Sample, "coalescing" | "drops">;

/** Of one daemon; before: null when another process ran then. */
interface Pair {
  readonly before: StatusReport | null;
  readonly after: StatusReport;
}

/** One report of each host, in the order of the sockets. */
export function readReports(sockets: readonly string[]): Promise<StatusReport[]> {
  return Promise.all(sockets.map(async (socket) => parseStatus(await fetchStatus(socket), socket)));
}

/** Bytes that went past the device's counters, of the host that saw most of them. */
export function bytesByEbpf(before: readonly StatusReport[], after: readonly StatusReport[]): number {
  const pairs = after.map((report, index) => ({ after: report, before: sameProcess(before[index], report) }));
  return Math.max(0, ...carriedByEbpf(pairs, ({ sent, received }) => sent.bytes + received.bytes));
}

/** The difference between two looks; counters of a daemon that was restarted meanwhile begin at zero. */
export function pumpWork(before: readonly StatusReport[], after: readonly StatusReport[]): PumpWork {
  const pairs = after.map((report, index) => ({ after: report, before: sameProcess(before[index], report) }));
  const hasPump = after.some(({ traffic }) => traffic !== null);
  const coalescing = { sent: packetsPerCall(pairs, "sent"), received: packetsPerCall(pairs, "received") };
  return { coalescing: hasPump ? coalescing : null, drops: addedDrops(pairs) };
}

function sameProcess(before: StatusReport | undefined, after: StatusReport): StatusReport | null {
  return before?.pid === after.pid ? before : null;
}

/** Packets that one call on the TUN moved, over all pumps. */
function packetsPerCall(pairs: readonly Pair[], direction: "sent" | "received"): number {
  const moved = (field: keyof DirectionReport): number =>
    pairs.reduce((sum, { before, after }) => {
      const earlier = before?.traffic?.[direction][field] ?? 0;
      return sum + (after.traffic?.[direction][field] ?? 0) - earlier;
    }, 0);
  const byEbpf = carriedByEbpf(pairs, (carried) => carried[direction].packets).reduce((sum, each) => sum + each, 0);
  return (moved("packets") - byEbpf) / Math.max(1, moved("tunCalls"));
}

/** For each host, what its programs carried meanwhile. */
function carriedByEbpf(pairs: readonly Pair[], read: (carried: Carried) => number): number[] {
  const of = (report: StatusReport | null): number => {
    const carried = report?.traffic?.carriedByEbpf;
    return carried === undefined ? 0 : read(carried);
  };
  return pairs.map(({ before, after }) => of(after) - of(before));
}

function addedDrops(pairs: readonly Pair[]): Record<string, number> {
  const drops = new Map<string, number>();
  for (const { before, after } of pairs) {
    for (const { reason, packets } of after.drops) {
      const earlier = before?.drops.find((drop) => drop.reason === reason)?.packets ?? 0;
      drops.set(reason, (drops.get(reason) ?? 0) + packets - earlier);
    }
  }
  return Object.fromEntries([...drops].filter(([, packets]) => packets > 0));
}
