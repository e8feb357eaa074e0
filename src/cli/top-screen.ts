// The screen of `hopsack top`, from two reports of one daemon. Pure.
import { formatFigure } from "../bench/units.js";
import type { StatusReport } from "../daemon/status.js";
import { type Paint, tableLines, withDimTitles } from "./output.js";
import { peerLines } from "./peer-lines.js";
import { headline, joinSections, warningLines } from "./status-screen.js";

export interface Sample {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly report: StatusReport;
}

/** One direction since the start. */
interface Volume {
  readonly packets: number;
  readonly bytes: number;
}

interface Volumes {
  readonly sent: Volume;
  readonly received: Volume;
}

/** @param before null for the first screen */
export function renderTop(before: Sample | null, now: Sample, paint: Paint, peersLimit: number): string {
  const { report } = now;
  return joinSections([
    [headline(report, paint)],
    warningLines(report, paint),
    rateLines(before, now, paint),
    peerLines(report, paint, now.at, peersLimit),
  ]);
}

function rateLines(before: Sample | null, now: Sample, paint: Paint): string[] {
  const [was, is] = [before === null ? null : volumesOf(before.report), volumesOf(now.report)];
  if (is === null) return [paint.dim(whyNoFigures(now.report))];
  const seconds = before === null ? 0 : (now.at - before.at) / 1000;
  // A daemon that was started anew counts from zero again.
  if (before === null || was === null || seconds <= 0 || before.report.pid !== now.report.pid)
    return [paint.dim("measuring …")];
  const columns = ["", "packets", "bits"].map((title, index) => ({ title, isRightAligned: index > 0 }));
  const row = (name: string, earlier: Volume, later: Volume) => [
    name,
    formatFigure(Math.max(0, later.packets - earlier.packets) / seconds, "1/s"),
    formatFigure((8 * Math.max(0, later.bytes - earlier.bytes)) / seconds, "bit/s"),
  ];
  const rows = [row("sent", was.sent, is.sent), row("received", was.received, is.received)];
  const title = `${paint.bold("traffic")} of ${now.report.device?.name ?? "this host"}`;
  return [
    title,
    ...withDimTitles(tableLines(columns, rows), paint),
    ...dropLines(before.report, now.report, seconds, paint),
  ];
}

/** The pump counts every packet; the kernel's count of its own device takes a super-packet for one. */
function volumesOf({ traffic, device }: StatusReport): Volumes | null {
  if (traffic !== null) return traffic;
  const volume = device?.volume ?? null;
  if (volume === null) return null;
  return {
    sent: { packets: volume.sentPackets, bytes: volume.sentBytes },
    received: { packets: volume.receivedPackets, bytes: volume.receivedBytes },
  };
}

function whyNoFigures({ state, backend, underlay }: StatusReport): string {
  if (state !== "ready" || backend === null) return "no packets flow yet";
  return `no figures: in ${backend} mode the overlay's packets pass ${underlay?.link ?? "the underlay"} among all others, on no device of their own`;
}

function dropLines(before: StatusReport, now: StatusReport, seconds: number, paint: Paint): string[] {
  const earlier = new Map(before.drops.map(({ reason, packets }) => [reason, packets]));
  return now.drops
    .map(({ reason, help, packets }) => ({ reason, help, packets: packets - (earlier.get(reason) ?? 0) }))
    .filter(({ packets }) => packets > 0)
    .map(({ reason, help, packets }) =>
      paint.yellow(`  dropped ${formatFigure(packets / seconds, "1/s")}: ${reason}, ${help}`),
    );
}
