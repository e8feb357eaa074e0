// Many single latencies → percentiles and a histogram.
import type { Sample } from "./results.js";
import { quantile } from "./statistics.js";

/** Bounds of the histogram are this factor apart: fine enough to draw, coarse enough for a file. */
const STEP = 2 ** (1 / 8);

/** @param microseconds one value for each answer, in any order; at least one */
export function summariseLatencies(microseconds: readonly number[]): Pick<Sample, "metrics" | "latencies"> {
  const at = (q: number): number => round(quantile(microseconds, q));
  return { metrics: { p50: at(0.5), p99: at(0.99), p999: at(0.999) }, latencies: histogram(microseconds) };
}

/** [upper bound, number of values at or below it and above the one before], without empty ones. */
function histogram(microseconds: Iterable<number>): (readonly [number, number])[] {
  const counts = new Map<number, number>();
  for (const value of microseconds) {
    const power = Math.ceil(Math.log(Math.max(value, 1)) / Math.log(STEP));
    counts.set(power, (counts.get(power) ?? 0) + 1);
  }
  return [...counts].sort(([a], [b]) => a - b).map(([power, count]) => [round(STEP ** power), count] as const);
}

/** No tool here measures finer than a tenth of a nanosecond. */
function round(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}
