// Sends one marked packet and watches it on every device of everybody on its way. What is told is what was seen; the hosts are asked
// afterwards which routes they would choose, and what they lost meanwhile.
import { randomInt } from "node:crypto";
import { fileURLToPath } from "node:url";
import { captureOn, type DeviceCapture } from "../capture/device-capture.js";
import { askStatus, readLinks, tunnelPorts } from "../capture/host.js";
import type { StatusReport } from "../daemon/status.js";
import { attempt } from "../lab/command.js";
import type { TunnelPorts } from "../wire/dissect.js";
import {
  type Counters,
  forwards,
  ownAddresses,
  readLinkFacts,
  readLosses,
  readNeighbours,
  risen,
  routeChoice,
} from "./host-facts.js";
import { type Mark, type MarkProtocol, nftMatches, wayOf } from "./mark.js";
import { type NetfilterWatch, type RuleVerdict, watchNetfilter } from "./netfilter-watch.js";
import type { Member, Path } from "./path.js";
import { type Step, stepOf } from "./step.js";
import { findStop, isAnswer, type Stop, type Testimony } from "./stop.js";

const KNOCK = fileURLToPath(new URL("knock.js", import.meta.url));
/** Below the range from which Linux takes source ports by itself. */
const SOURCE_PORTS = [20_000, 30_000] as const;

export interface TraceReport {
  readonly mark: Mark;
  /** In the order of time, of everybody and every direction. */
  readonly steps: readonly Step[];
  readonly path: readonly Testimony[];
  readonly isAnswered: boolean;
  /** From the packet's leaving to the answer's arrival; null: none came. */
  readonly roundTripSeconds: number | null;
  /** Why netfilter was not watched, by host. */
  readonly unwatched: ReadonlyMap<string, string>;
  /** null: it arrived, and was answered where that is to be expected. */
  readonly stop: Stop | null;
}

interface Watched {
  readonly member: Member;
  readonly capture: DeviceCapture;
  readonly netfilter: NetfilterWatch | null;
  readonly before: Counters;
}

/** @param port null: an ICMP echo request */
export async function trace(
  path: Path,
  {
    protocol,
    port,
    seconds,
  }: { readonly protocol: MarkProtocol; readonly port: number | null; readonly seconds: number },
  signal: AbortSignal,
): Promise<TraceReport> {
  const id = protocol === "icmp" ? randomInt(1, 65_536) : randomInt(...SOURCE_PORTS);
  const mark: Mark = { protocol, source: path.source, destination: path.destination, id, port };
  const before = await Promise.all(path.members.map(reportOf));
  const ports = unitedPorts(before);
  const steps: Step[] = [];
  const watched: Watched[] = [];
  const unwatched = new Map<string, string>();
  let verdicts: readonly (readonly RuleVerdict[])[] = [];
  try {
    // allSettled: what was started is ended, also when another one could not be
    const begun = await Promise.allSettled(
      path.members.map(async (member, index) => {
        const entry = await watch(member, before[index] ?? null, mark, ports, steps, signal);
        watched[index] = entry;
        if (entry.netfilter?.fault != null) unwatched.set(member.name, entry.netfilter.fault);
      }),
    );
    for (const result of begun) if (result.status === "rejected") throw result.reason;
    await send(path, mark, seconds, signal);
  } finally {
    verdicts = await Promise.all(watched.map(endOf));
  }
  steps.sort((a, b) => a.timeSeconds - b.timeSeconds);
  const testimonies = await Promise.all(
    watched.map((entry, index) => testify(entry, verdicts[index] ?? [], mark, path, steps)),
  );
  const first = steps.find(({ way }) => way === "there");
  const answer = steps.find((step) => step.member === path.members[0]?.name && isAnswer(step, mark));
  return {
    mark,
    steps,
    path: testimonies,
    isAnswered: answer !== undefined,
    roundTripSeconds: first === undefined || answer === undefined ? null : answer.timeSeconds - first.timeSeconds,
    unwatched,
    stop: findStop(mark, testimonies, path.isWhole, steps),
  };
}

/** Everything that was started for it is over then. */
async function endOf({ capture, netfilter }: Watched): Promise<readonly RuleVerdict[]> {
  const [verdicts] = await Promise.all([netfilter?.stop() ?? [], capture.stop()]);
  return verdicts;
}

async function reportOf({ socket }: Member): Promise<StatusReport | null> {
  return socket === null ? null : askStatus(socket);
}

/** What one host wraps another one may take for something else: all ports are looked into everywhere. */
function unitedPorts(reports: readonly (StatusReport | null)[]): TunnelPorts {
  const all = reports.map(tunnelPorts);
  return { bare: unique(all.flatMap(({ bare }) => bare)), vxlan: unique(all.flatMap(({ vxlan }) => vxlan)) };
}

function unique(ports: readonly number[]): number[] {
  return [...new Set(ports)];
}

async function watch(
  member: Member,
  report: StatusReport | null,
  mark: Mark,
  ports: TunnelPorts,
  steps: Step[],
  signal: AbortSignal,
): Promise<Watched> {
  const { netns, kind, name } = member;
  const links = (await readLinks(netns, signal)).filter((link) => link.name !== "lo");
  const own = mark.protocol === "icmp" ? "icmp" : `icmp or ${mark.protocol} port ${mark.port}`;
  const tunnels = [...ports.bare, ...ports.vxlan].map((port) => `udp port ${port}`);
  const filter = kind === "pod" ? own : [own, ...tunnels, "ip proto 4"].join(" or ");
  const before = await readLosses(netns, report);
  const capture = await captureOn(
    netns,
    links,
    { filter, ports },
    (sighting) => {
      const way = wayOf(sighting, mark);
      if (way !== null) steps.push(stepOf(name, way, sighting));
    },
    signal,
  );
  const netfilter = kind === "host" ? await watchNetfilter(netns, nftMatches(mark), signal) : null;
  return { member, capture, netfilter, before };
}

/** Returns when an answer came, or `seconds` are over. */
async function send({ sourceNetns }: Path, mark: Mark, seconds: number, signal: AbortSignal): Promise<void> {
  const { protocol, destination, id, port } = mark;
  const command =
    protocol === "icmp"
      ? ["ping", "-n", "-c", "1", "-W", `${seconds}`, "-e", `${id}`, destination]
      : [process.execPath, KNOCK, protocol, destination, `${port}`, `${id}`, `${seconds * 1000}`];
  await attempt("ip", ["netns", "exec", sourceNetns, ...command], { signal });
}

async function testify(
  { member, before }: Watched,
  verdicts: readonly RuleVerdict[],
  mark: Mark,
  { members }: Path,
  steps: readonly Step[],
): Promise<Testimony> {
  const { netns, name } = member;
  const isLast = members.length > 1 && members.at(-1) === member && member.kind === "pod";
  const [report, links, neighbours, isForwarding, addresses] = await Promise.all([
    reportOf(member),
    readLinkFacts(netns),
    readNeighbours(netns),
    forwards(netns),
    ownAddresses(netns),
  ]);
  const arrived = steps.findLast(
    (step) => step.member === name && step.way === "there" && step.direction === "in" && step.kind === "plain",
  );
  const from = arrived === undefined || member.kind === "pod" ? null : { address: mark.source, device: arrived.device };
  return {
    member,
    route: isLast ? null : await routeChoice(netns, mark.destination, from),
    report,
    verdicts,
    risen: risen(before, await readLosses(netns, report)),
    links,
    neighbours,
    isForwarding,
    addresses,
  };
}
