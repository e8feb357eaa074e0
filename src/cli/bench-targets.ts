// `hopsack bench targets [FILE]`: which of the project's targets a run reached. Measures nothing.
import type { Command } from "commander";
import { checkTargets, type TargetCheck } from "../bench/check-targets.js";
import { newestResults, readResults } from "../bench/read-results.js";
import type { BenchResults } from "../bench/results.js";
import { LEAST_ROUNDS } from "../bench/targets.js";
import { type Paint, paintFor, tableLines } from "./output.js";

const RESULTS_FOLDER = "bench/results";

export function addBenchTargetsCommand(bench: Command): void {
  bench
    .command("targets")
    .description("show which of the project's targets a run reached")
    .argument("[file]", `results of a run (default: the newest in ${RESULTS_FOLDER})`)
    .action(async (file: string | undefined) => {
      const { path, results } =
        file === undefined ? await newestResults(RESULTS_FOLDER) : { path: file, results: await readResults(file) };
      process.stdout.write(targetsScreen(results, path, paintFor(process.stdout, process.env)));
    });
}

/** The table of all targets, with what it was read from above and the count of each verdict below. */
export function targetsScreen(results: BenchResults, path: string, paint: Paint): string {
  const checks = checkTargets(results);
  const { machine, settings, startedAt } = results;
  const heading = `${path}: ${startedAt.slice(0, 10)}, commit ${machine.commit}${machine.hasLocalChanges ? " with local changes" : ""}, Linux ${machine.kernel}, ${settings.rounds} rounds`;
  const columns = ["target", "profile", "mode", "wanted", "measured", "middle half", "rounds", "verdict"].map(
    (title, index) => ({ title, isRightAligned: index >= 3 && index <= 6 }),
  );
  const [titles = "", ...rows] = tableLines(columns, checks.map(cellsOf));
  const verdicts = (["pass", "short", "not measured"] as const)
    .map((verdict) => `${checks.filter((one) => one.verdict === verdict).length} ${verdict}`)
    .join(", ");
  const painted = rows.map((row, index) => paintVerdict(row, checks[index]?.verdict, paint));
  const note = `ratios to kernel VXLAN unless the target names another; medians of the ratios within rounds, of ${LEAST_ROUNDS} rounds or more`;
  return [heading, "", paint.bold(titles), ...painted, "", verdicts, paint.dim(note), ""].join("\n");
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
