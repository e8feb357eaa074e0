// `hopsack bench compare BEFORE AFTER`: what changed beyond noise between two runs; fails when something became worse.
import type { Command } from "commander";
import { type Change, type Comparison, compareResults } from "../bench/compare.js";
import { readResults } from "../bench/read-results.js";
import type { Place } from "../bench/series.js";
import { formatFigure, formatRatio } from "../bench/units.js";
import { HopsackError } from "../errors.js";
import { type Paint, paintFor, tableLines } from "./output.js";

/** Two runs of one commit have differed by 8 % on one machine: less than this says nothing about the code. */
const LEAST_CHANGE_PERCENT = 10;

export function addBenchCompareCommand(bench: Command): void {
  bench
    .command("compare")
    .description("show what changed beyond noise between two runs; exit status 1 when something became worse")
    .argument("<before>", "results of the earlier run")
    .argument("<after>", "results of the later run")
    .option("--least-change <PERCENT>", "smaller changes are noise", `${LEAST_CHANGE_PERCENT}`)
    .action(async (before: string, after: string, { leastChange }: { readonly leastChange: string }) => {
      const share = percent("--least-change", leastChange);
      const comparison = compareResults(await readResults(before), await readResults(after), share);
      process.stdout.write(comparisonScreen(comparison, paintFor(process.stdout, process.env)));
      failOnRegression(comparison, before);
    });
}

function percent(option: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= 0 && value <= 100) return value / 100;
  throw new HopsackError("BAD_OPTION", `${option} ${text} is not accepted; give a number from 0 to 100`);
}

/**
 * @throws REGRESSION when a figure is worse, or the later run refused to give it
 * @throws BAD_RESULTS when nothing could be compared, which must not pass for "nothing is worse"
 */
export function failOnRegression({ changes, losses }: Comparison, before: string): void {
  const worse = changes.filter(({ verdict }) => verdict === "worse").length;
  const refused = losses.filter(({ refusal }) => refusal !== null).length;
  if (changes.length + refused === 0) {
    throw new HopsackError(
      "BAD_RESULTS",
      `no figure of ${before} was measured again; compare runs of the same scenarios`,
    );
  }
  if (worse + refused === 0) return;
  const parts = [
    ...(worse > 0 ? [`${worse} of ${changes.length} figures became worse`] : []),
    ...(refused > 0 ? [`${refused} could no longer be measured`] : []),
  ];
  throw new HopsackError("REGRESSION", `${parts.join(" and ")} since ${before}; see the table`);
}

/** Warnings, then what is worse, better and gone, then how much stayed the same. */
export function comparisonScreen({ changes, losses, warnings }: Comparison, paint: Paint): string {
  const told = (["worse", "better"] as const).flatMap((verdict) => changes.filter((one) => one.verdict === verdict));
  const same = changes.length - told.length;
  const basis = changes.some(({ isRatio }) => isRatio)
    ? [paint.dim("× is the ratio to kernel VXLAN in the same round")]
    : [];
  return [
    ...warnings.map((warning) => paint.yellow(`! ${warning}`)),
    ...(told.length > 0 ? changeTable(told, paint) : []),
    ...losses.map(({ place, refusal }) =>
      refusal === null
        ? `${nameOf(place)} was not measured again`
        : paint.red(`${nameOf(place)} was refused: ${refusal.reason}`),
    ),
    `${same} of ${changes.length} figures are the same within noise`,
    ...basis,
    "",
  ].join("\n");
}

function changeTable(told: readonly Change[], paint: Paint): string[] {
  const columns = ["figure", "", "before", "after", "change", "by chance", ""].map((title, index) => ({
    title,
    isRightAligned: index >= 2 && index <= 5,
  }));
  const rows = told.map((change) => [
    nameOf(change.place),
    change.metric.title,
    figureOf(change, change.before.median),
    figureOf(change, change.after.median),
    changeOf(change.factor),
    change.probability.toPrecision(1),
    change.verdict,
  ]);
  const [titles = "", ...lines] = tableLines(columns, rows);
  const painted = lines.map((line, index) => (told[index]?.verdict === "worse" ? paint.red(line) : paint.green(line)));
  return [paint.bold(titles), ...painted, ""];
}

function nameOf(place: Omit<Place, "point"> & Partial<Place>): string {
  const point = place.point === null || place.point === undefined ? "" : ` at ${place.point}`;
  return `${place.scenario}${point}, ${place.profile}, ${place.mode}`;
}

function figureOf({ isRatio, metric }: Change, value: number): string {
  return isRatio ? formatRatio(value) : formatFigure(value, metric.unit);
}

/** `+12 %`; from nothing to something has no percentage. */
function changeOf(factor: number): string {
  if (!Number.isFinite(factor)) return "from none";
  return `${factor >= 1 ? "+" : "−"}${Math.abs((factor - 1) * 100).toFixed(0)} %`;
}
