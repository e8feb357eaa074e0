// The peers on the screens of `hopsack status` and `hopsack top`: those with trouble first, and what the probes say of each. Pure.
import type { StatusReport } from "../daemon/status.js";
import { formatCount, formatDuration, type Paint, tableLines, withDimTitles } from "./output.js";

type Peer = StatusReport["peers"][number];

interface StateWords {
  /** null: not probed. */
  readonly state: NonNullable<Peer["reach"]>["state"] | null;
  readonly words: string;
  readonly colour: Exclude<keyof Paint, "bold">;
}

/** The worst first. */
const STATES: readonly StateWords[] = [
  { state: "lost", words: "answers no longer", colour: "red" },
  { state: "one-way", words: "heard, but does not answer", colour: "red" },
  { state: "unknown", words: "not known yet", colour: "dim" },
  { state: "silent", words: "does not answer probes", colour: "dim" },
  { state: "reachable", words: "reachable", colour: "green" },
  { state: null, words: "not probed", colour: "dim" },
];

/** @param limit how many are listed */
export function peerLines({ peers }: StatusReport, paint: Paint, now: number, limit: number): string[] {
  if (peers.length === 0) return ["no peers yet"];
  const shown = worstFirst(peers).slice(0, limit);
  const isProbed = peers.some(({ reach }) => reach !== null);
  const titles = ["subnet", "public IP", "node", "mode", ...(isProbed ? ["state", "last heard", "RTT", "loss"] : [])];
  const columns = titles.map((title) => ({ title, isRightAligned: ["RTT", "loss"].includes(title) }));
  const rows = shown.map((peer) => [...identity(peer), ...(isProbed ? reachCells(peer, paint, now) : [])]);
  return [
    `${paint.bold(peers.length === 1 ? "1 peer" : `${formatCount(peers.length)} peers`)}${isProbed ? `: ${summary(peers)}` : ""}`,
    ...withDimTitles(tableLines(columns, rows), paint),
    ...(shown.length < peers.length
      ? [paint.dim(`  and ${formatCount(peers.length - shown.length)} more; --all lists them`)]
      : []),
  ];
}

function worstFirst(peers: readonly Peer[]): Peer[] {
  return STATES.flatMap(({ state }) => peersIn(peers, state));
}

function peersIn(peers: readonly Peer[], state: StateWords["state"]): Peer[] {
  return peers.filter(({ reach }) => (reach?.state ?? null) === state);
}

/** `1 answers no longer, 8 reachable` */
function summary(peers: readonly Peer[]): string {
  return STATES.map(({ state, words }) => ({ words, count: peersIn(peers, state).length }))
    .filter(({ count }) => count > 0)
    .map(({ words, count }) => `${formatCount(count)} ${words}`)
    .join(", ");
}

function identity({ subnet, subnetV6, publicIp, node, backendType }: Peer): string[] {
  return [subnetV6 === null ? subnet : `${subnet} ${subnetV6}`, publicIp, node ?? "-", backendType];
}

function reachCells({ reach }: Peer, paint: Paint, now: number): string[] {
  const { words = "", colour = "dim" } = STATES.find(({ state }) => state === (reach?.state ?? null)) ?? {};
  const { lastHeardAt = null, roundTripMilliseconds = null, loss = null } = reach ?? {};
  return [
    paint[colour](words),
    lastHeardAt === null ? "never" : `${formatDuration((now - Date.parse(lastHeardAt)) / 1000)} ago`,
    roundTripMilliseconds === null ? "-" : `${roundTripMilliseconds.toFixed(2)} ms`,
    loss === null ? "-" : `${Math.round(100 * loss)} %`,
  ];
}
