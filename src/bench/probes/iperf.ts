// TCP streams and UDP floods by iperf3, which counts on both sides and reports as JSON.
import { HopsackError } from "../../errors.js";
import { attempt } from "../../lab/command.js";
import type { ProbeSpec } from "../scenarios.js";
import type { ProbeContext, Reading } from "./probe.js";
import { commandIn, type Server, withServers } from "./server.js";

const PORT = 5201;
/** Over the measured seconds: for the handshake and the last report. */
const GRACE_MS = 15_000;

/** Streams from client to server, and back at the same time when asked to; bytes and rate of all together. */
export async function measureTcpStream(
  context: ProbeContext,
  { streams, isBidirectional }: Extract<ProbeSpec, { kind: "tcp-stream" }>,
): Promise<void> {
  const options = ["-P", `${streams}`, ...(isBidirectional ? ["--bidir"] : [])];
  await context.record(async () => tcpReading(await runIperf(context, options)));
}

/** Packets at each rate in turn, as long as they arrive. */
export async function measureUdpFlood(
  context: ProbeContext,
  { messageBytes, rates, lossLimit }: Extract<ProbeSpec, { kind: "udp-flood" }>,
): Promise<void> {
  for (const rate of rates ?? [null]) {
    const options = ["-u", "-l", `${messageBytes}`, "-b", rate === null ? "0" : `${rate}M`];
    const reading = await context.record(async () => udpReading(await runIperf(context, options), rate));
    if ((reading.metrics.lossRatio ?? 1) > lossLimit) return;
  }
}

/**
 * Bound to the address the client connects to: from an unbound socket the kernel would answer UDP by the address of the device
 * it leaves by, and the client waits for another one. Takes one client at a time.
 */
export function iperfServer(address: string): Server {
  return { command: ["iperf3", "-s", "-p", `${PORT}`, "-B", address], transport: "tcp", port: PORT };
}

/** Runs iperf3's client, and its server where the ends have a place for it. @throws TOOL_FAILED with iperf3's own words */
export function runIperf(
  { ends, seconds, signal }: Pick<ProbeContext, "ends" | "seconds" | "signal">,
  options: readonly string[],
): Promise<IperfEnd> {
  return withServers(ends, [iperfServer(ends.address)], signal, async () => {
    const client = ["iperf3", "--json", "-c", ends.address, "-p", `${PORT}`, "-t", `${seconds}`];
    const [program, ...args] = commandIn(ends.clientNetns, [...client, ...options]);
    const { stdout, status } = await attempt(program, args, { signal, timeoutMs: seconds * 1000 + GRACE_MS });
    if (status !== null) return parseIperf(stdout);
    throw new HopsackError("TOOL_FAILED", `iperf3 did not end within ${seconds} + ${GRACE_MS / 1000} s`);
  });
}

interface IperfSum {
  readonly bytes: number;
  readonly bits_per_second: number;
  readonly seconds: number;
  readonly packets?: number;
  readonly lost_packets?: number;
}

/** "end" of iperf3's report. */
export interface IperfEnd {
  readonly sum_received: IperfSum;
  readonly sum_received_bidir_reverse?: IperfSum;
}

/** Reads iperf3's --json output. @throws TOOL_FAILED */
export function parseIperf(text: string): IperfEnd {
  let report: { readonly error?: string; readonly end?: Partial<IperfEnd> };
  try {
    report = JSON.parse(text);
  } catch (error) {
    throw new HopsackError("TOOL_FAILED", `iperf3 printed no report: ${text.slice(0, 200).trim()}`, { cause: error });
  }
  const received = report.end?.sum_received;
  if (report.error !== undefined || received?.bits_per_second === undefined) {
    throw new HopsackError("TOOL_FAILED", `iperf3 failed: ${report.error ?? "its report has no result"}`);
  }
  return { ...report.end, sum_received: received };
}

/** Both directions added up. */
export function tcpReading({ sum_received: there, sum_received_bidir_reverse: back }: IperfEnd): Reading {
  const bitsPerSecond = there.bits_per_second + (back?.bits_per_second ?? 0);
  return { point: null, metrics: { bitsPerSecond }, latencies: null, bytes: there.bytes + (back?.bytes ?? 0) };
}

/** What the receiver counted; what did not fit into its socket is lost as well. */
export function udpReading({ sum_received: received }: IperfEnd, point: number | null): Reading {
  const { packets = 0, lost_packets: lost = 0, seconds } = received;
  const perSecond = (count: number): number => (seconds > 0 ? count / seconds : 0);
  const metrics = {
    bitsPerSecond: received.bits_per_second,
    packetsPerSecond: perSecond(packets - lost),
    offeredPerSecond: perSecond(packets),
    lossRatio: packets === 0 ? 1 : Math.max(0, lost / packets),
  };
  return { point, metrics, latencies: null, bytes: received.bytes };
}
