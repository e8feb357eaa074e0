// Bars: one for each mode, its name and figures above it, a thin line over its end from the first to the third quartile, and
// an upright line where kernel VXLAN's bar ends. With parts, each bar is stacked of them. A bar that would dwarf all others is cut.
import { CHART_WIDTH, type Spec } from "./chart.js";
import { modeColours, type Palette } from "./palette.js";
import type { Spread } from "./statistics.js";

export interface Bar {
  readonly mode: string;
  readonly title: string;
  /** Null: refused. */
  readonly figure: Spread | null;
  /** Stand above the bar: the figure, and its ratio to kernel VXLAN or why there is none. */
  readonly label: string;
  readonly beside: string;
  /** Adding up to the median; empty for a plain bar. */
  readonly parts: readonly { readonly name: string; readonly value: number }[];
}

const ROW_HEIGHT = 42;
const BAR_OFFSET = 9;
const TEXT_OFFSET = -9;
/** A bar this many times as long as the next is cut a little beyond that one, so that the others can be compared. */
const CUT_FROM = 3;
const CUT_BEYOND = 1.25;
/** Stands on a cut bar. */
export const CUT_SIGN = "//";
const CUT_SIGN_FROM_END = 20;
const CUT_SIGN_MARK = { yOffset: BAR_OFFSET, fontSize: 20, fontWeight: "bold" };
/** Room for a ratio at the right. */
const RATIO_WIDTH = 62;
const LEGEND_COLUMNS = 3;

/** @param baseline where the upright lines stand; null for none */
export function barsSpec(bars: readonly Bar[], baseline: number | null, palette: Palette): Spec {
  const edge = edgeOf(bars);
  const rows = bars.map((bar) => rowOf(bar, edge));
  const y = { field: "mode", type: "nominal", sort: null, axis: null, scale: { padding: 0 } };
  const x = { type: "quantitative", axis: null, scale: { domain: [0, edge || 1], nice: false } };
  const spread = { x: { ...x, field: "lower" }, x2: { field: "upper" }, y };
  const upright = { x: { ...x, datum: baseline }, y };
  const tick = { type: "tick", orient: "vertical", size: 20 };
  const text = (field: string, place: number, mark: object): Spec => ({
    mark: { type: "text", baseline: "middle", yOffset: TEXT_OFFSET, fontSize: 12, color: palette.ink, ...mark },
    encoding: { x: { value: place }, y, text: { field } },
  });
  return {
    width: CHART_WIDTH,
    height: { step: ROW_HEIGHT },
    data: { values: rows.map(({ figure, ...row }) => ({ ...row, ...figure })) },
    layer: [
      barsLayer(rows, x, y, palette),
      ...(baseline === null ? [] : outlined(tick, upright, "thickness", palette)),
      ...outlined({ type: "rule" }, spread, "strokeWidth", palette),
      {
        ...text("cut", CHART_WIDTH - CUT_SIGN_FROM_END, { ...CUT_SIGN_MARK, color: palette.surface }),
        transform: [{ filter: "datum.cut !== ''" }],
      },
      text("title", 0, { align: "left" }),
      text("label", CHART_WIDTH - RATIO_WIDTH, { align: "right", fontWeight: "bold" }),
      {
        ...text("beside", CHART_WIDTH, { align: "right" }),
        transform: [{ filter: "isValid(datum.median)" }],
      },
      {
        ...text("beside", CHART_WIDTH, { align: "right", fontWeight: "bold", color: palette.alarm }),
        transform: [{ filter: "!isValid(datum.median)" }],
      },
    ],
  };
}

/** Where the drawing ends. */
function edgeOf(bars: readonly Bar[]): number {
  const [longest = 0, next = 0] = bars.map(({ figure }) => figure?.upper ?? 0).sort((a, b) => b - a);
  return next > 0 && longest > CUT_FROM * next ? CUT_BEYOND * next : longest;
}

/** Whether a bar is cut, which a caption must say. */
export function hasCut(bars: readonly Bar[]): boolean {
  const edge = edgeOf(bars);
  return bars.some(({ figure }) => figure !== null && figure.upper > edge);
}

/** A bar as it is drawn. A cut one keeps the proportions of its parts, and has no spread. */
function rowOf(bar: Bar, edge: number): Bar & { readonly cut: string } {
  const { figure, parts } = bar;
  if (figure === null || figure.upper <= edge) return { ...bar, cut: "" };
  const shorter = parts.map(({ name, value }) => ({ name, value: (value * edge) / figure.median }));
  return { ...bar, figure: { ...figure, median: edge, lower: edge, upper: edge }, parts: shorter, cut: CUT_SIGN };
}

/** A line over bars of any colour: in ink, with an edge of the ground's colour. */
function outlined(mark: Spec, encoding: Spec, width: "strokeWidth" | "thickness", palette: Palette): Spec[] {
  const transform = [{ filter: "isValid(datum.median)" }];
  return [
    { transform, mark: { ...mark, yOffset: BAR_OFFSET, [width]: 4, color: palette.surface }, encoding },
    { transform, mark: { ...mark, yOffset: BAR_OFFSET, [width]: 1.5, color: palette.ink }, encoding },
  ];
}

function barsLayer(bars: readonly Bar[], x: object, y: object, palette: Palette): Spec {
  const mark = { type: "bar", height: 14, yOffset: BAR_OFFSET };
  const names = [...new Set(bars.flatMap(({ parts }) => parts.map(({ name }) => name)))];
  if (names.length === 0) {
    const modes = bars.map(({ mode }) => mode);
    const scale = { domain: modes, range: modeColours(palette, modes) };
    const color = { field: "mode", type: "nominal", legend: null, scale };
    return { mark, encoding: { x: { ...x, field: "median" }, y, color } };
  }
  const values = bars.flatMap(({ mode, parts }) =>
    parts.map((part) => ({ mode, ...part, place: names.indexOf(part.name) })),
  );
  const legend = {
    title: null,
    orient: "top",
    symbolType: "square",
    columnPadding: 14,
    columns: LEGEND_COLUMNS,
    offset: 8,
  };
  const range = names.map((_, index) => palette.parts[index % palette.parts.length]);
  return {
    data: { values },
    mark,
    encoding: {
      x: { ...x, field: "value", stack: "zero" },
      y,
      color: { field: "name", type: "nominal", legend, scale: { domain: names, range } },
      order: { field: "place", type: "quantitative" },
    },
  };
}
