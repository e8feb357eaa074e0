// What a daemon takes, drawn over the number of hosts.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pointsSpec } from "../../src/bench/chart-lines.js";
import { openDraughtsman } from "../../src/bench/draw.js";
import { LIGHT } from "../../src/bench/palette.js";
import { spreadOf } from "../../src/bench/statistics.js";
import type { Load } from "./scale.js";

const CHARTS = [
  { id: "memory", title: "Resident memory of a daemon", unit: "MB", of: (load: Load) => load.residentMegabytes },
  { id: "processor", title: "Processor time of a daemon", unit: "% of a core", of: (load: Load) => load.idlePercent },
];

/** Writes scale-memory and scale-processor into the folder, each as SVG and PNG. */
export async function drawLoads(loads: readonly Load[], folder: string): Promise<void> {
  const draughtsman = await openDraughtsman();
  mkdirSync(folder, { recursive: true });
  for (const { id, title, unit, of } of CHARTS) {
    const points = loads.flatMap((load) => {
      const figure = spreadOf(of(load));
      return figure === null ? [] : [{ point: load.hosts, figure }];
    });
    const chart = {
      id: `scale-${id}`,
      title,
      caption: "Median of all daemons that run, lower is better; band: the middle half of them",
      spec: () => pointsSpec([{ mode: "udp", points }], { x: "hosts", y: unit }, 1, LIGHT),
    };
    const svg = await draughtsman.svg(
      chart,
      LIGHT,
      "UDP mode, file store, one machine, probes off; the first seconds after the last one has started",
    );
    writeFileSync(join(folder, `${chart.id}.svg`), svg);
    writeFileSync(join(folder, `${chart.id}.png`), draughtsman.png(svg));
  }
}
