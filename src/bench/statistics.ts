// The sums behind every figure of a report: median with quartiles, ratios within rounds, and a rank test for two runs.
// Nothing here assumes a normal distribution: a disturbed round moves a mean, but neither a median nor a rank far.

export interface Spread {
  readonly median: number;
  /** First and third quartile: the middle half of the rounds lies between them. */
  readonly lower: number;
  readonly upper: number;
  readonly count: number;
}

/**
 * The value below which the share `q` (0 … 1) of the values lies, linear between neighbours (Hyndman and Fan's type 7, as
 * R, NumPy and spreadsheets do). NaN for none.
 */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * q;
  const below = sorted[Math.floor(place)] ?? Number.NaN;
  const above = sorted[Math.ceil(place)] ?? Number.NaN;
  return below === above ? below : below + (above - below) * (place - Math.floor(place));
}

/** Median and quartiles; null for no values. Quartiles and not extremes: those only grow with the number of rounds. */
export function spreadOf(values: readonly number[]): Spread | null {
  if (values.length === 0) return null;
  const [lower, median, upper] = [quantile(values, 0.25), quantile(values, 0.5), quantile(values, 0.75)];
  return { median, lower, upper, count: values.length };
}

/** Values by round. */
export type Rounds = ReadonlyMap<number, number>;

/** `mine` by `base` for each round that has both: what disturbed one round disturbed both sides of its ratio. */
export function pairedRatios(mine: Rounds, base: Rounds): Map<number, number> {
  const ratios = new Map<number, number>();
  for (const [round, value] of mine) {
    const beside = base.get(round);
    if (beside !== undefined && beside !== 0) ratios.set(round, value / beside);
  }
  return ratios;
}

/**
 * How many times as large `after` is, typically: the median of all quotients of one by the other (Hodges and Lehmann).
 * Nothing by nothing is 1, something by nothing is infinite.
 */
export function typicalQuotient(before: readonly number[], after: readonly number[]): number {
  const quotients = after.flatMap((value) => before.map((base) => (value === base ? 1 : value / base)));
  return quantile(quotients, 0.5);
}

/**
 * Mann and Whitney's rank test, two-sided and exact, ties included: how probable ranks as uneven as these are, were both
 * lists drawn from one distribution. 1 when a list is empty. Time grows with the fourth power of the number of values.
 */
export function rankTest(a: readonly number[], b: readonly number[]): number {
  const ranks = doubledRanks([...a, ...b]);
  const sumOf = (some: readonly number[]): number => some.reduce((sum, rank) => sum + rank, 0);
  const all = sumOf(ranks);
  // How far from what is expected; multiplied by the count, so that it stays a whole number.
  const distance = (sum: number): number => Math.abs(sum * ranks.length - all * a.length);
  const observed = distance(sumOf(ranks.slice(0, a.length)));
  let extreme = 0;
  let total = 0;
  for (const [sum, ways] of waysToSum(ranks, a.length).entries()) {
    total += ways;
    if (distance(sum) >= observed) extreme += ways;
  }
  return extreme / total;
}

/** Twice the rank of each value, so that the mean rank of equal values is a whole number. */
function doubledRanks(values: readonly number[]): number[] {
  return values.map((value) => {
    const lower = values.filter((other) => other < value).length;
    const equal = values.filter((other) => other === value).length;
    return 2 * lower + equal + 1;
  });
}

/** By sum: in how many ways `count` of the ranks have it. */
function waysToSum(ranks: readonly number[], count: number): Float64Array {
  const largest = ranks.reduce((sum, rank) => sum + rank, 0);
  const ways = Array.from({ length: count + 1 }, () => new Float64Array(largest + 1));
  (ways[0] ?? new Float64Array(1))[0] = 1;
  for (const rank of ranks) {
    for (let chosen = count; chosen > 0; chosen--) addShifted(ways[chosen], ways[chosen - 1], rank);
  }
  return ways[count] ?? new Float64Array();
}

function addShifted(target: Float64Array | undefined, source: Float64Array | undefined, shift: number): void {
  if (target === undefined || source === undefined) return;
  for (let sum = target.length - 1; sum >= shift; sum--) target[sum] = (target[sum] ?? 0) + (source[sum - shift] ?? 0);
}

/**
 * Which of many tests to believe, so that of those believed at most the share `rate` is expected to be chance (Benjamini
 * and Hochberg). In the order of `probabilities`.
 */
export function believed(probabilities: readonly number[], rate: number): boolean[] {
  const sorted = [...probabilities].sort((a, b) => a - b);
  const last = sorted.findLastIndex((probability, index) => probability <= (rate * (index + 1)) / sorted.length);
  const limit = sorted[last] ?? -1;
  return probabilities.map((probability) => probability <= limit);
}

/** The least that {@link rankTest} can say of lists of these lengths: that they do not overlap at all. */
export function leastProbability(countA: number, countB: number): number {
  let arrangements = 1;
  for (let index = 1; index <= countA; index++) arrangements *= (countB + index) / index;
  return Math.min(1, 2 / arrangements);
}
