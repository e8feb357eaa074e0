// What the chart files share: what a chart is, how wide it is, and names at the ends of lines that do not collide.
import type { Palette } from "./palette.js";

/** A drawing in Vega-Lite's language (vega.github.io/vega-lite/docs), or a part of one. draw.ts has it checked. */
export type Spec = Readonly<Record<string, unknown>>;

/** A picture for a scenario under a profile, in any colours. */
export interface Chart {
  /** File name without extension, unique in a report. */
  readonly id: string;
  readonly title: string;
  /** One sentence: what is drawn, in which unit, which way is good. */
  readonly caption: string;
  readonly spec: (palette: Palette) => Spec;
}

/** Pixels: fits a telephone held upright without shrinking, and three stand side by side on a desk. */
export const CHART_WIDTH = 340;
/** Of a chart with axes: its plot, beside which names have room. */
export const PLOT_WIDTH = 215;
export const PLOT_HEIGHT = 220;
const NAME_HEIGHT = 13;

export interface LineEnd {
  readonly mode: string;
  /** Pixels from the top. */
  readonly endY: number;
}

/** Where each name stands: at its line's end, moved as little as it takes to keep names apart and inside the plot. */
export function placeNames(ends: readonly LineEnd[]): (LineEnd & { readonly nameY: number })[] {
  const sorted = [...ends].sort((a, b) => a.endY - b.endY);
  const places = sorted.map(({ endY }) => endY);
  for (let index = 1; index < places.length; index++) {
    places[index] = Math.max(places[index] ?? 0, (places[index - 1] ?? 0) + NAME_HEIGHT);
  }
  const lowest = Math.max(PLOT_HEIGHT, (places.length - 1) * NAME_HEIGHT);
  for (let index = places.length - 1; index >= 0; index--) {
    const limit = lowest - (places.length - 1 - index) * NAME_HEIGHT;
    places[index] = Math.min(places[index] ?? 0, limit);
  }
  return sorted.map((end, index) => ({ ...end, nameY: places[index] ?? end.endY }));
}

/** Names right of the plot, each tied to its line's end. To be a layer over a chart of PLOT_WIDTH by PLOT_HEIGHT. */
export function namesLayer(ends: readonly LineEnd[], palette: Palette): Spec {
  return {
    data: { values: placeNames(ends) },
    layer: [
      {
        mark: { type: "rule", strokeWidth: 1.5, clip: false },
        encoding: {
          x: { value: PLOT_WIDTH + 2 },
          x2: { value: PLOT_WIDTH + 12 },
          y: { field: "endY", type: "quantitative", scale: null, axis: null },
          y2: { field: "nameY" },
          color: { field: "mode", type: "nominal" },
        },
      },
      {
        mark: { type: "text", align: "left", baseline: "middle", fontSize: 11, clip: false },
        encoding: {
          x: { value: PLOT_WIDTH + 16 },
          y: { field: "nameY", type: "quantitative", scale: null, axis: null },
          text: { field: "mode" },
          color: { value: palette.ink },
        },
      },
    ],
  };
}

/** 1, 2 and 5 of each power of ten from `lowest` to `highest`. */
export function logTicks(lowest: number, highest: number): number[] {
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(lowest)); power <= Math.log10(highest); power++) {
    ticks.push(...[1, 2, 5].map((step) => step * 10 ** power));
  }
  return ticks.filter((tick) => tick >= lowest && tick <= highest);
}

/** How far down `value` lies in a plot that shows `lowest` to `highest`, both above zero, by their logarithms. */
export function logY(value: number, lowest: number, highest: number): number {
  return PLOT_HEIGHT * (1 - Math.log(value / lowest) / Math.log(highest / lowest));
}
