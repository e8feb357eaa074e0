// Which charts there are, and where their parts stand; how they look is for eyes, and for report-browser.test.ts.
import fc from "fast-check";
import t from "tap";
import { logTicks, PLOT_HEIGHT, placeNames } from "../../../src/bench/chart.js";
import { type Bar, barsSpec, hasCut } from "../../../src/bench/chart-bars.js";
import { chartsOf, distributionOf } from "../../../src/bench/charts.js";
import { openDraughtsman } from "../../../src/bench/draw.js";
import { DARK, LIGHT, modeColours, VARIABLES } from "../../../src/bench/palette.js";
import type { Sample } from "../../../src/bench/results.js";
import { syntheticResults } from "../../support/bench-results.js";

const NAME_HEIGHT = 13;
const ends = fc.array(fc.double({ min: 0, max: PLOT_HEIGHT, noNaN: true }), { minLength: 1, maxLength: 12 });

t.test("names at line ends keep their order, keep apart and stay beside the plot", async () => {
  fc.assert(
    fc.property(ends, (places) => {
      const placed = placeNames(places.map((endY, index) => ({ mode: `${index}`, endY })));
      return placed.every(({ endY, nameY }, index) => {
        const before = placed[index - 1];
        const isApart = before === undefined || nameY - before.nameY >= NAME_HEIGHT - 1e-9;
        return isApart && (before?.endY ?? 0) <= endY && nameY >= 0 && nameY <= PLOT_HEIGHT;
      });
    }),
  );
});

t.test("names that have room stand at their lines' ends", async (t) => {
  const placed = placeNames([
    { mode: "a", endY: 100 },
    { mode: "b", endY: 20 },
  ]);
  t.same(
    placed.map(({ nameY }) => nameY),
    [20, 100],
  );
});

t.test("a logarithmic axis is marked at 1, 2 and 5", async (t) => {
  t.same(logTicks(7, 230), [10, 20, 50, 100, 200]);
});

t.test("each scenario has the charts that its figures ask for", async (t) => {
  const results = syntheticResults({ profiles: ["offload"] });
  const ids = results.scenarios.flatMap((scenario) => chartsOf(results, "offload", scenario).map(({ id }) => id));
  t.equal(new Set(ids).size, ids.length);
  t.same(
    ids.filter((id) => /tcp-1|tcp-rr|many-peers|restart/.test(id)),
    [
      "offload-tcp-1",
      "offload-tcp-1-cost",
      "offload-tcp-rr",
      "offload-tcp-rr-distribution",
      "offload-many-peers",
      "offload-restart",
    ],
  );
});

t.test("what was not measured has no chart, and a refused mode is named in those of others", async (t) => {
  const refusals = [{ profile: "offload", scenario: "tcp-1", mode: "udp", round: null, reason: "no road" }];
  const results = syntheticResults({ profiles: ["offload"], scenarios: ["tcp-1"], refusals });
  const [scenario] = results.scenarios;
  if (scenario === undefined) throw new Error("the synthetic results have no scenario");
  t.same(chartsOf(results, "plain-nic", scenario), []);
  const [bars] = chartsOf(results, "offload", scenario);
  const text = JSON.stringify(bars?.spec(LIGHT));
  t.match(text, '"mode":"udp","title":"UDP, user space","label":"","beside":"refused"');
  t.match(text, '"mode":"vxlan-userspace"');
});

