// The page of a report, as one HTML text that needs nothing beside it. Knows words and order, not how charts are drawn.
import { figureAt } from "./charts.js";
import { checkTargets, type TargetCheck } from "./check-targets.js";
import { modeColours, VARIABLES } from "./palette.js";
import { STYLE } from "./report-style.js";
import type { BenchResults, Machine, ProfileInfo, ScenarioInfo } from "./results.js";
import { metricsOf, pointsOf } from "./series.js";
import { LEAST_ROUNDS } from "./targets.js";
import { capital, counted, formatFigure, formatNumber, formatRange, formatRatio } from "./units.js";

/** A chart as it stands in the page. */
export interface Figure {
  readonly title: string;
  readonly caption: string;
  /** Drawn in VARIABLES. */
  readonly svg: string;
}

/** @param figuresOf the drawn charts of a scenario under a profile; none where nothing was measured */
export function reportPage(
  results: BenchResults,
  figuresOf: (profile: string, scenario: string) => readonly Figure[],
): string {
  const sections = results.profiles.map((profile) => profileSection(results, profile, figuresOf));
  const links = results.profiles.map(({ name }) => `<a href="#${escapeHtml(name)}">${escapeHtml(name)}</a>`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hopsack benchmark, ${escapeHtml(dayOf(results))}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>Hopsack benchmark</h1>
<p class="muted">${escapeHtml(dayOf(results))}, commit ${escapeHtml(commitOf(results.machine))}</p>
${warnings(results)}${refusalsBox(results)}${facts(results)}
<nav>${links.join("")}<a href="#targets">${verdictCounts(results)}</a></nav>
</header>
<main>
${sections.join("\n")}
${targetsSection(results)}
</main>
<footer>${READING}</footer>
</body>
</html>
`;
}

const READING = `<p>A figure is the median over the rounds; its spread is the middle half of them, from the first quartile to the third.
All modes of a round were measured one after the other, and a ratio is the median of the ratios within rounds: compare ratios, not
figures, which belong to this machine and hour. CPU time is that of every process and the kernel's share.</p>`;

/** Text of a results file inside HTML: anybody may have written it. */
function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

function dayOf({ startedAt }: BenchResults): string {
  return startedAt.slice(0, 16).replace("T", " ");
}

function commitOf({ commit, hasLocalChanges }: Machine): string {
  return `${commit}${hasLocalChanges ? " with local changes" : ""}`;
}

/** What makes the figures worth less. */
function warnings({ settings, machine }: BenchResults): string {
  const rounds = counted(settings.rounds, "round");
  const texts = [
    ...(settings.isQuick ? ["This was a quick look: too short to judge anything by."] : []),
    ...(settings.rounds < LEAST_ROUNDS ? [`${rounds}: ratios need ${LEAST_ROUNDS} to be judged.`] : []),
    ...(machine.hasLocalChanges ? ["Measured with local changes: the commit does not say what ran."] : []),
  ];
  return texts.map((text) => `<p class="alarm"><strong>${escapeHtml(text)}</strong></p>\n`).join("");
}

/** One line for each mode and reason: a mode that is missing is refused in every round of every scenario. */
function refusalsBox({ refusals }: BenchResults): string {
  if (refusals.length === 0) return "";
  const places = new Map<string, Set<string>>();
  for (const { scenario, profile, mode, round, reason } of refusals) {
    const line = `${mode}, ${profile}: ${reason}`;
    const place = round === null ? scenario : `${scenario} round ${round}`;
    places.set(line, (places.get(line) ?? new Set()).add(place));
  }
  const items = [...places].map(([line, where]) => `<li>${escapeHtml(`${line} (${[...where].join(", ")})`)}</li>`);
  const count = `${counted(refusals.length, "figure")} refused`;
  return `<section class="alarm" id="refusals"><h2>${count}</h2>\n<ul>${items.join("\n")}</ul></section>\n`;
}

function facts({ machine, settings, startedAt, finishedAt }: BenchResults): string {
  const minutes = (Date.parse(finishedAt) - Date.parse(startedAt)) / 60_000;
  const length = minutes >= 1 ? `, ${Math.round(minutes)} min in all` : "";
  const tools = Object.entries(machine.tools).map(([name, version]) => `${name} ${version}`);
  const rows: readonly (readonly [string, string])[] = [
    ["Machine", `${machine.cpu}, ${machine.cores} cores, ${formatNumber(machine.memoryBytes / 1e9)} GB`],
    ["Kernel", `Linux ${machine.kernel}`],
    ["Commit", commitOf(machine)],
    ["Measured", `${counted(settings.rounds, "round")} of ${settings.seconds} s${length}`],
    ["Load before", machine.loadBefore],
    ["Tools", [`Node.js ${machine.node}`, ...tools].join(", ")],
  ];
  const items = rows.map(([term, text]) => `<div><dt>${escapeHtml(term)}</dt><dd>${escapeHtml(text)}</dd></div>`);
  return `<dl class="facts">${items.join("")}</dl>\n`;
}

function verdictCounts(results: BenchResults): string {
  const checks = checkTargets(results);
  const counts = (["pass", "short", "not measured"] as const).map(
    (verdict) => `${checks.filter((check) => check.verdict === verdict).length} ${verdict}`,
  );
  return `targets: ${counts.join(", ")}`;
}

function profileSection(
  results: BenchResults,
  profile: ProfileInfo,
  figuresOf: (profile: string, scenario: string) => readonly Figure[],
): string {
  const cards = results.scenarios
    .map((scenario) => card(results, profile.name, scenario, figuresOf(profile.name, scenario.name)))
    .join("\n");
  const offloads = Object.entries(profile.offloads).map(([feature, state]) => `${feature} ${state}`);
  return `<section id="${escapeHtml(profile.name)}">
<h2>${escapeHtml(profile.name)}</h2>
<p class="muted">${escapeHtml(profile.title)}; MTU ${profile.mtuBytes}</p>
<details><summary>offloads of the underlay</summary><p class="muted">${escapeHtml(offloads.join(", ") || "not recorded")}</p></details>
<div class="cards">${cards}</div>
</section>`;
}

function card(results: BenchResults, profile: string, scenario: ScenarioInfo, figures: readonly Figure[]): string {
  if (figures.length === 0) return "";
  const drawings = figures.map(({ title, caption, svg }, index) => {
    const heading = index === 0 ? "" : `<h4>${escapeHtml(title.split(":")[0] ?? title)}</h4>\n`;
    const label = escapeHtml(`${title}, ${profile}. ${caption}`);
    const labelled = svg.replace("<svg ", `<svg role="img" aria-label="${label}" `);
    return `<figure>${heading}<figcaption>${escapeHtml(caption)}</figcaption>\n${labelled}</figure>`;
  });
  return `<article class="card"><h3>${escapeHtml(capital(scenario.title))}</h3>
${drawings.join("\n")}
<details><summary>all figures</summary><div class="wide">${figuresTable(results, profile, scenario)}</div></details>
</article>`;
}

/** Every metric of every mode: median, middle half, ratio to kernel VXLAN, rounds. */
function figuresTable(results: BenchResults, profile: string, scenario: ScenarioInfo): string {
  const rows = results.modes.flatMap(({ name: mode }) =>
    pointsOf(results, scenario.name).flatMap((point) =>
      metricsOf(results, scenario.name).flatMap((metric) => {
        const found = figureAt(results, { profile, scenario: scenario.name, mode, point }, metric);
        if (found === null) return [];
        const { median, lower, upper, count } = found.figure;
        const half = escapeHtml(formatRange(lower, upper, metric.unit));
        const ratio = found.ratio === null ? "–" : formatRatio(found.ratio.median);
        const name = point === null ? metric.title : `${metric.title} at ${formatNumber(point)}`;
        const what = twoLines(swatch(results, mode), escapeHtml(name));
        return [[what, twoLines(escapeHtml(formatFigure(median, metric.unit)), half), ratio, `${count}`]];
      }),
    ),
  );
  return table(["mode", "median, middle half", "ratio", "rounds"], rows, [1, 2, 3]);
}

function swatch(results: BenchResults, mode: string): string {
  const modes = results.modes.map(({ name }) => name);
  const colour = modeColours(VARIABLES, modes)[modes.indexOf(mode)] ?? VARIABLES.ink;
  return `<span class="swatch" style="background: ${colour}"></span>${escapeHtml(mode)}`;
}

/** Narrow tables can be read on a telephone. */
function twoLines(first: string, second: string): string {
  return `${first}<br><span class="muted">${second}</span>`;
}

/** @param rows of HTML @param numbers which columns are right-aligned */
function table(titles: readonly string[], rows: readonly (readonly string[])[], numbers: readonly number[]): string {
  const row = (cells: readonly string[], tag: string): string =>
    `<tr>${cells
      .map((cell, index) => `<${tag}${numbers.includes(index) ? ' class="number"' : ""}>${cell}</${tag}>`)
      .join("")}</tr>`;
  return `<table><thead>${row(titles, "th")}</thead><tbody>${rows.map((cells) => row(cells, "td")).join("\n")}</tbody></table>`;
}

function targetsSection(results: BenchResults): string {
  const rows = checkTargets(results).map((check) => targetCells(results, check));
  const titles = ["target", "", "measured", "rounds"];
  return `<section id="targets"><h2>Targets</h2>
<p class="muted">Ratios to kernel VXLAN unless the target names another; not measured: fewer than ${LEAST_ROUNDS} rounds with both sides.</p>
<div class="card wide">${table(titles, rows, [2, 3])}</div></section>`;
}

function targetCells(results: BenchResults, { target, mode, limit, ratio, verdict }: TargetCheck): string[] {
  const wanted = `${target.bound === "at least" ? "≥" : "≤"} ${limit.toFixed(2)}`;
  const measured = ratio === null ? "–" : ratio.median.toFixed(2);
  const kind = verdict === "not measured" ? "muted" : verdict;
  const judged = `<span class="${kind}">${verdict}</span>`;
  const title = twoLines(swatch(results, mode), `${escapeHtml(target.title)}, ${target.profile}`);
  return [title, judged, twoLines(measured, wanted), `${ratio?.count ?? 0}`];
}
