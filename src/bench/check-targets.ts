// Judges results by the targets: the median of the ratios within rounds, of enough rounds, or no judgement.
import type { BenchResults } from "./results.js";
import { peaksOf, roundsOf } from "./series.js";
import { pairedRatios, type Rounds, type Spread, spreadOf } from "./statistics.js";
import { LEAST_ROUNDS, OPTIONAL_MODES, TARGETS, type Target } from "./targets.js";

export interface TargetCheck {
  readonly target: Target;
  readonly mode: string;
  readonly limit: number;
  /** Of the ratios that the rounds gave, however few; null for none. */
  readonly ratio: Spread | null;
  readonly verdict: "pass" | "short" | "not measured";
}

/** One check for each target and mode that has a limit in it, in the order of the targets. */
export function checkTargets(results: BenchResults, targets: readonly Target[] = TARGETS): TargetCheck[] {
  const isSpokenOf = (mode: string): boolean =>
    !OPTIONAL_MODES.includes(mode) || results.modes.some(({ name }) => name === mode);
  return targets.flatMap((target) =>
    Object.entries(target.limits)
      .filter(([mode]) => isSpokenOf(mode))
      .map(([mode, limit]) => check(results, target, mode, limit)),
  );
}

function check(results: BenchResults, target: Target, mode: string, limit: number): TargetCheck {
  const other = { mode, point: target.point, ...target.against };
  const ratios = pairedRatios(
    figures(results, target, mode, target.point),
    figures(results, target, other.mode, other.point),
  );
  const ratio = spreadOf([...ratios.values()]);
  return { target, mode, limit, ratio, verdict: verdictOn(ratio, target.bound, limit) };
}

function figures(results: BenchResults, target: Target, mode: string, point: number | null): Rounds {
  const { profile, scenario, metric } = target;
  if (point === null) return peaksOf(results, { profile, scenario, mode }, metric);
  return roundsOf(results, { profile, scenario, mode, point }, metric);
}

function verdictOn(ratio: Spread | null, bound: Target["bound"], limit: number): TargetCheck["verdict"] {
  if (ratio === null || ratio.count < LEAST_ROUNDS) return "not measured";
  const isReached = bound === "at least" ? ratio.median >= limit : ratio.median <= limit;
  return isReached ? "pass" : "short";
}
