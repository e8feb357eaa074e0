// Where a traced packet ended, and why, from what was seen of it and what the hosts say. Pure: no packet is seen here, no host asked.
import { fieldOf } from "../capture/sighting.js";
import type { StatusReport } from "../daemon/status.js";
import type { LinkFact, NeighbourFact, RisenCounter, RouteChoice } from "./host-facts.js";
import type { Mark } from "./mark.js";
import type { RuleVerdict } from "./netfilter-watch.js";
import { isWithin, type Member } from "./path.js";
import type { Step } from "./step.js";

/** What one member of the path says of itself. */
export interface Testimony {
  readonly member: Member;
  /** Which way it would send the packet; null: it was not asked, as the packet ends there. */
  readonly route: RouteChoice | null;
  readonly report: StatusReport | null;
  readonly verdicts: readonly RuleVerdict[];
  readonly risen: readonly RisenCounter[];
  readonly links: readonly LinkFact[];
  readonly neighbours: readonly NeighbourFact[];
  readonly isForwarding: boolean;
  readonly addresses: readonly string[];
}

export interface Stop {
  /** One sentence: who had it last. */
  readonly where: string;
  /** The likeliest first; empty: nobody says anything. */
  readonly reasons: readonly string[];
}

/** @param path in the order of the packet @param isWhole whether its end is among them */
export function findStop(
  mark: Mark,
  path: readonly Testimony[],
  isWhole: boolean,
  steps: readonly Step[],
): Stop | null {
  const last = path.at(-1);
  const there = steps.filter(({ way }) => way === "there");
  const isAnswered = steps.some((step) => step.member === path[0]?.member.name && isAnswer(step, mark));
  if (isAnswered) return null;
  const isItsEnd = isWhole || last?.addresses.includes(mark.destination) === true;
  const hasArrived =
    isItsEnd &&
    there.some(({ member, direction, kind }) => member === last?.member.name && direction === "in" && kind === "plain");
  if (hasArrived && mark.protocol === "udp") return null;
  if (hasArrived && last !== undefined) return answerStop(mark, path, last, steps);
  return stopOn(mark, path, there, steps, "it");
}

/** An answer is what the destination sends: what was asked for, a refusal of its own, or that nobody listens. */
export function isAnswer({ way, direction, layers }: Step, mark: Mark): boolean {
  if (direction !== "in") return false;
  return (
    way === "back" ||
    (way === "error" && fieldOf(layers[0] ?? NO_LAYER, "source") === mark.destination && isOwnRefusal(layers))
  );
}

const NO_LAYER = { title: "", offset: 0, length: 0, fields: [] };

/** Port unreachable: only the end itself knows. Whatever else comes from that address may be somebody's on the way. */
function isOwnRefusal(layers: Step["layers"]): boolean {
  return layers.some((layer) => layer.title === "ICMP" && fieldOf(layer, "type, code").includes("(3, 3)"));
}

function answerStop(mark: Mark, path: readonly Testimony[], last: Testimony, steps: readonly Step[]): Stop {
  const back = steps.filter(
    ({ way, member, direction }) => way === "back" && (member !== last.member.name || direction === "out"),
  );
  if (back.length > 0) return stopOn(mark, path.toReversed(), back, steps, "the answer");
  return {
    where: `it arrives at ${last.member.name}, which does not answer`,
    reasons: reasonsOf(last, mark, steps, false),
  };
}

function stopOn(
  mark: Mark,
  path: readonly Testimony[],
  own: readonly Step[],
  all: readonly Step[],
  subject: string,
): Stop {
  const furthest = path.findLastIndex(({ member }) => own.some((step) => step.member === member.name));
  const at = path[furthest];
  const isBack = subject !== "it";
  if (at === undefined) {
    const first = path[0];
    const where = `it does not leave ${first?.member.name ?? "where it was to begin"}`;
    return { where, reasons: first === undefined ? [] : reasonsOf(first, mark, all, isBack) };
  }
  const step = own.findLast(({ member }) => member === at.member.name);
  const next = path[furthest + 1];
  const seen = `seen last on ${step?.device ?? ""}, ${step?.direction ?? ""}`;
  if (step === undefined || !hasLeft(at, step)) {
    return { where: `${subject} stops on ${at.member.name}: ${seen}`, reasons: reasonsOf(at, mark, all, isBack) };
  }
  if (next === undefined) {
    const where = `${subject} leaves ${at.member.name} by ${step.device}, and nothing comes back`;
    return { where, reasons: reasonsOf(at, mark, all, isBack) };
  }
  const where = `${subject} leaves ${at.member.name} by ${step.device} and does not arrive on ${next.member.name}`;
  return {
    where,
    reasons: [...wrongHost(step, next), ...reasonsOf(next, mark, all, isBack), ...reasonsOf(at, mark, all, isBack)],
  };
}

/** Into a tunnel device a packet goes, and comes out of the host only later. */
function hasLeft({ member, report, links }: Testimony, { device, direction, kind }: Step): boolean {
  if (direction === "in") return false;
  if (member.kind === "pod" || kind !== "plain") return true;
  const isTunnel =
    device === report?.device?.name || links.some(({ name, vxlan }) => name === device && vxlan !== null);
  const isBridge = links.some(({ name, isBridge: is }) => name === device && is);
  return !isTunnel && !isBridge && !/^flannel[0-9]/.test(device);
}

