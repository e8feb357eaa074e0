// A report on disk: one page that needs nothing else, and every chart as SVG and PNG.
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { writeReport } from "../../../src/bench/report.js";
import { reportPage } from "../../../src/bench/report-page.js";
import { syntheticResults } from "../../support/bench-results.js";

const dist = join(dirname(fileURLToPath(import.meta.url)), "../../../dist");
const PNG_SIGNATURE = "89504e470d0a1a0a";
const folder = mkdtempSync(join(tmpdir(), "hopsack-report-"));
t.teardown(() => rmSync(folder, { recursive: true }));

t.test("the page and each chart are written, and again over an earlier report", async (t) => {
  const results = syntheticResults({ rounds: 3 });
  await writeReport(results, folder);
  const { page, charts } = await writeReport(results, folder);
  t.equal(page, join(folder, "index.html"));
  const files = readdirSync(join(folder, "charts"));
  t.equal(files.length, 2 * charts);
  for (const file of files) {
    const content = readFileSync(join(folder, "charts", file));
    if (file.endsWith(".png")) t.equal(content.subarray(0, 8).toString("hex"), PNG_SIGNATURE, file);
    else t.match(content.toString(), /^<svg [\s\S]*<\/svg>$/, file);
  }
});

t.test("the page has every chart in it and asks for nothing from elsewhere", async (t) => {
  const html = readFileSync(join(folder, "index.html"), "utf8");
  t.equal(html.match(/<svg /g)?.length, readdirSync(join(folder, "charts")).length / 2);
  t.notMatch(html, /<(script|link|img|iframe|object|embed)\b|@import|url\(/i);
  const addresses = [...html.matchAll(/https?:\/\/[^"' )]+/g)].map(([address]) => address);
  t.same(new Set(addresses), new Set(["http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"]));
});

t.test("a picture that travels alone says where its figures come from", async (t) => {
  const svg = readFileSync(join(folder, "charts/plain-nic-tcp-1.svg"), "utf8");
  const text = [...svg.matchAll(/>([^<>]+)<\/t/g)].map(([, words]) => words).join(" ");
  t.match(text, "Underlay plain-nic. AMD EPYC, 2 cores, Linux 6.18.44, commit 4572ba079797, 2026-11-21");
  t.notMatch(svg, "var(--");
});

t.test("machine, kernel, commit, offloads and targets stand in the page", async (t) => {
  const page = reportPage(syntheticResults({ rounds: 7 }), () => []);
  for (const words of ["AMD EPYC, 2 cores, 24 GB", "Linux 6.18.44", "4572ba079797", "7 rounds of 3 s", "iperf3 3.12"]) {
    t.match(page, words);
  }
  t.match(page, "tx-udp-segmentation off");
  t.match(page, /targets: \d+ pass, \d+ short, 0 not measured/);
  t.notMatch(page, 'class="alarm"');
});

t.test("refusals, a quick look, few rounds and local changes are loud", async (t) => {
  const refusals = [{ profile: "offload", scenario: "tcp-1", mode: "udp", round: 3, reason: "another road: eth0" }];
  const results = syntheticResults({ rounds: 3, refusals });
  const page = reportPage(
    {
      ...results,
      settings: { ...results.settings, isQuick: true },
      machine: { ...results.machine, hasLocalChanges: true },
    },
    () => [],
  );
  t.match(page, "1 figure refused");
  t.match(page, "udp, offload: another road: eth0 (tcp-1 round 3)");
  t.match(page, "This was a quick look");
  t.match(page, "3 rounds: ratios need 7 to be judged.");
  t.match(page, "4572ba079797 with local changes");
  t.equal(page.match(/class="alarm"/g)?.length, 4);
});

t.test("a mode that is refused everywhere takes one line, which says where", async (t) => {
  const results = syntheticResults({ rounds: 2 });
  const refusals = ["tcp-1", "tcp-4", "udp-rr"].map((scenario) => ({
    profile: "offload",
    scenario,
    mode: "udp",
    round: null,
    reason: "no TUN",
  }));
  const page = reportPage({ ...results, refusals }, () => []);
  t.match(page, "3 figures refused");
  t.match(page, "<li>udp, offload: no TUN (tcp-1, tcp-4, udp-rr)</li>");
});

t.test("text of a results file stays text", async (t) => {
  const evil = `<script>alert("1")</script>`;
  const results = syntheticResults({ rounds: 1, modes: ["vxlan", evil], profiles: [evil], scenarios: ["tcp-1"] });
  const hostile = {
    ...results,
    machine: { ...results.machine, cpu: evil, commit: evil, tools: { [evil]: evil } },
    scenarios: results.scenarios.map((scenario) => ({ ...scenario, title: evil })),
    refusals: [{ profile: evil, scenario: evil, mode: evil, round: null, reason: evil }],
  };
  const target = join(folder, "hostile");
  await writeReport(hostile, target);
  const html = readFileSync(join(target, "index.html"), "utf8");
  t.notMatch(html, "<script");
  t.match(html, "&lt;script&gt;");
});

t.test("a folder that cannot be written is named, with what to do", async (t) => {
  const file = join(folder, "file");
  writeFileSync(file, "");
  await t.rejects(writeReport(syntheticResults({ rounds: 1, scenarios: ["tcp-1"] }), join(file, "report")), {
    code: "FILE_UNWRITABLE",
    message: /file\/report\/charts cannot be written: .*; name another folder with --output$/,
  });
});

t.test("the command writes beside the results, or where its own --output says", async (t) => {
  const file = join(folder, "run.json");
  writeFileSync(file, JSON.stringify(syntheticResults({ rounds: 1, profiles: ["offload"], scenarios: ["restart"] })));
  const elsewhere = join(folder, "elsewhere");
  for (const [target, options] of [
    [join(folder, "run-report"), []],
    [elsewhere, ["--output", elsewhere]],
  ] as const) {
    const command = [join(dist, "cli/main.js"), "bench", "report", file, ...options];
    const said = execFileSync(process.execPath, command, { encoding: "utf8" });
    t.equal(said, `${target}/index.html, and 1 chart beside it as SVG and PNG\n`);
    t.match(readdirSync(target), ["charts", "index.html"]);
  }
});

t.test("without the drawing packages one sentence says what to install", async (t) => {
  const alone = join(folder, "alone");
  cpSync(dist, join(alone, "dist"), { recursive: true });
  writeFileSync(join(alone, "package.json"), '{"type": "module"}');
  const script = `import("${alone}/dist/bench/report.js")
    .then(({ writeReport }) => writeReport({}, "x"))
    .catch((error) => console.log(error.code, error.message))`;
  const said = execFileSync(process.execPath, ["-e", script], { encoding: "utf8", cwd: alone });
  t.match(said, /^TOOL_MISSING .*npm install vega@6 vega-lite@6 @resvg\/resvg-js@2 where hopsack is installed\n$/);
});
