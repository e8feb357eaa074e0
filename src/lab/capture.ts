// Captures what crosses the devices of a host with tcpdump, straight into memory. Nothing of it is decoded here.
import type { ChildProcess } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { HopsackError, messageOf } from "../errors.js";
import { type CapturedPacket, PcapReader } from "../wire/pcap.js";
import { awaitOutput, startTool } from "./command.js";

const START_LIMIT_MS = 5000;
const CAPTURE_LIMIT_MS = 5000;
const END_LIMIT_MS = 3000;
const DRAIN_LIMIT_MS = 2000;
const DRAIN_POLL_MS = 5;
/** A super-packet with what stands before it. */
const SNAP_BYTES = 65_600;
/** In immediate mode each packet takes a frame of SNAP_BYTES: room for five hundred. */
const BUFFER_KIB = 32_768;
/** All devices by one socket; each packet comes with the number of the device that it crossed. */
const COOKED = ["-i", "any", "-y", "LINUX_SLL2"];

export interface CapturePlace {
  /** null: the network namespace of this process. */
  readonly netns: string | null;
  /** null: every device; packets then come cooked, and tell which device they crossed. */
  readonly link: string | null;
}

export interface RunningCapture {
  /** Resolves when tcpdump has ended by itself. */
  readonly ended: Promise<void>;
  /** Ends it; all packets have been given to `onPacket` then. How many the kernel had no room for. */
  stop(): Promise<{ readonly dropped: number }>;
}

/**
 * Resolves when every packet from now on is seen.
 * @param filter tcpdump's own language: `udp port 8285`; empty: everything
 * @throws TOOL_MISSING, NOT_PERMITTED, TOOL_FAILED with tcpdump's words; the signal's reason
 */
export async function startCapture(
  { netns, link }: CapturePlace,
  filter: string,
  onPacket: (packet: CapturedPacket) => void,
  signal: AbortSignal,
): Promise<RunningCapture> {
  const device = link === null ? COOKED : ["-i", link];
  // -U and immediate mode: every packet is told of at once
  const room = ["-s", `${SNAP_BYTES}`, "-B", `${BUFFER_KIB}`];
  const tcpdump = ["tcpdump", ...device, ...room, "-n", "--immediate-mode", "-U", "-w", "-", filter].filter(Boolean);
  const [program = "", ...args] = netns === null ? tcpdump : ["ip", "netns", "exec", netns, ...tcpdump];
  const child = startTool(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  const reader = new PcapReader();
  const abandon = (): boolean => child.kill("SIGKILL"); // `hopsack capture | head`
  process.once("exit", abandon);
  let words = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    for (const packet of reader.read(chunk)) onPacket(packet);
  });
  child.stderr?.on("data", (chunk: Buffer) => (words += chunk.toString()));
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  child.once("close", () => process.off("exit", abandon));
  try {
    await awaitOutput(child, "listening on", START_LIMIT_MS, signal);
  } catch (error) {
    child.kill("SIGKILL");
    throw permissionOf(error);
  }
  const stop = async (): Promise<{ readonly dropped: number }> => {
    await drained(child, () => words);
    child.kill("SIGINT"); // it says what it counted, and ends
    const timer = setTimeout(() => child.kill("SIGKILL"), END_LIMIT_MS);
    await closed;
    clearTimeout(timer);
    return { dropped: countsIn(words).at(-1)?.dropped ?? 0 };
  };
  return { ended: closed, stop };
}

/**
 * The first `count` packets that match `filter` on `link` while `traffic` runs.
 * @throws what startCapture() throws; TOOL_FAILED when too few packets came
 */
export async function capture(
  from: { readonly netns: string; readonly link: string },
  filter: string,
  count: number,
  traffic: () => Promise<unknown>,
  signal: AbortSignal,
): Promise<readonly CapturedPacket[]> {
  const packets: CapturedPacket[] = [];
  let onEnough = (): void => {};
  const enough = new Promise<void>((resolve) => (onEnough = resolve));
  const take = (packet: CapturedPacket): void => {
    packets.push(packet);
    if (packets.length === count) onEnough();
  };
  const running = await startCapture(from, filter, take, signal);
  let timer: NodeJS.Timeout | undefined;
  try {
    await traffic();
    const limit = new Promise<void>((resolve) => (timer = setTimeout(resolve, CAPTURE_LIMIT_MS)));
    await Promise.race([enough, running.ended, limit]);
  } finally {
    clearTimeout(timer);
    await running.stop();
  }
  if (packets.length >= count) return packets.slice(0, count);
  throw new HopsackError(
    "TOOL_FAILED",
    `only ${packets.length} of ${count} packets matched "${filter}" on ${from.link}`,
  );
}

/**
 * Resolves when tcpdump has read what the kernel had for it by now: what it has not read it would throw away at its end. Asked by
 * SIGUSR1 it tells its counts.
 */
async function drained(child: ChildProcess, words: () => string): Promise<void> {
  const deadline = Date.now() + DRAIN_LIMIT_MS;
  let waiting: number | null = null;
  while (child.exitCode === null && child.signalCode === null && Date.now() < deadline) {
    const answers = countsIn(words()).length;
    child.kill("SIGUSR1");
    while (countsIn(words()).length === answers && child.exitCode === null && Date.now() < deadline) {
      await delay(DRAIN_POLL_MS);
    }
    const { captured, received, dropped } = countsIn(words()).at(-1) ?? { captured: 0, received: 0, dropped: 0 };
    waiting ??= received;
    if (captured + dropped >= waiting) return;
  }
}

/** Every report of its counts, in one line or in three. */
function countsIn(words: string): { readonly captured: number; readonly received: number; readonly dropped: number }[] {
  const reports = words.matchAll(
    /([0-9]+) packets? captured[,\s]+([0-9]+) packets? received by filter[,\s]+([0-9]+) packets? dropped by kernel/g,
  );
  return Array.from(reports, ([, captured, received, dropped]) => ({
    captured: Number(captured),
    received: Number(received),
    dropped: Number(dropped),
  }));
}

function permissionOf(error: unknown): unknown {
  if (!/permission to capture|Operation not permitted/i.test(messageOf(error))) return error;
  const problem = "this user may not capture packets (missing: CAP_NET_RAW)";
  return new HopsackError("NOT_PERMITTED", `${problem}; run it with sudo`, { cause: error });
}
