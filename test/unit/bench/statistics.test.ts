// Medians, ratios within rounds, and the rank test, against counted-out truths.
import fc from "fast-check";
import t from "tap";
import {
  believed,
  leastProbability,
  pairedRatios,
  quantile,
  rankTest,
  spreadOf,
  typicalQuotient,
} from "../../../src/bench/statistics.js";

const figures = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 5 });

t.test("median and quartiles lie between neighbours, and no values have none", async (t) => {
  t.same(spreadOf([4, 1, 3, 2]), { median: 2.5, lower: 1.75, upper: 3.25, count: 4 });
  t.same(spreadOf([7]), { median: 7, lower: 7, upper: 7, count: 1 });
  t.equal(spreadOf([]), null);
  t.ok(Number.isNaN(quantile([], 0.5)));
});

t.test("one disturbed round moves the median by less than the distance to its neighbour", async (t) => {
  t.equal(spreadOf([10, 11, 12, 13, 900])?.median, 12);
});

t.test("ratios pair what was measured in one round, and leave out rounds that lack a side", async (t) => {
  const mine = new Map([
    [1, 5],
    [2, 6],
    [4, 8],
  ]);
  const base = new Map([
    [1, 10],
    [3, 1],
    [4, 0],
    [2, 6],
  ]);
  t.same(
    [...pairedRatios(mine, base)],
    [
      [1, 0.5],
      [2, 1],
    ],
  );
});

t.test("what all rounds share cancels out of the ratios, however rough the weather", async () => {
  const weather = fc.array(fc.double({ min: 0.01, max: 100, noNaN: true }), { minLength: 1, maxLength: 9 });
  fc.assert(
    fc.property(weather, (factors) => {
      const mine = new Map(factors.map((factor, round) => [round, 3 * factor]));
      const base = new Map(factors.map((factor, round) => [round, 4 * factor]));
      return [...pairedRatios(mine, base).values()].every((ratio) => Math.abs(ratio - 0.75) < 1e-12);
    }),
  );
});

t.test("the rank test knows published values", async (t) => {
  t.equal(rankTest([1, 2, 3, 4], [5, 6, 7, 8]), 2 / 70);
  t.equal(rankTest([1, 2, 3, 5], [4, 6, 7, 8]), 4 / 70);
  t.equal(rankTest([2, 2, 2], [2, 2]), 1);
  t.equal(rankTest([], []), 1);
  t.equal(rankTest([], [1]), 1);
});

t.test("the rank test agrees with counting out every arrangement, ties included", async () => {
  fc.assert(
    fc.property(figures, figures, (a, b) => Math.abs(rankTest(a, b) - byCounting(a, b)) < 1e-12),
    { numRuns: 200 },
  );
});

t.test("the rank test does not care which list comes first", async () => {
  fc.assert(fc.property(figures, figures, (a, b) => Math.abs(rankTest(a, b) - rankTest(b, a)) < 1e-12));
});

t.test("no two lists are more improbable than two that do not overlap", async (t) => {
  const low = [1, 2, 3, 4, 5, 6, 7];
  const high = low.map((value) => value + 10);
  t.ok(Math.abs(rankTest(low, high) - leastProbability(7, 7)) < 1e-15);
  t.equal(leastProbability(1, 1), 1);
  t.ok(leastProbability(3, 3) === 0.1);
});

t.test("of many tests that are all chance, few are believed; a real one among them is", async (t) => {
  const chance = Array.from({ length: 99 }, (_, index) => (index + 1) / 100);
  t.same(believed(chance, 0.1).includes(true), false);
  t.same(believed([...chance, 0.0005], 0.1).indexOf(true), 99);
  t.same(believed([0.04, 0.04], 0.05), [true, true]);
  t.same(believed([], 0.05), []);
});

t.test("the typical quotient is the factor between two lists", async (t) => {
  t.equal(typicalQuotient([2, 4, 8], [3, 6, 12]), 1.5);
  t.equal(typicalQuotient([0, 0], [0, 0]), 1);
  t.equal(typicalQuotient([0, 0, 0], [0, 0, 3]), 1);
  t.equal(typicalQuotient([0, 0], [1, 3]), Number.POSITIVE_INFINITY);
});

/** The share of all ways to split the values whose rank sum is at least as far from the expected one. */
function byCounting(a: readonly number[], b: readonly number[]): number {
  const all = [...a, ...b];
  const rank = (value: number): number =>
    2 * all.filter((other) => other < value).length + all.filter((other) => other === value).length + 1;
  const ranks = all.map(rank);
  const total = ranks.reduce((sum, one) => sum + one, 0);
  const distance = (chosen: readonly number[]): number =>
    Math.abs(chosen.reduce((sum, one) => sum + one, 0) * all.length - total * a.length);
  const observed = distance(a.map(rank));
  let extreme = 0;
  let ways = 0;
  for (let mask = 0; mask < 2 ** all.length; mask++) {
    const chosen = ranks.filter((_, index) => (mask >> index) % 2 === 1);
    if (chosen.length !== a.length) continue;
    ways += 1;
    if (distance(chosen) >= observed) extreme += 1;
  }
  return extreme / ways;
}
