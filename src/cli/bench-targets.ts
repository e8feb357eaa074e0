// `hopsack bench targets [FILE]`: which of the project's targets were reached. Measures nothing.
import type { Command } from "commander";
import { checkTargets, type TargetCheck } from "../bench/check-targets.js";
import { type Run, readResults, readRuns } from "../bench/read-results.js";
import { LEAST_ROUNDS, TARGETS, type Target } from "../bench/targets.js";
import { type Paint, paintFor, tableLines } from "./output.js";

const RESULTS_FOLDER = "bench/results";

export function addBenchTargetsCommand(bench: Command): void {
  bench
    .command("targets")
    .description("show which of the project's targets a run reached")
    .argument("[file]", `results of a run (default: for each target the newest in ${RESULTS_FOLDER} that measured it)`)
    .action(async (file: string | undefined) => {
      const runs =
        file === undefined ? await readRuns(RESULTS_FOLDER) : [{ path: file, results: await readResults(file) }];
      process.stdout.write(targetsScreen(runs, paintFor(process.stdout, process.env)));
    });
}

/**
 * The table of all targets, with what it was read from above and the count of each verdict below.
 * @param runs the first one that measured a target decides on it
 */
export function targetsScreen(runs: readonly Run[], paint: Paint): string {
  const judged = TARGETS.map((target) => ({ target, run: runs.find((run) => hasMeasured(run, target)) ?? runs[0] }));
  const checks = judged.flatMap(({ target, run }) => (run === undefined ? [] : checkTargets(run.results, [target])));
  const headings = runs.filter((run) => judged.some((one) => one.run === run)).map(headingOf);
  const columns = ["target", "profile", "mode", "wanted", "measured", "middle half", "rounds", "verdict"].map(
    (title, index) => ({ title, isRightAligned: index >= 3 && index <= 6 }),
  );
  const [titles = "", ...rows] = tableLines(columns, checks.map(cellsOf));
  const verdicts = (["pass", "short", "not measured"] as const)
    .map((verdict) => `${checks.filter((one) => one.verdict === verdict).length} ${verdict}`)
    .join(", ");
  const painted = rows.map((row, index) => paintVerdict(row, checks[index]?.verdict, paint));
  const note = `ratios to kernel VXLAN unless the target names another; medians of the ratios within rounds, of ${LEAST_ROUNDS} rounds or more`;
  return [...headings, "", paint.bold(titles), ...painted, "", verdicts, paint.dim(note), ""].join("\n");
}

function hasMeasured({ results }: Run, { profile, scenario }: Target): boolean {
  return results.samples.some((sample) => sample.profile === profile && sample.scenario === scenario);
}

function headingOf({ path, results: { machine, settings, startedAt } }: Run): string {
  const changes = machine.hasLocalChanges ? " with local changes" : "";
  return `${path}: ${startedAt.slice(0, 10)}, commit ${machine.commit}${changes}, Linux ${machine.kernel}, ${settings.rounds} rounds`;
}

function cellsOf({ target, mode, limit, ratio, verdict }: TargetCheck): string[] {
  const wanted = `${target.bound === "at least" ? "≥" : "≤"} ${limit.toFixed(2)}`;
  const measured = ratio === null ? ["-", "-", "0"] : [ratio.median.toFixed(2), range(ratio), `${ratio.count}`];
  return [target.title, target.profile, mode, wanted, ...measured, verdict];
}

function range({ lower, upper }: { readonly lower: number; readonly upper: number }): string {
  return `${lower.toFixed(2)}–${upper.toFixed(2)}`;
}

/** The verdict stands last in its row. */
function paintVerdict(row: string, verdict: TargetCheck["verdict"] | undefined, paint: Paint): string {
  const colours = { pass: paint.green, short: paint.red, "not measured": paint.dim };
  if (verdict === undefined) return row;
  return `${row.slice(0, row.length - verdict.length)}${colours[verdict](verdict)}`;
}
