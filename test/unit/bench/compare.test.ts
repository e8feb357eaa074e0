// Two runs of equal code are equal, a slower one is found, and too few rounds are not good news.
import t from "tap";
import { type Comparison, compareResults } from "../../../src/bench/compare.js";
import { comparisonScreen, failOnRegression } from "../../../src/cli/bench-compare.js";
import { paintFor } from "../../../src/cli/output.js";
import { type Synthesis, syntheticResults } from "../../support/bench-results.js";

const plain = paintFor({}, {});
const LEAST_CHANGE = 0.1;

function compare(before: Synthesis, after: Synthesis): Comparison {
  return compareResults(syntheticResults(before), syntheticResults({ seed: 2, ...after }), LEAST_CHANGE);
}

function told({ changes }: Comparison): string[] {
  return changes
    .filter(({ verdict }) => verdict !== "same")
    .map(({ place, metric, verdict }) => `${place.scenario} ${place.mode} ${metric.name} ${verdict}`);
}

t.test("two runs of the same code have nothing to tell, whatever the seed", async (t) => {
  for (let seed = 2; seed < 12; seed++) {
    const comparison = compare({}, { seed });
    t.same(told(comparison), [], `seed ${seed}`);
    t.ok(comparison.changes.length > 100);
    t.doesNotThrow(() => failOnRegression(comparison, "a.json"));
  }
});

t.test("one mode that became slower is worse in rate, latency and cost, and no other mode is told", async (t) => {
  const comparison = compare({ profiles: ["offload"] }, { profiles: ["offload"], faster: { udp: 0.8 } });
  const lines = told(comparison);
  t.ok(lines.includes("tcp-1 udp bitsPerSecond worse"));
  t.ok(lines.includes("tcp-rr udp p99 worse"));
  t.ok(lines.includes("tcp-1 udp cpuSecondsPerGigabyte worse"));
  t.same(
    lines.filter((line) => !/ udp .* worse$/.test(line)),
    [],
  );
  t.throws(() => failOnRegression(comparison, "a.json"), {
    code: "REGRESSION",
    message: /^\d+ of \d+ figures became worse since a\.json; see the table$/,
  });
});

t.test("what became faster is told and is no failure", async (t) => {
  const comparison = compare({ scenarios: ["tcp-1"] }, { scenarios: ["tcp-1"], faster: { udp: 1.3 } });
  t.ok(told(comparison).includes("tcp-1 udp bitsPerSecond better"));
  t.doesNotThrow(() => failOnRegression(comparison, "a.json"));
});

t.test("a machine that is half as fast for all modes is no regression", async (t) => {
  const modes = ["veth", "vxlan", "udp"];
  const faster = Object.fromEntries(modes.map((mode) => [mode, 0.5]));
  t.same(told(compare({ modes, scenarios: ["tcp-1"] }, { modes, scenarios: ["tcp-1"], faster })), []);
});

t.test("a change beyond noise that is smaller than what matters is not told", async (t) => {
  const only = { scenarios: ["tcp-1"], rounds: 30 };
  const comparison = compare(only, { ...only, faster: { udp: 0.95 } });
  t.same(told(comparison), []);
  const change = comparison.changes.find(({ place }) => place.mode === "udp");
  t.ok(change !== undefined && change.probability < 0.001);
});

t.test("one round that went wrong is noise", async (t) => {
  const only = { profiles: ["offload"], scenarios: ["tcp-1"] };
  const [before, after] = [syntheticResults(only), syntheticResults({ ...only, seed: 2 })];
  const samples = after.samples.map((sample) =>
    sample.mode === "udp" && sample.round === 4 ? { ...sample, metrics: { bitsPerSecond: 1e8 } } : sample,
  );
  t.same(told(compareResults(before, { ...after, samples }, LEAST_CHANGE)), []);
});

t.test("three rounds find nothing, and say that they could not", async (t) => {
  const one = { rounds: 3, profiles: ["offload"], scenarios: ["tcp-1"] };
  t.same(told(compare(one, { ...one, faster: { udp: 0.5 } })), []);
  const comparison = compare({ rounds: 3 }, { rounds: 3, faster: { udp: 0.5 } });
  t.match(comparison.warnings.join("\n"), /(\d+) of \1 figures have too few rounds to show a change.*; measure \d+$/);
  t.same(compare({}, {}).warnings, []);
});

