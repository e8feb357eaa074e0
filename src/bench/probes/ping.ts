// Pings: how long answers take while the road is busy, and how many are lost while a daemon restarts. From ping's own lines.
import { setTimeout as delay } from "node:timers/promises";
import { HopsackError } from "../../errors.js";
import { attempt } from "../../lab/command.js";
import type { RestartWay } from "../../lab/lab.js";
import { summariseLatencies } from "../latencies.js";
import type { ProbeSpec } from "../scenarios.js";
import { type IperfEnd, runIperf } from "./iperf.js";
import type { Ends, ProbeContext, Reading } from "./probe.js";
import { commandIn } from "./server.js";

/** Over the time the last ping is sent: for its answer. */
const GRACE_MS = 10_000;
/** Until the stream beside the pings has its full speed. */
const RAMP_MS = 300;
const BEFORE_RESTART_MS = 500;
const LEAST_RESTART_SECONDS = 3;

export interface PingReport {
  readonly sent: number;
  /** In the order of arrival. */
  readonly answers: readonly { readonly sequence: number; readonly microseconds: number }[];
}

/** Pings beside a TCP stream that takes all it can get: what waits in queues makes them slow. */
export async function measurePingLoad(
  context: ProbeContext,
  { intervalMs }: Extract<ProbeSpec, { kind: "ping-load" }>,
): Promise<void> {
  const { ends, seconds, signal } = context;
  const count = Math.floor((seconds * 1000 - 2 * RAMP_MS) / intervalMs);
  await context.record(async () => {
    const [stream, pings] = await besideStream(context, [], () => ping(ends, count, intervalMs, signal));
    return pingLoadReading(stream, pings);
  });
}

/** Pings at a fixed pace while a daemon makes room for the next one; a stream that leaves room for them keeps the road in use. */
export async function measureRestart(
  context: ProbeContext,
  { way, intervalMs, loadMegabits }: Extract<ProbeSpec, { kind: "restart" }>,
  restart: (way: RestartWay, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { ends, signal } = context;
  const seconds = Math.max(LEAST_RESTART_SECONDS, context.seconds);
  const count = Math.floor((seconds * 1000 - 2 * RAMP_MS) / intervalMs);
  await context.record(async () => {
    const [stream, pings] = await besideStream({ ...context, seconds }, ["-b", `${loadMegabits}M`], async () => {
      const pinging = ping(ends, count, intervalMs, signal);
      const restarting = delay(BEFORE_RESTART_MS, undefined, { signal }).then(() => restart(way, signal));
      const [pings] = await both(pinging, restarting);
      return pings;
    });
    return restartReading(stream, pings, intervalMs);
  });
}

/** Runs `work` once the stream is at speed. */
function besideStream<T>(
  context: ProbeContext,
  options: readonly string[],
  work: () => Promise<T>,
): Promise<readonly [IperfEnd, T]> {
  const stream = runIperf(context, options);
  return both(stream, delay(RAMP_MS, undefined, { signal: context.signal }).then(work));
}

/** Both results, or the first failure when both have ended: nothing goes on behind the caller's back. */
async function both<A, B>(a: Promise<A>, b: Promise<B>): Promise<readonly [A, B]> {
  await Promise.allSettled([a, b]);
  return [await a, await b];
}

/** Sends a ping every `intervalMs`, `count` in all. @throws TOOL_FAILED with ping's own words */
async function ping(ends: Ends, count: number, intervalMs: number, signal: AbortSignal): Promise<PingReport> {
  const client = ["ping", "-n", "-W", "1", "-i", `${intervalMs / 1000}`, "-c", `${count}`, ends.address];
  const [program, ...args] = commandIn(ends.clientNetns, client);
  const { stdout, stderr } = await attempt(program, args, { signal, timeoutMs: count * intervalMs * 2 + GRACE_MS });
  return parsePing(stdout, stderr);
}

/** @throws TOOL_FAILED when `stdout` has no summary, or no ping was answered */
export function parsePing(stdout: string, stderr: string): PingReport {
  const sent = Number(/^([0-9]+) packets transmitted/m.exec(stdout)?.[1] ?? 0);
  const lines = stdout.matchAll(/icmp_seq=([0-9]+) ttl=[0-9]+ time=([0-9.]+) ms$/gm);
  const answers = Array.from(lines, ([, sequence, time]) => ({
    sequence: Number(sequence),
    microseconds: Number(time) * 1000,
  }));
  if (sent > 0 && answers.length > 0) return { sent, answers };
  const words = stderr.trim().split("\n").at(-1) || "no ping was answered";
  throw new HopsackError("TOOL_FAILED", `ping failed: ${words}`);
}

export function pingLoadReading({ sum_received: stream }: IperfEnd, { sent, answers }: PingReport): Reading {
  const { metrics, latencies } = summariseLatencies(answers.map(({ microseconds }) => microseconds));
  const lossRatio = 1 - answers.length / sent;
  return {
    point: null,
    metrics: { ...metrics, lossRatio, bitsPerSecond: stream.bits_per_second },
    latencies,
    bytes: stream.bytes,
  };
}

/** "gapSeconds": the longest time without an answered ping. */
export function restartReading(stream: IperfEnd, { sent, answers }: PingReport, intervalMs: number): Reading {
  const answered = [0, ...answers.map(({ sequence }) => sequence).sort((a, b) => a - b), sent + 1];
  const gaps = answered.slice(1).map((sequence, index) => sequence - (answered[index] ?? 0) - 1);
  const metrics = { lost: sent - answers.length, gapSeconds: (Math.max(...gaps) * intervalMs) / 1000 };
  return { point: null, metrics, latencies: null, bytes: stream.sum_received.bytes };
}
