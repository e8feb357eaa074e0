// Lines over something: the figure at each point of a scenario, with the middle half of the rounds as a band; and the
// distribution of latencies, whose x axis gives each further nine of a percentile as much room as the one before.
import { type LineEnd, logTicks, logY, namesLayer, PLOT_HEIGHT, PLOT_WIDTH, type Spec } from "./chart.js";
import { modeColours, type Palette } from "./palette.js";
import type { Spread } from "./statistics.js";

export interface Line<Point> {
  readonly mode: string;
  readonly points: readonly Point[];
}

interface SpreadPoint {
  readonly point: number;
  readonly figure: Spread;
}

/** From this quotient of the last point by the first on, the x axis is logarithmic. */
const LOG_FROM = 50;

/** @param titles of the axes @param divisor of the figures, see units.ts */
export function pointsSpec(
  lines: readonly Line<SpreadPoint>[],
  titles: { readonly x: string; readonly y: string },
  divisor: number,
  palette: Palette,
): Spec {
  const values = lines.flatMap(({ mode, points }) =>
    points.map(({ point, figure: { median, lower, upper } }) => ({
      mode,
      point,
      median: median / divisor,
      lower: lower / divisor,
      upper: upper / divisor,
    })),
  );
  const points = values.map(({ point }) => point);
  const isLog = Math.min(...points) > 0 && Math.max(...points) / Math.min(...points) >= LOG_FROM;
  const top = Math.max(...values.map(({ upper }) => upper)) * 1.05 || 1;
  const lastOf = (mode: string) => values.findLast((value) => value.mode === mode);
  const ends = lines.map(({ mode }) => ({ mode, endY: PLOT_HEIGHT * (1 - (lastOf(mode)?.median ?? 0) / top) }));
  const x = {
    field: "point",
    type: "quantitative",
    title: titles.x,
    scale: isLog ? { type: "log", nice: false } : { zero: false, nice: false },
    axis: { grid: false, format: "~s", values: [...new Set(points)], labelFlush: true },
  };
  const y = { type: "quantitative", scale: { domain: [0, top], nice: false } };
  const yTitled = { ...y, field: "median", title: titles.y, axis: { domain: false, ticks: false, tickCount: 5 } };
  return linesSpec(lines, ends, palette, values, [
    { mark: { type: "area", opacity: 0.18 }, encoding: { x, y: { ...y, field: "lower" }, y2: { field: "upper" } } },
    { mark: { type: "line", strokeWidth: 2, point: { size: 22 } }, encoding: { x, y: yTitled } },
    // From where a mode was measured no further to its name.
    {
      data: { values: lines.flatMap(({ mode }) => lastOf(mode) ?? []) },
      mark: { type: "rule", strokeDash: [1, 3] },
      encoding: { x, x2: { value: PLOT_WIDTH }, y: { ...y, field: "median" } },
    },
  ]);
}

export interface LatencyPoint {
  /** Of the answers, this share took at most `microseconds`. */
  readonly share: number;
  readonly microseconds: number;
}

const PERCENTILES: readonly (readonly [number, string])[] = [
  [0.5, "50"],
  [0.9, "90"],
  [0.99, "99"],
  [0.999, "99.9"],
  [0.9999, "99.99"],
];
export const MAX_NINES = 4;

export function latencySpec(lines: readonly Line<LatencyPoint>[], palette: Palette): Spec {
  const values = lines.flatMap(({ mode, points }) =>
    points.map(({ share, microseconds }) => ({ mode, nines: ninesOf(share), microseconds })),
  );
  const times = values.map(({ microseconds }) => microseconds);
  const [lowest, highest] = [Math.min(...times) * 0.9, Math.max(...times) * 1.1];
  const nines = Math.max(...values.map((value) => value.nines));
  const ends = lines.map(({ mode }) => {
    const last = values.findLast((value) => value.mode === mode)?.microseconds ?? lowest;
    return { mode, endY: logY(last, lowest, highest) };
  });
  const shown = PERCENTILES.filter(([share]) => ninesOf(share) <= nines);
  const names = Object.fromEntries(shown.map(([share, name]) => [ninesOf(share).toFixed(2), name]));
  const x = {
    field: "nines",
    type: "quantitative",
    title: "percentile",
    scale: { domain: [0, nines], nice: false },
    axis: {
      grid: false,
      values: shown.map(([share]) => ninesOf(share)),
      labelOverlap: false,
      labelExpr: `${JSON.stringify(names)}[format(datum.value, '.2f')]`,
    },
  };
  const y = {
    field: "microseconds",
    type: "quantitative",
    title: "µs",
    scale: { type: "log", domain: [lowest, highest], nice: false },
    axis: { domain: false, ticks: false, values: logTicks(lowest, highest), format: ",~r" },
  };
  return linesSpec(lines, ends, palette, values, [{ mark: { type: "line", strokeWidth: 2 }, encoding: { x, y } }]);
}

/** 0.9 → 1, 0.99 → 2 …; everything stays a finite number. */
export function ninesOf(share: number): number {
  return Math.min(MAX_NINES, -Math.log10(Math.max(1 - share, 10 ** -MAX_NINES)));
}

function linesSpec(
  lines: readonly Line<unknown>[],
  ends: readonly LineEnd[],
  palette: Palette,
  values: readonly Spec[],
  layers: readonly Spec[],
): Spec {
  const modes = lines.map(({ mode }) => mode);
  const scale = { domain: modes, range: modeColours(palette, modes) };
  return {
    width: PLOT_WIDTH,
    height: PLOT_HEIGHT,
    data: { values: [...values] },
    encoding: { color: { field: "mode", type: "nominal", legend: null, scale } },
    layer: [...layers, namesLayer(ends, palette)],
  };
}
