// Dashboard and alert rules as Debian's promtool judges them; a real Prometheus runs them in test/netns/monitoring.test.ts.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { exposition } from "../../src/daemon/metrics.js";
import { readyState } from "../support/daemon-fixtures.js";
import { dashboardQueries, MONITORING, promtool, promtoolFault } from "../support/promtool.js";

const skip = promtoolFault();

t.test("the names, types and help texts of all metrics follow Prometheus' conventions", { skip }, async (t) => {
  const state = readyState();
  state.tallies.repairs.set("add-route", 2);
  const { body } = await exposition(state);
  t.same(promtool(["check", "metrics"], body), { status: 0, output: "" });
  t.not(promtool(["check", "metrics"], "# TYPE hopsack_milliseconds counter\nhopsack_milliseconds 1\n").status, 0);
});

t.test("the alert rules are valid, and fire when their tests say so", { skip }, async (t) => {
  for (const words of [
    ["check", "rules", "alerts.yml"],
    ["test", "rules", "alerts.test.yml"],
  ]) {
    const { status, output } = promtool(words);
    t.equal(status, 0, output);
  }
});

t.test("every alert is tested: when it fires, and when it does not", async (t) => {
  const alerts = [...readFileSync(join(MONITORING, "alerts.yml"), "utf8").matchAll(/- alert: (\w+)/g)];
  const cases = readFileSync(join(MONITORING, "alerts.test.yml"), "utf8");
  t.ok(alerts.length > 10);
  for (const [, name] of alerts) {
    t.match(cases, new RegExp(`alertname: ${name}, exp_alerts: \\[\\]`));
    t.match(cases, new RegExp(`alertname: ${name}\n +exp_alerts:\n +- exp_labels`));
  }
});

t.test("every panel of the dashboard has a place of its own and a query", async (t) => {
  const { panels } = JSON.parse(readFileSync(join(MONITORING, "grafana-dashboard.json"), "utf8")) as {
    readonly panels: readonly {
      id: number;
      title: string;
      type: string;
      gridPos: Record<"x" | "y" | "w" | "h", number>;
    }[];
  };
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
  );
  t.equal(new Set(cells).size, cells.length, "no two panels cover each other");
  t.ok(panels.every(({ gridPos: { x, w } }) => x + w <= 24));
  t.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const asked = new Set(dashboardQueries("1m").map(({ panel }) => panel));
  for (const { title, type } of panels) t.equal(asked.has(title), type !== "row", title);
});
