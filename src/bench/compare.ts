// What differs between two runs beyond noise. Each figure is its ratio to kernel VXLAN in the same round where both runs have
// that, so that another machine or a busier hour does not count; two runs share no rounds, so the lists are compared unpaired.
import type { BenchResults, MetricInfo, Refusal } from "./results.js";
import { BASELINE, metricsOf, type Place, peaksOf, pointsOf, roundsOf, samplesOf } from "./series.js";
import {
  believed,
  leastProbability,
  pairedRatios,
  type Rounds,
  rankTest,
  type Spread,
  spreadOf,
  typicalQuotient,
} from "./statistics.js";

/** Of the changes that are told, at most this share is expected to be chance. */
const FALSE_SHARE = 0.1;
const MAX_ROUNDS_ADVISED = 100;

export interface Change {
  readonly place: Place;
  readonly metric: MetricInfo;
  /** Whether the figures are ratios to kernel VXLAN, or the metric itself. */
  readonly isRatio: boolean;
  readonly before: Spread;
  readonly after: Spread;
  /** How many times as large a figure typically is after. */
  readonly factor: number;
  /** Of ranks as uneven as these, were nothing changed. */
  readonly probability: number;
  readonly verdict: "better" | "worse" | "same";
}

interface Loss {
  readonly place: Omit<Place, "point">;
  /** Null: it was not asked for. */
  readonly refusal: Refusal | null;
}

export interface Comparison {
  readonly changes: readonly Change[];
  /** What the first run measured and the second did not. */
  readonly losses: readonly Loss[];
  /** What a reader must know before believing any of it. */
  readonly warnings: readonly string[];
}

/** @param leastChange share by which a figure must differ to be worth telling, e.g. 0.1 */
export function compareResults(before: BenchResults, after: BenchResults, leastChange: number): Comparison {
  const pairs = placesOf(before).flatMap(({ place, metric }) => {
    const figures = comparableFigures(before, after, place, metric.name);
    return figures === null ? [] : [{ place, metric, ...figures }];
  });
  const tested = pairs.map((pair) => ({ ...pair, probability: rankTest(pair.before, pair.after) }));
  const isBelieved = believed(
    tested.map(({ probability }) => probability),
    FALSE_SHARE,
  );
  const changes = tested.flatMap(({ before, after, ...rest }, index): Change[] => {
    const [first, second] = [spreadOf(before), spreadOf(after)];
    if (first === null || second === null) return [];
    const factor = typicalQuotient(before, after);
    const isChanged = isBelieved[index] === true && Math.abs(factor - 1) >= leastChange;
    const isBetter = factor > 1 === (rest.metric.better === "higher");
    const verdict = isChanged ? (isBetter ? "better" : "worse") : "same";
    return [{ ...rest, before: first, after: second, factor, verdict }];
  });
  return { changes, losses: lossesOf(before, after), warnings: warningsOf(before, after, changes) };
}

/**
 * Everything that was measured; of a scenario with points also each round's best (point null), since a slower mode may
 * not be offered the higher points at all. Shares (of lost packets) are left out: they show in what was delivered.
 */
function placesOf(results: BenchResults): { readonly place: Place; readonly metric: MetricInfo }[] {
  const { profiles, scenarios, modes } = results;
  return profiles.flatMap((profile) =>
    scenarios.flatMap((scenario) =>
      modes.flatMap((mode) =>
        [...new Set([null, ...pointsOf(results, scenario.name)])].flatMap((point) =>
          metricsOf(results, scenario.name)
            .filter(({ unit }) => unit !== "ratio")
            .map((metric) => ({
              place: { profile: profile.name, scenario: scenario.name, mode: mode.name, point },
              metric,
            })),
        ),
      ),
    ),
  );
}

interface Figures {
  readonly isRatio: boolean;
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** Ratios where both runs have them; kernel VXLAN's own would all be 1 and say nothing. Null: nothing to compare. */
function comparableFigures(before: BenchResults, after: BenchResults, place: Place, metric: string): Figures | null {
  const ratios = [before, after].map((results) => {
    const base = figuresAt(results, { ...place, mode: BASELINE }, metric);
    return [...pairedRatios(figuresAt(results, place, metric), base).values()];
  });
  const isRatio = ratios.every((values) => values.length > 0);
  if (isRatio && place.mode === BASELINE) return null;
  const [first = [], second = []] = isRatio
    ? ratios
    : [before, after].map((results) => [...figuresAt(results, place, metric).values()]);
  return first.length === 0 || second.length === 0 ? null : { isRatio, before: first, after: second };
}

function figuresAt(results: BenchResults, place: Place, metric: string): Rounds {
  return place.point === null ? peaksOf(results, place, metric) : roundsOf(results, place, metric);
}

function lossesOf(before: BenchResults, after: BenchResults): Loss[] {
  const places = new Map(
    before.samples.map(({ profile, scenario, mode }) => [
      `${profile} ${scenario} ${mode}`,
      { profile, scenario, mode },
    ]),
  );
  return [...places.values()]
    .filter((place) => samplesOf(after, place).length === 0)
    .map((place) => ({ place, refusal: refusalOf(after, place) }));
}

function refusalOf(results: BenchResults, place: Omit<Place, "point">): Refusal | null {
  const isOfPlace = ({ profile, scenario, mode }: Refusal): boolean =>
    profile === place.profile && scenario === place.scenario && mode === place.mode;
  return results.refusals.find(isOfPlace) ?? null;
}

function warningsOf(before: BenchResults, after: BenchResults, changes: readonly Change[]): string[] {
  const warnings: string[] = [];
  for (const fact of ["kernel", "cpu", "cores"] as const) {
    const [first, second] = [before.machine[fact], after.machine[fact]];
    if (first !== second) warnings.push(`the machines differ: ${fact} ${first} before, ${second} after`);
  }
  for (const profile of before.profiles) {
    const offloads = after.profiles.find(({ name }) => name === profile.name)?.offloads ?? profile.offloads;
    const features = Object.keys(profile.offloads).filter((name) => profile.offloads[name] !== offloads[name]);
    if (features.length > 0) warnings.push(`profile ${profile.name} has other offloads: ${features.join(", ")}`);
  }
  if (changes.some(({ isRatio }) => !isRatio)) {
    warnings.push(`without ${BASELINE} in both runs, figures of two hours or machines are compared as they are`);
  }
  return [...warnings, ...roundsWarning(changes)];
}

/** Too few rounds find nothing, which must not look like good news. */
function roundsWarning(changes: readonly Change[]): string[] {
  const isBlind = ({ before, after }: Change): boolean =>
    leastProbability(before.count, after.count) > FALSE_SHARE / changes.length;
  const blind = changes.filter(isBlind).length;
  if (blind === 0) return [];
  let rounds = 1;
  while (rounds < MAX_ROUNDS_ADVISED && leastProbability(rounds, rounds) > FALSE_SHARE / changes.length) rounds++;
  return [`${blind} of ${changes.length} figures have too few rounds to show a change of one alone; measure ${rounds}`];
}
