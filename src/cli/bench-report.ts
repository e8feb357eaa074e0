// `hopsack bench report FILE`: a page and pictures of what a run measured. Measures nothing.
import type { Command } from "commander";
import { readResults } from "../bench/read-results.js";
import { writeReport } from "../bench/report.js";
import { counted } from "../bench/units.js";

export function addBenchReportCommand(bench: Command): void {
  bench
    .command("report")
    .description("write a page with charts of a run, and each chart as SVG and PNG")
    .argument("<file>", "results of a run")
    .option("--output <DIR>", "where to; default: beside the results, named after them")
    .action(async (file: string, { output }: { readonly output?: string }) => {
      const folder = output ?? `${file.replace(/\.json$/, "")}-report`;
      const { page, charts } = await writeReport(await readResults(file), folder);
      process.stdout.write(`${page}, and ${counted(charts, "chart")} beside it as SVG and PNG\n`);
    });
}
