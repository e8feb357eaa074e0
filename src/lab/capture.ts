// Captures what crosses a host's underlay with tcpdump, straight into memory.
import { HopsackError } from "../errors.js";
import { type CapturedPacket, parsePcap } from "../wire/pcap.js";
import { awaitOutput, startTool } from "./command.js";

const START_LIMIT_MS = 5000;
const CAPTURE_LIMIT_MS = 5000;

/**
 * The first `count` packets that match `filter` on `link` while `traffic` runs.
 * @param filter tcpdump's own language: `udp port 8285`
 * @throws TOOL_MISSING, TOOL_FAILED when too few packets came
 */
export async function capture(
  from: { readonly netns: string; readonly link: string },
  filter: string,
  count: number,
  traffic: () => Promise<unknown>,
  signal: AbortSignal,
): Promise<readonly CapturedPacket[]> {
  // -U: every packet is written at once
  const tcpdump = ["tcpdump", "-i", from.link, "-c", `${count}`, "-U", "-w", "-", ...filter.split(" ")];
  const child = startTool("ip", ["netns", "exec", from.netns, ...tcpdump], { stdio: ["ignore", "pipe", "pipe"] });
  const chunks: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => chunks.push(chunk));
  const end = new Promise((resolve) => child.once("close", resolve));
  const timer = setTimeout(() => child.kill("SIGTERM"), START_LIMIT_MS + CAPTURE_LIMIT_MS);
  try {
    await awaitOutput(child, "listening on", START_LIMIT_MS, signal);
    await traffic();
    await end;
  } finally {
    clearTimeout(timer);
    child.kill("SIGTERM");
  }
  const packets = parsePcap(Buffer.concat(chunks))?.packets ?? [];
  if (packets.length >= count) return packets;
  throw new HopsackError(
    "TOOL_FAILED",
    `only ${packets.length} of ${count} packets matched "${filter}" on ${from.link}`,
  );
}