t.test("what was measured before and is refused now fails; what was only left out is told", async (t) => {
  const refusals = [{ profile: "offload", scenario: "tcp-1", mode: "udp", round: null, reason: "no TUN" }];
  const only = { profiles: ["offload"], scenarios: ["tcp-1", "tcp-4"] };
  const refused = compare(only, { ...only, refusals });
  t.match(comparisonScreen(refused, plain), /(\n|^)tcp-1, offload, udp was refused: no TUN\n/);
  t.throws(() => failOnRegression(refused, "a.json"), {
    code: "REGRESSION",
    message: "1 could no longer be measured since a.json; see the table",
  });
  const fewer = compare(only, { ...only, scenarios: ["tcp-1"] });
  t.match(comparisonScreen(fewer, plain), "tcp-4, offload, udp was not measured again");
  t.doesNotThrow(() => failOnRegression(fewer, "a.json"));
});

t.test("a mode that is no longer offered the rates it carried is told by its best", async (t) => {
  const only = { profiles: ["offload"], scenarios: ["udp-1400"] };
  const [before, after] = [syntheticResults(only), syntheticResults({ ...only, seed: 2 })];
  const samples = after.samples.filter(({ mode, point }) => mode !== "vxlan-userspace" || (point ?? 0) <= 100_000);
  const lines = told(compareResults(before, { ...after, samples }, LEAST_CHANGE));
  t.same(lines, ["udp-1400 vxlan-userspace packetsPerSecond worse"]);
});

t.test("two runs without a figure in common are no success", async (t) => {
  t.throws(() => failOnRegression(compare({ scenarios: ["tcp-1"] }, { scenarios: ["tcp-4"] }), "a.json"), {
    code: "BAD_RESULTS",
    message: "no figure of a.json was measured again; compare runs of the same scenarios",
  });
});

t.test("another machine, other offloads and a missing kernel VXLAN are warned of", async (t) => {
  const only = { modes: ["udp"], scenarios: ["tcp-1"] };
  const [before, after] = [syntheticResults(only), syntheticResults(only)];
  const [profile] = after.profiles;
  const changed = {
    ...after,
    machine: { ...after.machine, kernel: "6.19.0" },
    profiles: profile === undefined ? [] : [{ ...profile, offloads: { "tx-udp-segmentation": "off" } }],
  };
  t.same(compareResults(before, changed, LEAST_CHANGE).warnings, [
    "the machines differ: kernel 6.18.44 before, 6.19.0 after",
    "profile offload has other offloads: tcp-segmentation-offload, tx-udp-segmentation",
    "without vxlan in both runs, figures of two hours or machines are compared as they are",
  ]);
});

t.test("packets lost for the first time are worse than none", async (t) => {
  const only = { modes: ["udp"], profiles: ["offload"], scenarios: ["restart"] };
  const after = syntheticResults(only);
  const before = { ...after, samples: after.samples.map((sample) => ({ ...sample, metrics: { lost: 0 } })) };
  t.same(told(compareResults(before, after, LEAST_CHANGE)), ["restart udp lost worse"]);
  t.match(comparisonScreen(compareResults(before, after, LEAST_CHANGE), plain), /0 packets +\d+ packets +from none/);
  t.same(told(compareResults(before, before, LEAST_CHANGE)), []);
});

t.test("the table shows worse before better, each with both figures", async (t) => {
  const only = { profiles: ["offload"], scenarios: ["tcp-1"] };
  const faster = { udp: 1.5, "vxlan-userspace": 0.6 };
  const lines = comparisonScreen(compare(only, { ...only, faster }), plain).split("\n");
  t.match(lines[0], /^figure +before +after +change +by chance$/);
  t.match(lines[1], /^tcp-1, offload, vxlan-userspace +throughput +0\.6\d × +0\.4\d × +−4\d % +0\.00\d+ +worse$/);
  t.ok(lines.findIndex((line) => line.endsWith("better")) > lines.findLastIndex((line) => line.endsWith("worse")));
  t.ok(lines.includes("× is the ratio to kernel VXLAN in the same round"));
});
