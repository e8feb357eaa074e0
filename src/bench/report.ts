// Writes a report of results into a folder: index.html, which needs nothing beside it, and each chart as SVG and PNG.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { HopsackError, messageOf } from "../errors.js";
import type { Chart } from "./chart.js";
import { chartsOf } from "./charts.js";
import { openDraughtsman } from "./draw.js";
import { LIGHT, VARIABLES } from "./palette.js";
import { type Figure, reportPage } from "./report-page.js";
import type { BenchResults } from "./results.js";

/** What was written. */
interface ReportFiles {
  readonly page: string;
  readonly charts: number;
}

/**
 * Files of an earlier report in `folder` are replaced.
 * @throws TOOL_MISSING when the drawing packages are not installed
 * @throws FILE_UNWRITABLE
 */
export async function writeReport(results: BenchResults, folder: string): Promise<ReportFiles> {
  const draughtsman = await openDraughtsman();
  const figures = new Map<string, Figure[]>();
  let charts = 0;
  await prepare(folder);
  for (const { name: profile } of results.profiles) {
    for (const scenario of results.scenarios) {
      const planned = chartsOf(results, profile, scenario);
      const drawn: Figure[] = [];
      for (const chart of planned) {
        drawn.push({ ...chart, svg: await draughtsman.svg(chart, VARIABLES, null) });
        const alone = await draughtsman.svg(chart, LIGHT, footnoteOf(results, profile));
        await write(chartPath(folder, chart, "svg"), alone);
        await write(chartPath(folder, chart, "png"), draughtsman.png(alone));
      }
      charts += planned.length;
      figures.set(`${profile} ${scenario.name}`, drawn);
    }
  }
  const page = join(folder, "index.html");
  await write(
    page,
    reportPage(results, (profile, scenario) => figures.get(`${profile} ${scenario}`) ?? []),
  );
  return { page, charts };
}

/** What a picture that travels alone must say: where its figures come from. */
function footnoteOf({ machine, startedAt }: BenchResults, profile: string): string {
  const commit = `commit ${machine.commit}${machine.hasLocalChanges ? " with local changes" : ""}`;
  return `Underlay ${profile}. ${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, ${commit}, ${startedAt.slice(0, 10)}`;
}

function chartPath(folder: string, { id }: Chart, extension: string): string {
  return join(folder, "charts", `${id}.${extension}`);
}

async function prepare(folder: string): Promise<void> {
  const path = join(folder, "charts");
  await mkdir(path, { recursive: true }).catch((error: unknown) => {
    throw unwritable(path, error);
  });
}

async function write(path: string, content: string | Uint8Array): Promise<void> {
  await writeFile(path, content).catch((error: unknown) => {
    throw unwritable(path, error);
  });
}

function unwritable(path: string, error: unknown): HopsackError {
  const sentence = `${path} cannot be written: ${messageOf(error)}; name another folder with --output`;
  return new HopsackError("FILE_UNWRITABLE", sentence, { cause: error });
}
