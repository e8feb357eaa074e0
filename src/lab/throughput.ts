// One TCP stream between two namespaces with iperf3, and the sums people draw from repeated runs. Shared by the demo and
// the benchmark.
import type { ChildProcess } from "node:child_process";
import { HopsackError } from "../errors.js";
import { attempt, awaitOutput, startTool } from "./command.js";

const PORT = 5201;
const SERVER_START_LIMIT_MS = 5000;
/** Over the measured seconds: for the handshake and the last report. */
const CLIENT_GRACE_MS = 10_000;

export interface StreamEnds {
  readonly clientNetns: string;
  readonly serverNetns: string;
  /** Where the client connects to. */
  readonly address: string;
}

export interface StreamResult {
  /** As the receiver counted. */
  readonly bitsPerSecond: number;
  readonly receivedBytes: number;
  readonly retransmits: number;
  /** Of one core, iperf3 processes alone (the kernel's and hopsackd's work elsewhere is not in it). */
  readonly senderCpuPercent: number;
  readonly receiverCpuPercent: number;
}

/**
 * Sends one TCP stream for `seconds`.
 * @throws TOOL_MISSING, TOOL_FAILED with iperf3's own words
 */
export async function measureStream(ends: StreamEnds, seconds: number, signal: AbortSignal): Promise<StreamResult> {
  const server = await startServer(ends.serverNetns, signal);
  try {
    const client = ["iperf3", "--json", "-c", ends.address, "-p", `${PORT}`, "-t", `${seconds}`];
    const { stdout } = await attempt("ip", ["netns", "exec", ends.clientNetns, ...client], {
      signal,
      timeoutMs: seconds * 1000 + CLIENT_GRACE_MS,
    });
    return parseReport(stdout);
  } finally {
    server.kill("SIGKILL");
  }
}

/** An iperf3 server for one stream, listening. The caller ends it. */
async function startServer(netns: string, signal: AbortSignal): Promise<ChildProcess> {
  signal.throwIfAborted();
  const args = ["netns", "exec", netns, "iperf3", "-s", "-1", "-p", `${PORT}`, "--forceflush"];
  const server = startTool("ip", args, { stdio: ["ignore", "pipe", "pipe"] });
  try {
    await awaitOutput(server, "Server listening", SERVER_START_LIMIT_MS, signal);
    return server;
  } catch (error) {
    server.kill("SIGKILL");
    throw error;
  }
}

interface IperfReport {
  readonly error?: string;
  readonly end?: {
    readonly sum_sent?: { readonly retransmits?: number };
    readonly sum_received?: { readonly bits_per_second?: number; readonly bytes?: number };
    readonly cpu_utilization_percent?: { readonly host_total?: number; readonly remote_total?: number };
  };
}

/** Reads iperf3's --json output. @throws TOOL_FAILED */
export function parseReport(text: string): StreamResult {
  let report: IperfReport;
  try {
    report = JSON.parse(text) as IperfReport;
  } catch (error) {
    throw new HopsackError("TOOL_FAILED", `iperf3 printed no report: ${text.slice(0, 200).trim()}`, { cause: error });
  }
  const received = report.end?.sum_received;
  if (report.error !== undefined || received?.bits_per_second === undefined) {
    throw new HopsackError("TOOL_FAILED", `iperf3 failed: ${report.error ?? "its report has no result"}`);
  }
  return {
    bitsPerSecond: received.bits_per_second,
    receivedBytes: received.bytes ?? 0,
    retransmits: report.end?.sum_sent?.retransmits ?? 0,
    senderCpuPercent: report.end?.cpu_utilization_percent?.host_total ?? 0,
    receiverCpuPercent: report.end?.cpu_utilization_percent?.remote_total ?? 0,
  };
}

/** The middle value; of an even number of values, the mean of the two in the middle. NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN;
  return (upper + lower) / 2;
}
