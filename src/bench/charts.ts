// Which pictures a scenario gets under a profile, with their figures: bars where it has one figure a round, lines where it has
// points or latencies, stacked bars for what it costs.
import type { Chart } from "./chart.js";
import { type Bar, barsSpec, CUT_SIGN, hasCut } from "./chart-bars.js";
import { type LatencyPoint, type Line, latencySpec, MAX_NINES, ninesOf, pointsSpec } from "./chart-lines.js";
import type { BenchResults, MetricInfo, ModeInfo, Sample, ScenarioInfo } from "./results.js";
import { BASELINE, COST, metricsOf, type Place, pointsOf, ratiosToBaseline, roundsOf, samplesOf } from "./series.js";
import { quantile, type Spread, spreadOf } from "./statistics.js";
import { capital, counted, formatFigure, formatRatio, scaleFor } from "./units.js";

/** A scenario under a profile, and the results it is looked up in. */
interface Subject {
  readonly results: BenchResults;
  readonly profile: string;
  readonly scenario: ScenarioInfo;
}

/** A line through a distribution needs no more points than pixels. */
const LATENCY_POINTS_PER_NINE = 30;

/** The pictures of one scenario under one profile, none when nothing was measured. */
export function chartsOf(results: BenchResults, profile: string, scenario: ScenarioInfo): Chart[] {
  const subject = { results, profile, scenario };
  const [metric] = scenario.metrics;
  const isMeasured = results.samples.some((one) => one.profile === profile && one.scenario === scenario.name);
  if (metric === undefined || !isMeasured) return [];
  if (scenario.point !== null) return [pointsChart(subject, metric, scenario.point)];
  const isCosted = metricsOf(results, scenario.name).includes(COST);
  return [
    barsChart(subject, metric),
    ...(latencyLines(subject).length > 0 ? [latencyChart(subject)] : []),
    ...(isCosted ? [costChart(subject)] : []),
  ];
}

/** Median and quartiles of a metric at a place, and of its ratio to kernel VXLAN; null where nothing was measured. */
export function figureAt(
  results: BenchResults,
  place: Place,
  metric: MetricInfo,
): { figure: Spread; ratio: Spread | null } | null {
  const figure = spreadOf([...roundsOf(results, place, metric.name).values()]);
  return figure === null
    ? null
    : { figure, ratio: spreadOf([...ratiosToBaseline(results, place, metric.name).values()]) };
}

function barsChart(subject: Subject, metric: MetricInfo): Chart {
  const bars = barsOf(subject, metric, () => []);
  const rounds = Math.max(...bars.map(({ figure }) => figure?.count ?? 0));
  return {
    id: fileName(subject.profile, subject.scenario.name),
    title: capital(subject.scenario.title),
    caption: `${capital(metric.title)}, ${isGood(metric)}. Median of ${counted(rounds, "round")}; × beside kernel VXLAN (upright line)${cutNote(bars)}`,
    spec: (palette) => barsSpec(bars, baselineOf(bars), palette),
  };
}

function costChart(subject: Subject): Chart {
  const bars = barsOf(subject, COST, (place) => costParts(samplesOf(subject.results, place)));
  return {
    id: fileName(subject.profile, subject.scenario.name, "cost"),
    title: `Cost: ${subject.scenario.title}`,
    caption: `CPU seconds per gigabyte delivered, ${isGood(COST)}; × beside kernel VXLAN (upright line)${cutNote(bars)}`,
    spec: (palette) => barsSpec(bars, baselineOf(bars), palette),
  };
}

function barsOf(subject: Subject, metric: MetricInfo, partsOf: (place: Place) => Bar["parts"]): Bar[] {
  const { results, profile, scenario } = subject;
  return results.modes.flatMap(({ name: mode, title }): Bar[] => {
    const place = { profile, scenario: scenario.name, mode, point: null };
    const found = figureAt(results, place, metric);
    if (found !== null) {
      const { figure, ratio } = found;
      const beside = ratio === null || mode === BASELINE ? "" : formatRatio(ratio.median);
      const label = formatFigure(figure.median, metric.unit);
      return [{ mode, title, figure, label, beside, parts: scaledTo(figure.median, partsOf(place)) }];
    }
    return isRefused(subject, mode) ? [{ mode, title, figure: null, label: "", beside: "refused", parts: [] }] : [];
  });
}

function cutNote(bars: readonly Bar[]): string {
  return hasCut(bars) ? `; ${CUT_SIGN} longer than drawn` : "";
}

