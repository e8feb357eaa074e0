// Targets are judged by medians of paired ratios, and only where enough rounds were measured.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { checkTargets } from "../../../src/bench/check-targets.js";
import { PROFILES } from "../../../src/bench/profiles.js";
import { readRuns } from "../../../src/bench/read-results.js";
import { COST, peaksOf, ratiosToBaseline, roundsOf } from "../../../src/bench/series.js";
import { TARGETS } from "../../../src/bench/targets.js";
import { targetsScreen } from "../../../src/cli/bench-targets.js";
import { paintFor } from "../../../src/cli/output.js";
import { syntheticResults } from "../../support/bench-results.js";

const plain = paintFor({}, {});
const ONE_STREAM = { rounds: 7, profiles: ["offload"], scenarios: ["tcp-1"] };

function verdicts(results: ReturnType<typeof syntheticResults>): Map<string, string> {
  return new Map(
    checkTargets(results).map(({ target, mode, verdict }) => [
      `${target.scenario} ${target.profile} ${target.metric} ${mode} by ${JSON.stringify(target.against)}`,
      verdict,
    ]),
  );
}

t.test("a target is passed at its limit and short below it, whatever the weather of the rounds", async (t) => {
  const key = 'tcp-1 offload bitsPerSecond udp by {"mode":"vxlan"}';
  t.equal(verdicts(syntheticResults(ONE_STREAM)).get(key), "pass");
  t.equal(verdicts(syntheticResults({ ...ONE_STREAM, faster: { udp: 0.9 } })).get(key), "short");
});

t.test("a run without options measures what every target asks for", async (t) => {
  for (const { profile, scenario } of TARGETS) {
    const measured = PROFILES.find(({ name }) => name === profile)?.scenarios;
    t.ok(measured === null || measured?.includes(scenario), `${scenario} with ${profile}`);
  }
});

t.test("six rounds are not enough for a verdict, and say so instead of passing", async (t) => {
  const checks = checkTargets(syntheticResults({ ...ONE_STREAM, rounds: 6, faster: { udp: 5 } }));
  t.same(new Set(checks.map(({ verdict }) => verdict)), new Set(["not measured"]));
  t.equal(checks.find(({ target, mode }) => target.scenario === "tcp-1" && mode === "udp")?.ratio?.count, 6);
});

t.test("rounds count only where both sides of the ratio were measured", async (t) => {
  const refusals = [{ profile: "offload", scenario: "tcp-1", mode: "vxlan", round: 3, reason: "another road" }];
  const [check] = checkTargets(syntheticResults({ ...ONE_STREAM, refusals }));
  t.equal(check?.ratio?.count, 6);
  t.equal(check?.verdict, "not measured");
});

t.test("a mode, scenario or profile that was not measured is not measured, never short", async (t) => {
  const found = verdicts(syntheticResults({ ...ONE_STREAM, modes: ["vxlan", "vxlan-userspace"] }));
  t.equal(found.get('tcp-1 offload bitsPerSecond vxlan-userspace by {"mode":"vxlan"}'), "pass");
  found.delete('tcp-1 offload bitsPerSecond vxlan-userspace by {"mode":"vxlan"}');
  t.same(new Set(found.values()), new Set(["not measured"]));
});

t.test("the eBPF mode has targets once results have it", async (t) => {
  const withIt = syntheticResults({ rounds: 7, modes: ["vxlan", "udp", "udp-ebpf"] });
  const isEbpf = (check: { readonly mode: string }): boolean => check.mode === "udp-ebpf";
  t.equal(checkTargets(syntheticResults({ rounds: 7 })).some(isEbpf), false);
  const checks = checkTargets(withIt).filter(isEbpf);
  t.equal(checks.length, TARGETS.filter(({ limits }) => "udp-ebpf" in limits).length);
  t.equal(checks.find(({ target }) => target.metric === COST.name)?.verdict, "pass");
});

t.test("many peers are compared with one peer of the same mode", async (t) => {
  const found = verdicts(syntheticResults({ rounds: 7, scenarios: ["many-peers"] }));
  t.equal(found.get('many-peers offload bitsPerSecond udp by {"point":1}'), "pass");
});

