// Debian's promtool, and what monitoring/ holds.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const MONITORING = fileURLToPath(new URL("../../monitoring", import.meta.url));

/** What promtool says, on both of its outputs. */
export function promtool(
  words: readonly string[],
  input = "",
): { readonly status: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync("promtool", words, { input, encoding: "utf8", cwd: MONITORING });
  return { status, output: `${stdout}${stderr}` };
}

/** Why promtool cannot be asked, or false. */
export function promtoolFault(): string | false {
  return promtool(["--version"]).status === 0 ? false : "promtool is not installed: apt-get install prometheus";
}

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

/** The dashboard's queries, with Grafana's variables filled in; each with the title of its panel. */
export function dashboardQueries(rateInterval: string): { readonly panel: string; readonly query: string }[] {
  const { panels } = JSON.parse(readFileSync(join(MONITORING, "grafana-dashboard.json"), "utf8")) as {
    readonly panels: readonly Panel[];
  };
  const fill = (expr: string): string =>
    expr.replaceAll("$__rate_interval", rateInterval).replaceAll("$job", "hopsack").replaceAll("$instance", ".*");
  return panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ panel: title, query: fill(expr) })));
}

/** The expressions of all alert rules. */
export function alertQueries(): string[] {
  const text = readFileSync(join(MONITORING, "alerts.yml"), "utf8");
  return [...text.matchAll(/^ +expr: (.*)$/gm)].map((match) => match[1] ?? "");
}