/** A wrapped packet may have been sent to somebody else. */
function wrongHost({ kind, layers }: Step, next: Testimony): string[] {
  const outer = layers[0] === undefined ? "" : fieldOf(layers[0], "destination");
  if (kind === "plain" || next.addresses.includes(outer)) return [];
  return [`it was wrapped for ${outer}, which is no address of ${next.member.name}`];
}

function reasonsOf(testimony: Testimony, mark: Mark, steps: readonly Step[], isBack: boolean): string[] {
  return [
    ...refusals(testimony),
    ...missingLease(testimony, mark, isBack),
    ...daemonLosses(testimony),
    ...missingRoute(testimony),
    ...missingAddress(testimony, mark),
    ...otherNetwork(testimony, steps),
    ...kernelLosses(testimony),
    ...silentNeighbours(testimony, mark),
    ...downLinks(testimony),
    ...missingDaemon(testimony),
    ...errorsAbout(steps),
  ];
}

function refusals({ member, verdicts }: Testimony): string[] {
  return verdicts
    .filter(({ verdict }) => verdict === "drop")
    .map(({ table, chain, rule }) => {
      const who = table.endsWith(" hopsack_policy") ? "a policy" : "nftables";
      const what = rule === null ? "the policy of the chain is drop" : `rule "${rule}"`;
      return `${who} refused it on ${member.name}: table ${table}, chain ${chain}, ${what}`;
    });
}

function missingLease({ member, report }: Testimony, { source, destination }: Mark, isBack: boolean): string[] {
  const wanted = isBack ? source : destination;
  if (report === null || report.network === null || !isWithin(wanted, report.network)) return [];
  const subnets = [report.lease?.subnet, ...report.peers.map(({ subnet }) => subnet)];
  if (subnets.some((subnet) => subnet !== undefined && isWithin(wanted, subnet))) return [];
  return [`no lease that ${member.name} knows covers ${wanted}; see hopsack leases list`];
}

const DAEMON = "hopsackd ";
const isKernels = ({ name }: RisenCounter): boolean => !name.startsWith(DAEMON);

function daemonLosses({ member, risen }: Testimony): string[] {
  return risen
    .filter((counter) => !isKernels(counter))
    .map(({ name, help, by }) => `hopsackd on ${member.name} counted ${by} × ${name.slice(DAEMON.length)}: ${help}`);
}

function missingRoute({ member, route, isForwarding }: Testimony): string[] {
  const off =
    member.kind === "host" && !isForwarding ? [`${member.name} does not forward: net.ipv4.ip_forward is 0`] : [];
  if (route === null || route.isRoute) return off;
  return [...off, `${member.name} has no route: ${route.text}`];
}

/** A VXLAN packet with a number that no device of the host has. */
function otherNetwork({ member, links }: Testimony, steps: readonly Step[]): string[] {
  const ends = links.flatMap(({ name, vxlan }) => (vxlan === null ? [] : [{ name, ...vxlan }]));
  const arrived = steps.find((step) => step.member === member.name && step.direction === "in" && step.kind === "vxlan");
  const layer = arrived?.layers.find(({ title }) => title === "VXLAN");
  const vni = layer === undefined ? null : fieldOf(layer, "VNI");
  if (vni === null || ends.length === 0 || ends.some((end) => `${end.vni}` === vni)) return [];
  const own = ends.map((end) => `${end.name} has VNI ${end.vni}`).join(", ");
  return [`it came with VNI ${vni}, and on ${member.name} ${own}`];
}

function kernelLosses({ member, risen }: Testimony): string[] {
  return risen.filter(isKernels).map(({ name, help, by }) => `${name} rose by ${by} on ${member.name}: ${help}`);
}

function silentNeighbours({ member, route, neighbours }: Testimony, { source, destination }: Mark): string[] {
  const gateway = /\bvia (\S+)/.exec(route?.text ?? "")?.[1];
  const asked = [source, destination, gateway];
  return neighbours
    .filter(({ address, states }) => asked.includes(address) && /FAILED|INCOMPLETE/.test(states.join()))
    .map(({ address, device }) => `nobody answers ${member.name}'s ARP for ${address} on ${device}`);
}

function downLinks({ member, links }: Testimony): string[] {
  return links
    .filter(({ name, isUp }) => !isUp && name !== "lo")
    .map(({ name }) => `${name} of ${member.name} is down`);
}

/** Only the end of the way is not asked for a route. */
function missingAddress({ member, route, addresses }: Testimony, { destination }: Mark): string[] {
  if (member.kind === "host" || route !== null || addresses.includes(destination)) return [];
  return [`${member.name} does not have the address ${destination}`];
}

function missingDaemon({ member, report }: Testimony): string[] {
  return member.kind === "host" && report === null ? [`no hopsackd answers on ${member.name}`] : [];
}

function errorsAbout(steps: readonly Step[]): string[] {
  const errors = steps.flatMap(({ way, layers }) => {
    if (way !== "error") return [];
    const icmp = layers.findLast(({ title }) => title === "ICMP");
    const sender = layers.findLast(({ title }) => title === "IPv4");
    if (icmp === undefined || sender === undefined) return [];
    return [`${fieldOf(sender, "source")} says: ${fieldOf(icmp, "type, code")}`];
  });
  return [...new Set(errors)];
}
