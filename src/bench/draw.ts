// Charts become SVG and PNG here, by packages that the daemon does without: 30 MB that are installed by who draws.
import assert from "node:assert/strict";
import type { LoggerInterface } from "vega";
import type { TopLevelSpec } from "vega-lite";
import { errnoOf, HopsackError } from "../errors.js";
import type { Chart, Spec } from "./chart.js";
import type { Palette } from "./palette.js";

/** In the page the reader's own font; in files one that looks alike everywhere. */
const FILE_FONT = "DejaVu Sans, Liberation Sans, Arial, sans-serif";
const PIXELS_PER_UNIT = 2;
/** Letters of a title and a subtitle that are as wide as a chart, as Vega reckons them: it has no fonts and allows for wide ones. */
const TITLE_LENGTH = 32;
const LINE_LENGTH = 44;

interface Draughtsman {
  /** @param footnote stands below the title, for pictures that travel alone; null inside the page, which has headings */
  svg(chart: Chart, palette: Palette, footnote: string | null): Promise<string>;
  png(svg: string): Uint8Array;
}

/** @throws TOOL_MISSING when the packages are not installed */
export async function openDraughtsman(): Promise<Draughtsman> {
  const [vega, vegaLite, { Resvg }] = await installedPackages();
  return {
    svg: async (chart, palette, footnote) => {
      const head: Spec = footnote === null ? {} : { title: titleOf(chart, footnote, palette), padding: 16 };
      const config = configFor(palette, footnote === null ? "inherit" : FILE_FONT);
      const background = footnote === null ? "transparent" : palette.surface;
      const drawing = { padding: 2, ...chart.spec(palette), ...head, background, config } as unknown as TopLevelSpec;
      const { spec } = vegaLite.compile(drawing, { logger: strictLogger });
      const view = new vega.View(vega.parse(spec), { renderer: "none" });
      try {
        return await view.toSVG();
      } finally {
        view.finalize();
      }
    },
    png: (svg) => new Resvg(svg, { fitTo: { mode: "zoom", value: PIXELS_PER_UNIT } }).render().asPng(),
  };
}

async function installedPackages() {
  try {
    return await Promise.all([import("vega"), import("vega-lite"), import("@resvg/resvg-js")]);
  } catch (error) {
    if (errnoOf(error) !== "ERR_MODULE_NOT_FOUND") throw error;
    const cure = "npm install vega@6 vega-lite@6 @resvg/resvg-js@2 where hopsack is installed";
    throw new HopsackError("TOOL_MISSING", `charts need packages that the daemon does without: ${cure}`, {
      cause: error,
    });
  }
}

/** Vega-Lite passes over what it does not understand, with a warning: our mistake, not the reader's. */
const strictLogger: LoggerInterface = {
  level: () => strictLogger,
  error: (...words: unknown[]) => assert.fail(`Vega-Lite: ${words.join(" ")}`),
  warn: (...words: unknown[]) => assert.fail(`Vega-Lite: ${words.join(" ")}`),
  info: () => strictLogger,
  debug: () => strictLogger,
};

function titleOf({ title, caption }: Chart, footnote: string, palette: Palette): Spec {
  return {
    text: linesOf(title, TITLE_LENGTH),
    subtitle: [...linesOf(caption, LINE_LENGTH), ...linesOf(footnote, LINE_LENGTH)],
    anchor: "start",
    frame: "bounds",
    offset: 14,
    fontSize: 15,
    subtitlePadding: 6,
    color: palette.ink,
    subtitleColor: palette.muted,
  };
}

/** The text broken at blanks, so that it does not make a picture wider. */
function linesOf(text: string, length: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (longer.length <= length) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

function configFor(palette: Palette, font: string): Spec {
  const text = { labelColor: palette.muted, titleColor: palette.muted, labelFontSize: 11, titleFontSize: 11 };
  return {
    font,
    view: { stroke: null },
    axis: {
      ...text,
      titleFontWeight: "normal",
      gridColor: palette.line,
      domainColor: palette.line,
      tickColor: palette.line,
      titlePadding: 8,
    },
    legend: { ...text, labelColor: palette.ink, labelFontSize: 11 },
  };
}