t.test("every target names a scenario, profile, metric and mode that a run can measure", async (t) => {
  const results = syntheticResults({ rounds: 7, modes: ["vxlan", "vxlan-userspace", "udp", "udp-naive", "udp-ebpf"] });
  t.same(
    checkTargets(results).filter(({ verdict }) => verdict === "not measured"),
    [],
  );
});

t.test("a flood at rising rates counts by what it reached in each round", async (t) => {
  const results = syntheticResults({ rounds: 2, profiles: ["offload"], scenarios: ["udp-1400"] });
  const place = { profile: "offload", scenario: "udp-1400", mode: "udp" };
  const peaks = peaksOf(results, place, "packetsPerSecond");
  const atMost = roundsOf(results, { ...place, point: 300_000 }, "packetsPerSecond");
  t.same([...peaks.keys()], [1, 2]);
  for (const [round, peak] of peaks) t.ok(peak >= (atMost.get(round) ?? Number.NaN));
  t.equal(peaksOf(results, place, "lossRatio").get(1), 0);
});

t.test("kernel VXLAN is its own measure", async (t) => {
  const place = { profile: "offload", scenario: "tcp-1", mode: "vxlan", point: null };
  t.same(new Set(ratiosToBaseline(syntheticResults(ONE_STREAM), place, "bitsPerSecond").values()), new Set([1]));
});

t.test("the table has a verdict in each row and the counts below", async (t) => {
  const screen = targetsScreen(
    [{ path: "r.json", results: syntheticResults({ rounds: 7, profiles: ["offload"] }) }],
    plain,
  );
  t.match(screen, /^r\.json: 2026-11-21, commit 4572ba079797, Linux 6\.18\.44, 7 rounds\n/);
  t.match(screen, /\none TCP stream +offload +udp +≥ 0\.70 +0\.7\d +0\.7\d–0\.7\d +7 {2}pass\n/);
  t.match(screen, /\none TCP stream +plain-nic +udp +≥ 1\.10 +- +- +0 {2}not measured\n/);
  t.match(screen, /\n\d+ pass, \d+ short, \d+ not measured\n/);
  t.same(
    screen.split("\n").filter((line) => line.length > 150),
    [],
  );
});

t.test("each target is judged by the first run that measured it, and only such runs are named", async (t) => {
  const run = (path: string, profiles: readonly string[], faster: Record<string, number> = {}) => ({
    path,
    results: syntheticResults({ ...ONE_STREAM, profiles: [...profiles], faster }),
  });
  const runs = [
    run("new.json", ["plain-nic"]),
    run("old.json", ["offload"]),
    run("older.json", ["offload"], { udp: 0.5 }),
  ];
  const screen = targetsScreen(runs, plain);
  t.match(screen, /\none TCP stream +offload +udp +≥ 0\.70 +0\.7/);
  t.match(screen, /\none TCP stream +plain-nic +udp +≥ 1\.10 +\d/);
  t.match(screen, /^new\.json: .*\nold\.json: .*\n\n/);
});

t.test("the newest results are found by when they began; what is no results file is passed over", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "hopsack-newest-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  await t.rejects(readRuns(folder), { code: "BAD_RESULTS", message: /holds no results; run hopsack bench first/ });
  await t.rejects(readRuns(join(folder, "missing")), { code: "BAD_RESULTS" });
  const results = syntheticResults(ONE_STREAM);
  writeFileSync(join(folder, "z.json"), JSON.stringify({ ...results, startedAt: "2026-11-20T00:00:00.000Z" }));
  writeFileSync(join(folder, "a.json"), JSON.stringify({ ...results, startedAt: "2026-11-22T00:00:00.000Z" }));
  writeFileSync(join(folder, "old.json"), '{"date": "2026-12-01"}');
  t.same(
    (await readRuns(folder)).map(({ path }) => path),
    [join(folder, "a.json"), join(folder, "z.json")],
  );
});
