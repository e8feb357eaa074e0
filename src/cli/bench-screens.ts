// What a benchmark shows: a line for each thing that happens, and tables at the end. Pure.
import type { BenchResults, MetricInfo, Refusal, ScenarioInfo } from "../bench/results.js";
import type { BenchEvent } from "../bench/runner.js";
import { BASELINE, metricsOf, pointsOf, ratiosToBaseline, roundsOf } from "../bench/series.js";
import { spreadOf } from "../bench/statistics.js";
import { formatDuration, type Paint, tableLines } from "./output.js";

/** One line of progress. @param choice what is measured, for the words of a sample's metric */
export function eventLine(
  event: BenchEvent,
  { scenarios, rounds }: { readonly scenarios: readonly ScenarioInfo[]; readonly rounds: number },
  paint: Paint,
): string {
  if (event.kind === "step") return paint.dim(`${event.text} …`);
  if (event.kind === "refusal") return refusalLine(event.refusal, paint);
  const { profile, scenario, mode, round, point, metrics } = event.sample;
  const info = scenarios.find(({ name }) => name === scenario);
  const [metric] = info?.metrics ?? [];
  const at = point === null ? "" : ` at ${point} ${info?.point?.unit}`;
  const figure = metric === undefined ? "" : formatFigure(metrics[metric.name], metric);
  const left = paint.dim(`${formatDuration(event.secondsLeft)} left`);
  return `${profile} ${scenario}, round ${round} of ${rounds}: ${mode}${at} ${paint.bold(figure)}  ${left}`;
}

/** A table for each profile, scenario and point, then what was refused. */
export function resultLines(results: BenchResults, paint: Paint): string[] {
  const tables = results.profiles.flatMap((profile) =>
    results.scenarios.flatMap((scenario) =>
      pointsOf(results, scenario.name).flatMap((point) => table(results, profile.name, scenario, point, paint)),
    ),
  );
  return [...tables, ...results.refusals.map((refusal) => refusalLine(refusal, paint))];
}

/** Nothing when nothing was measured there. */
function table(
  results: BenchResults,
  profile: string,
  scenario: ScenarioInfo,
  point: number | null,
  paint: Paint,
): string[] {
  const [first, ...others] = metricsOf(results, scenario.name);
  if (first === undefined) return [];
  const rows = results.modes.flatMap(({ name: mode, title }) => {
    const place = { profile, scenario: scenario.name, mode, point };
    const valuesOf = (metric: MetricInfo) => spreadOf([...roundsOf(results, place, metric.name).values()]);
    const spread = valuesOf(first);
    if (spread === null) return [];
    const ratio = spreadOf([...ratiosToBaseline(results, place, first.name).values()]);
    const range = `${formatFigure(spread.lower, first)} – ${formatFigure(spread.upper, first)}`;
    const rest = others.map((metric) => formatFigure(valuesOf(metric)?.median, metric));
    return [[title, formatFigure(spread.median, first), range, ratio?.median.toFixed(2) ?? "-", ...rest]];
  });
  if (rows.length === 0) return [];
  const headings = [first.title, "middle half", `to ${BASELINE}`, ...others.map(({ title }) => title)];
  const columns = [{ title: "mode" }, ...headings.map((title) => ({ title, isRightAligned: true }))];
  const at = point === null ? "" : `, ${scenario.point?.title} ${point} ${scenario.point?.unit}`;
  const [titles = "", ...lines] = tableLines(columns, rows).map((line) => `  ${line}`);
  return [paint.bold(`${profile}: ${scenario.title}${at}`), paint.dim(titles), ...lines, ""];
}

function refusalLine({ profile, scenario, mode, round, reason }: Refusal, paint: Paint): string {
  const what = `${profile} ${scenario}: ${mode}${round === null ? "" : `, round ${round}`}`;
  return round === null ? `${what}: not measured, ${reason}` : paint.red(`REFUSED ${what}: ${reason}`);
}

/** A value in the unit people speak of. */
function formatFigure(value: number | undefined, { unit }: MetricInfo): string {
  if (value === undefined) return "-";
  if (unit === "bit/s") {
    return value >= 1e8 ? `${(value / 1e9).toFixed(2)} Gbit/s` : `${(value / 1e6).toFixed(2)} Mbit/s`;
  }
  if (unit === "us") return value >= 10_000 ? `${(value / 1000).toFixed(1)} ms` : `${value.toFixed(1)} µs`;
  if (unit === "1/s") return `${Math.round(value).toLocaleString("en-US")}/s`;
  if (unit === "ratio") return `${(value * 100).toFixed(1)} %`;
  return `${unit === "packets" ? Math.round(value) : value.toFixed(2)} ${unit}`;
}