t.test("a bar that would dwarf the others is cut, keeps its proportions and its label, and is told of", async (t) => {
  const bar = (mode: string, value: number): Bar => ({
    mode,
    title: mode,
    figure: { median: value, lower: value, upper: value, count: 7 },
    label: `${value}`,
    beside: "",
    parts: [
      { name: "a", value: value / 4 },
      { name: "b", value: (value * 3) / 4 },
    ],
  });
  const bars = [bar("vxlan", 1), bar("udp", 2), bar("udp-naive", 16)];
  t.equal(hasCut(bars), true);
  const text = JSON.stringify(barsSpec(bars, 1, LIGHT));
  t.match(text, '"domain":[0,2.5]');
  t.match(text, '"label":"16","beside":"","parts":[{"name":"a","value":0.625},{"name":"b","value":1.875}],"cut":"//"');
  t.match(text, '"mode":"udp","title":"udp","label":"2","beside":"","parts":[{"name":"a","value":0.5}');
  t.equal(hasCut([bar("vxlan", 1), bar("udp", 2), bar("udp-naive", 6)]), false);
  t.equal(hasCut([bar("udp", 6)]), false);
});

t.test("figures that are all nothing are drawn", async (t) => {
  const results = syntheticResults({ rounds: 1, profiles: ["offload"] });
  const samples = results.samples.map((sample) => ({
    ...sample,
    metrics: Object.fromEntries(Object.keys(sample.metrics).map((name) => [name, 0])),
    bytes: 0,
  }));
  const draughtsman = await openDraughtsman();
  for (const scenario of results.scenarios) {
    for (const chart of chartsOf({ ...results, samples }, "offload", scenario)) {
      t.notMatch(await draughtsman.svg(chart, LIGHT, ""), /NaN|Infinity|undefined/, chart.id);
    }
  }
});

t.test("a chart's file name leads nowhere else, whatever the results call things", async (t) => {
  const results = syntheticResults({ profiles: ["../../etc"], scenarios: ["tcp-1"] });
  const ids = results.scenarios.flatMap((scenario) => chartsOf(results, "../../etc", scenario).map(({ id }) => id));
  t.equal(ids.length, 2);
  for (const id of ids) t.match(id, /^[a-z0-9-]+$/);
});

t.test("a distribution rises, keeps its tail up to 99.99 % and needs no more points than pixels", async () => {
  const bucket = fc.tuple(fc.integer({ min: 1, max: 1_000_000 }), fc.integer({ min: 1, max: 5000 }));
  fc.assert(
    fc.property(fc.array(bucket, { minLength: 1, maxLength: 400 }), (buckets) => {
      const latencies = [...new Map(buckets)].sort(([a], [b]) => a - b);
      const [sample] = syntheticResults({ rounds: 1, modes: ["udp"], scenarios: ["tcp-rr"] }).samples;
      if (sample === undefined) return false;
      const points = distributionOf([{ ...sample, latencies } satisfies Sample]);
      const isRising = points.every(({ share, microseconds }, index) => {
        const before = points[index - 1];
        return before === undefined || (before.share < share && before.microseconds < microseconds);
      });
      return isRising && points.length > 0 && points.length <= 121 && points.every(({ share }) => share < 1);
    }),
    { numRuns: 50 },
  );
});

t.test("several rounds make one distribution, and rounds without latencies none", async (t) => {
  const results = syntheticResults({ rounds: 1, modes: ["udp"], profiles: ["offload"], scenarios: ["tcp-rr"] });
  const [sample] = results.samples;
  if (sample === undefined) throw new Error("the synthetic results have no sample");
  const parts = [
    [[10, 1]],
    [
      [10, 1],
      [20, 2],
    ],
    null,
  ] as const;
  t.same(distributionOf(parts.map((latencies) => ({ ...sample, latencies }))), [
    { share: 0.5, microseconds: 10 },
    { share: 0.75, microseconds: 20 },
  ]);
  t.same(distributionOf([{ ...sample, latencies: null }]), []);
});

t.test("every mode has a colour of its own in every palette, strangers too", async (t) => {
  const modes = [...Object.keys(LIGHT.modes), "wire-stranger", "constructor"];
  for (const palette of [LIGHT, DARK, VARIABLES]) {
    t.equal(new Set(modeColours(palette, modes)).size, modes.length);
    t.same(Object.keys(palette.modes), Object.keys(LIGHT.modes));
    t.equal(palette.parts.length, LIGHT.parts.length);
  }
});