function baselineOf(bars: readonly Bar[]): number | null {
  return bars.find(({ mode }) => mode === BASELINE)?.figure?.median ?? null;
}

function isRefused({ results, profile, scenario }: Subject, mode: string): boolean {
  return results.refusals.some((one) => one.profile === profile && one.scenario === scenario.name && one.mode === mode);
}

/** Median CPU seconds per byte of each process. */
function costParts(samples: readonly Sample[]): Bar["parts"] {
  const names = new Set(samples.flatMap(({ cpuSeconds }) => Object.keys(cpuSeconds)));
  return [...names].map((name) => {
    const costs = samples.map(({ cpuSeconds, bytes }) => (cpuSeconds[name] ?? 0) / bytes);
    return { name, value: quantile(costs, 0.5) };
  });
}

/** Medians of parts need not add up to the median of the whole; the bar must be as long as its label says. */
function scaledTo(whole: number, parts: Bar["parts"]): Bar["parts"] {
  const sum = parts.reduce((total, { value }) => total + value, 0);
  return sum === 0 ? [] : parts.map(({ name, value }) => ({ name, value: (value * whole) / sum }));
}

function pointsChart(subject: Subject, metric: MetricInfo, point: { title: string; unit: string }): Chart {
  const { results, profile, scenario } = subject;
  const points = pointsOf(results, scenario.name).filter((one) => one !== null);
  const lines = results.modes.flatMap(({ name: mode }) => {
    const measured = points.flatMap((point) => {
      const found = figureAt(results, { profile, scenario: scenario.name, mode, point }, metric);
      return found === null ? [] : [{ point, figure: found.figure }];
    });
    return measured.length === 0 ? [] : [{ mode, points: measured }];
  });
  const highest = Math.max(...lines.flatMap(({ points }) => points.map(({ figure }) => figure.upper)));
  const { divisor, unit } = scaleFor(metric.unit, highest);
  const x = point.title === point.unit ? point.title : `${point.title}, ${point.unit}`;
  return {
    id: fileName(profile, scenario.name),
    title: capital(scenario.title),
    caption: `${capital(metric.title)} by ${point.title}, ${isGood(metric)}; band: the middle half of the rounds`,
    spec: (palette) => pointsSpec(lines, { x, y: unit }, divisor, palette),
  };
}

function latencyChart(subject: Subject): Chart {
  const lines = latencyLines(subject);
  return {
    id: fileName(subject.profile, subject.scenario.name, "distribution"),
    title: `Latencies: ${subject.scenario.title}`,
    caption: "All answers of all rounds, logarithmic, lower is better; each further nine takes as much room",
    spec: (palette) => latencySpec(lines, palette),
  };
}

function latencyLines({ results, profile, scenario }: Subject): Line<LatencyPoint>[] {
  return results.modes.flatMap(({ name: mode }: ModeInfo) => {
    const points = distributionOf(samplesOf(results, { profile, scenario: scenario.name, mode }));
    return points.length === 0 ? [] : [{ mode, points }];
  });
}

/** The answers of all samples together, as shares; thinned where neighbours would share a pixel. */
export function distributionOf(samples: readonly Sample[]): LatencyPoint[] {
  const answers = new Map<number, number>();
  for (const [bound, count] of samples.flatMap(({ latencies }) => latencies ?? [])) {
    if (bound > 0) answers.set(bound, (answers.get(bound) ?? 0) + count);
  }
  const total = [...answers.values()].reduce((sum, count) => sum + count, 0);
  const points: LatencyPoint[] = [];
  let below = 0;
  let column = -1;
  for (const [microseconds, count] of [...answers].sort(([a], [b]) => a - b)) {
    below += count;
    // The slowest answer of all is the last percentile that so many answers have.
    const share = Math.min(below / total, 1 - 1 / Math.max(total, 2));
    const here = Math.floor(ninesOf(share) * LATENCY_POINTS_PER_NINE);
    if (here > column) points.push({ share, microseconds });
    column = here;
    if (ninesOf(share) >= MAX_NINES) break;
  }
  return points;
}

function isGood({ better }: MetricInfo): string {
  return `${better} is better`;
}

/** Names come from a file that anybody may have written: no slashes, no dots. */
function fileName(...parts: readonly string[]): string {
  return parts.map((part) => part.toLowerCase().replace(/[^a-z0-9]+/g, "-")).join("-");
}
