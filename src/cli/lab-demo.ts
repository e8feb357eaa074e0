// `hopsack lab demo`: the story. Two hosts appear, a pod greets another, one datagram is caught and taken apart, three ways
// of carrying packets race each other, and everything goes away again.

import { HopsackError } from "../errors.js";
import { capture } from "../lab/capture.js";
import { attempt, requireTools } from "../lab/command.js";
import { abandonedLabs, type Lab, labDown, labUp } from "../lab/lab.js";
import type { HostReport } from "../lab/lab-folder.js";
import { type PathName, PathRunner } from "../lab/paths.js";
import { canOpenTun } from "../lab/permission.js";
import { runUnprivileged, whyNotUnprivileged } from "../lab/unprivileged.js";
import * as screens from "./demo-screens.js";
import { type Paint, paintFor } from "./output.js";

const NAME_PREFIX = "demo-";
const TOOLS = ["ip", "ping", "tcpdump", "iperf3"];
const ROUNDS = 3;
const SECONDS_PER_STREAM = 1;
const TUNNEL_PORT = 8285;
const RACERS: readonly PathName[] = ["vxlan", "udp", "udp-naive"];

/** What every chapter gets. */
interface Stage {
  readonly lab: Lab;
  readonly first: HostReport;
  readonly second: HostReport;
  readonly paint: Paint;
  readonly signal: AbortSignal;
}

/**
 * Tells the whole story on standard output.
 * @throws TOOL_MISSING, NO_TUN, and what labUp() throws
 */
export async function runDemo(signal: AbortSignal): Promise<void> {
  requireTools(TOOLS);
  if (!canOpenTun())
    throw new HopsackError("NO_TUN", "/dev/net/tun is missing or may not be opened; try: modprobe tun");
  const paint = paintFor(process.stdout, process.env);
  for (const name of abandonedLabs(NAME_PREFIX)) await labDown(name);
  say(screens.title(paint));
  const name = `${NAME_PREFIX}${process.pid}`;
  const started = performance.now();
  const lab = await raise(name, paint, signal);
  try {
    const [first, second] = lab.report.hosts;
    if (first === undefined || second === undefined) throw new Error("a lab of two hosts has two hosts");
    const stage = { lab, first, second, paint, signal };
    say(screens.landscape(first, second));
    await greet(stage);
    await takeApart(stage);
    await race(stage);
  } finally {
    await labDown(name);
  }
  say(screens.farewell(paint, (performance.now() - started) / 1000));
}

/**
 * For those who are not root: the same in a user namespace, where this machine allows it; the exit status.
 * @throws TOOL_MISSING, NOT_PERMITTED
 */
export async function runDemoUnprivileged(): Promise<number> {
  requireTools(TOOLS);
  const obstacle = await whyNotUnprivileged();
  if (obstacle === null) return runUnprivileged();
  throw new HopsackError("NOT_PERMITTED", `the demo needs root, since ${obstacle}; run it with sudo`);
}

async function raise(name: string, paint: Paint, signal: AbortSignal): Promise<Lab> {
  say(screens.chapter(paint, 1, "Two hosts out of thin air"));
  const spec = { name, hosts: 2, podsPerHost: 1, backend: "udp", hasIpv6: false, daemonArgs: [] };
  return labUp(spec, { signal, progress: (step) => say(screens.note(paint, `${step} …`)) });
}

async function greet({ first, second, paint, signal }: Stage): Promise<void> {
  const [pod, target] = [first.pods[0], second.pods[0]];
  say(screens.chapter(paint, 2, "A pod says hello"));
  const command = ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", target?.address ?? ""];
  say(screens.command(paint, pod?.name ?? "", command));
  const { stdout } = await attempt("ip", ["netns", "exec", pod?.netns ?? "", ...command], { signal });
  say(screens.quote(stdout.split("\n").filter((line) => /bytes from|packets transmitted|rtt/.test(line))));
}

async function takeApart({ first, second, paint, signal }: Stage): Promise<void> {
  const [pod, target] = [first.pods[0], second.pods[0]];
  say(screens.chapter(paint, 3, "What was on the wire"));
  say(screens.note(paint, `tcpdump on ${second.name}'s eth0 while ${pod?.name} pings ${target?.name} once …`));
  const ping = ["netns", "exec", pod?.netns ?? "", "ping", "-n", "-c", "1", "-W", "2", target?.address ?? ""];
  const place = { netns: second.netns, link: "eth0" };
  const traffic = () => attempt("ip", ping, { signal });
  const [packet] = await capture(place, `udp dst port ${TUNNEL_PORT}`, 1, traffic, signal);
  if (packet !== undefined) say(screens.dissection(paint, packet.bytes, TUNNEL_PORT));
}

async function race({ lab, first, second, paint, signal }: Stage): Promise<void> {
  say(screens.chapter(paint, 4, "A race"));
  const course = `${first.pods[0]?.name} → ${second.pods[0]?.name}`;
  say(
    screens.note(
      paint,
      `one TCP stream ${course}, ${SECONDS_PER_STREAM} s each, ${ROUNDS} rounds, turn and turn about …`,
    ),
  );
  const paths = new PathRunner(lab);
  const results = new Map<PathName, number[]>(RACERS.map((path) => [path, []]));
  for (let round = 1; round <= ROUNDS; round++) {
    process.stdout.write(screens.roundStart(round, ROUNDS));
    // There and back: drift of the machine hits all alike, and hopsackd restarts only once a round.
    for (const path of round % 2 === 1 ? RACERS : RACERS.toReversed()) {
      const { bitsPerSecond } = await paths.measure(path, SECONDS_PER_STREAM, signal);
      results.get(path)?.push(bitsPerSecond);
      process.stdout.write(screens.lap(path, bitsPerSecond));
    }
    process.stdout.write("\n");
  }
  say(screens.podium(paint, results));
}

function say(lines: readonly string[]): void {
  process.stdout.write(`${lines.join("\n")}\n`);
}
