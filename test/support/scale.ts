// Many hosts at once: the program of `npm run scale` and of test/netns/scale.test.ts.
import { fileURLToPath } from "node:url";
import type { Test } from "tap";
import { quantile } from "../../src/bench/statistics.js";
import { fetchStatus, parseStatus } from "../../src/daemon/status-client.js";
import { Script } from "./flow.js";
import { type Daemon, type Host, makeHost } from "./hopsackd.js";
import { until } from "./netns.js";
import { Place } from "./place.js";
import { residentMegabytes, threadMilliseconds } from "./usage.js";

const ALL_PAIRS = fileURLToPath(new URL("all-pairs.py", import.meta.url));
const IDLE_MS = 5000;
const START_LIMIT_MS = 60_000;

/** What each of the daemons takes that run together; one value a daemon. */
export interface Load {
  readonly hosts: number;
  readonly residentMegabytes: readonly number[];
  /** Of one core, in the first seconds after the last of them has started, with no packets to carry. */
  readonly idlePercent: readonly number[];
}

export interface ScaleReport {
  readonly pairs: number;
  /** From the start of the last daemon's process until every host had an answer of every other. */
  readonly allPairsMs: number;
  /** From the writing of a lease until a daemon had it in force: of all changes and daemons, ascending. */
  readonly changesMs: readonly number[];
  readonly loads: readonly Load[];
}

/** Inside withDaemons(). */
export async function scale(t: Test, count: number, changes: number): Promise<ScaleReport> {
  const place = new Place(t);
  const hosts: Host[] = [];
  for (let n = 1; n <= count; n++) hosts.push(await makeHost(`h${n}`, `192.168.50.${n}`));
  for (const [index, host] of hosts.entries()) place.reserve(host, `10.244.${index + 1}.0/24`);
  const scripts = hosts.map((host, index) => {
    const others = hosts.flatMap((_, other) => (other === index ? [] : [`10.244.${other + 1}.0`]));
    return new Script(t, host, "python3", ALL_PAIRS, ...others);
  });
  await until("all scripts listen", () => scripts.every(({ lines }) => lines.includes("ready")), START_LIMIT_MS);

  const daemons: Daemon[] = [];
  const loads: Load[] = [];
  const steps = new Set([count / 6, count / 3, count / 2, (2 * count) / 3, (5 * count) / 6, count - 1].map(Math.ceil));
  for (const step of steps) {
    const added = hosts.slice(daemons.length, step).map((host) => place.start(t, host, "--probe-peers=false"));
    daemons.push(...added);
    await until(`${step} daemons are ready`, () => daemons.every((daemon) => hasSaid(daemon, "ready")), START_LIMIT_MS);
    loads.push(await loadOf(place, hosts.slice(0, step)));
  }
  const last = hosts.at(-1) as Host;
  const monotonicAt = Number(process.hrtime.bigint()) / 1e6;
  daemons.push(place.start(t, last, "--probe-peers=false"));
  await until("all hosts reach all", () => scripts.every(({ lines }) => lines.length > 1), START_LIMIT_MS);
  const allPairsMs = Math.max(...scripts.map(({ lines }) => Number(lines[1]))) - monotonicAt;
  return { pairs: count * (count - 1), allPairsMs, changesMs: await changesOf(place, daemons, changes), loads };
}

function hasSaid(daemon: Daemon, event: string): boolean {
  return daemon.lines.some((line) => line.event === event);
}

/** How long each change took to each daemon. */
async function changesOf(place: Place, daemons: readonly Daemon[], changes: number): Promise<number[]> {
  const milliseconds: number[] = [];
  const updates = (daemon: Daemon) => daemon.lines.filter(({ event }) => event === "forwarding_updated");
  for (let change = 0; change < changes; change++) {
    const before = daemons.map((daemon) => updates(daemon).length);
    const writtenAt = Date.now();
    place.writeMember(`192.168.51.${1 + change}`, "10.244.250.0/24");
    await until("every daemon has the change in force", () =>
      daemons.every((daemon, index) => updates(daemon).length > (before[index] ?? 0)),
    );
    for (const [index, daemon] of daemons.entries()) {
      milliseconds.push(Date.parse(String(updates(daemon)[before[index] ?? 0]?.time)) - writtenAt);
    }
  }
  return milliseconds.sort((a, b) => a - b);
}

async function loadOf(place: Place, hosts: readonly Host[]): Promise<Load> {
  const pids = await Promise.all(
    hosts.map(async (host) => parseStatus(await fetchStatus(place.socket(host)), place.socket(host)).pid),
  );
  const before = pids.map(threadMilliseconds);
  const startedAt = performance.now();
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  const percent = 100 / (performance.now() - startedAt);
  return {
    hosts: pids.length,
    residentMegabytes: pids.map(residentMegabytes),
    idlePercent: pids.map((pid, index) => (threadMilliseconds(pid) - (before[index] ?? 0)) * percent),
  };
}

export function percentile(ascending: readonly number[], part: number): number {
  return ascending[Math.min(Math.floor(ascending.length * part), ascending.length - 1)] ?? Number.NaN;
}

export function describeScale({ pairs, allPairsMs, changesMs, loads }: ScaleReport): string[] {
  return [
    `all ${pairs} pairs reach each other ${Math.round(allPairsMs)} ms after the last daemon's start`,
    `a change of one lease is in force after ${percentile(changesMs, 0.5)} ms (median), ${percentile(changesMs, 0.99)} ms (p99), of ${changesMs.length}`,
    ...loads.map(
      ({ hosts, residentMegabytes, idlePercent }) =>
        `${hosts} hosts: ${quantile(residentMegabytes, 0.5).toFixed(0)} MB resident and ${quantile(idlePercent, 0.5).toFixed(2)} % of a core after the start, each (median)`,
    ),
  ];
}
