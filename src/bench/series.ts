// Picks figures out of results: those of one place (profile, scenario, mode, point), by round. The report, the comparison
// and the targets all ask here, so that they speak of the same figures.
import type { BenchResults, MetricInfo, Sample } from "./results.js";
import { pairedRatios, type Rounds } from "./statistics.js";

/** The mode that all others are compared with. */
export const BASELINE = "vxlan";

/** Derived from a sample: CPU seconds of all processes and the kernel, by gigabytes (1e9) of payload that arrived. */
export const COST: MetricInfo = {
  name: "cpuSecondsPerGigabyte",
  title: "CPU time per GB",
  unit: "s/GB",
  better: "lower",
};

export interface Place {
  readonly profile: string;
  readonly scenario: string;
  readonly mode: string;
  readonly point: number | null;
}

/** The scenario's own metrics, and its cost where it is about throughput: the bytes of a ping are no measure of work. */
export function metricsOf(results: BenchResults, scenario: string): readonly MetricInfo[] {
  const metrics = results.scenarios.find(({ name }) => name === scenario)?.metrics ?? [];
  return metrics[0]?.better === "higher" ? [...metrics, COST] : metrics;
}

/** A metric's value in one sample; undefined when it was not measured. */
function figureOf(sample: Sample, metric: string): number | undefined {
  if (metric !== COST.name) return sample.metrics[metric];
  const seconds = Object.values(sample.cpuSeconds).reduce((sum, part) => sum + part, 0);
  return sample.bytes > 0 && seconds > 0 ? seconds / (sample.bytes / 1e9) : undefined;
}

/** A results file's samples by profile, scenario and mode: sorted once, since every figure asks for its own. */
const sorted = new WeakMap<BenchResults, ReadonlyMap<string, readonly Sample[]>>();

export function samplesOf(results: BenchResults, place: Omit<Place, "point">): readonly Sample[] {
  const known = sorted.get(results) ?? sortSamples(results.samples);
  sorted.set(results, known);
  return known.get(keyOf(place)) ?? [];
}

function sortSamples(samples: readonly Sample[]): Map<string, Sample[]> {
  const byPlace = new Map<string, Sample[]>();
  for (const sample of samples) {
    const others = byPlace.get(keyOf(sample));
    if (others === undefined) byPlace.set(keyOf(sample), [sample]);
    else others.push(sample);
  }
  return byPlace;
}

function keyOf({ profile, scenario, mode }: Omit<Place, "point">): string {
  return JSON.stringify([profile, scenario, mode]);
}

/** The values of a metric at one place, by round. */
export function roundsOf(results: BenchResults, place: Place, metric: string): Rounds {
  const rounds = new Map<number, number>();
  for (const sample of samplesOf(results, place)) {
    const value = sample.point === place.point ? figureOf(sample, metric) : undefined;
    if (value !== undefined) rounds.set(sample.round, value);
  }
  return rounds;
}

/** As {@link roundsOf}, but each round's best over all points: what a flood at rising rates reached. */
export function peaksOf(results: BenchResults, place: Omit<Place, "point">, metric: string): Rounds {
  const isHigherBetter = metricsOf(results, place.scenario).find(({ name }) => name === metric)?.better === "higher";
  const peaks = new Map<number, number>();
  for (const sample of samplesOf(results, place)) {
    const value = figureOf(sample, metric);
    if (value === undefined) continue;
    const best = peaks.get(sample.round) ?? value;
    peaks.set(sample.round, isHigherBetter ? Math.max(best, value) : Math.min(best, value));
  }
  return peaks;
}

/** The ratio to kernel VXLAN at the same point, in each round that has both. */
export function ratiosToBaseline(results: BenchResults, place: Place, metric: string): Rounds {
  return pairedRatios(roundsOf(results, place, metric), roundsOf(results, { ...place, mode: BASELINE }, metric));
}

/** The points at which a scenario was measured, ascending; `[null]` where it has none. */
export function pointsOf(results: BenchResults, scenario: string): readonly (number | null)[] {
  const points = new Set<number>();
  for (const sample of results.samples) {
    if (sample.scenario === scenario && sample.point !== null) points.add(sample.point);
  }
  return points.size === 0 ? [null] : [...points].sort((a, b) => a - b);
}
