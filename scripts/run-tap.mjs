// Runs tap, keeps its whole output in build/test.tap, shows one line per test file, everything about failures, the reasons
// of what was skipped, and closes with `N passed, M failed, K skipped`. Ends with tap's exit status. Called by scripts/test.
import { spawn } from "node:child_process";
import { createWriteStream, mkdirSync } from "node:fs";
import { createInterface } from "node:readline";

const LOG = "build/test.tap";
/** Lines of a failing file that say nothing about the failure. */
const NOISE = /^\s*(ok\b.*|1\.\.[0-9]+.*|# Subtest:.*)?$/;
mkdirSync("build", { recursive: true });
const log = createWriteStream(LOG);

const args = ["run", "--reporter=tap", ...process.argv.slice(2)];
const tap = spawn("node_modules/.bin/tap", args, { stdio: ["ignore", "pipe", "inherit"] });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => tap.kill(signal));

/** Lines of the test file that is being reported; shown only when it fails. */
let block = [];
let isInFailure = false;
/** Reason → how many. */
const skipped = new Map();
const totals = { pass: 0, fail: 0, skip: 0 };

for await (const line of createInterface({ input: tap.stdout })) {
  log.write(`${line}\n`);
  look(line);
}
// A stream ends a little before its process does.
const status = tap.exitCode ?? (await new Promise((resolve) => tap.on("close", (code) => resolve(code ?? 1))));
log.end();

if (status !== 0 && totals.fail === 0) totals.fail = 1; // a file that died, or no test at all
if (skipped.size > 0) console.log("\nskipped:");
for (const [reason, count] of skipped) console.log(`  ${count} × ${reason}`);
console.log(`\nall of it: ${LOG}`);
const skips = totals.skip > 0 ? `, ${totals.skip} skipped` : "";
console.log(`${totals.pass} passed, ${totals.fail} failed${skips}`);
process.exitCode = status;

function look(line) {
  const skip = /^\s*ok\b.* # SKIP ?(.*)$/i.exec(line);
  if (skip !== null) skipped.set(skip[1] || "no reason given", (skipped.get(skip[1] || "no reason given") ?? 0) + 1);
  const summary = /^# \{(.*)\}$/.exec(line);
  if (summary !== null) {
    for (const [, name, count] of summary[1].matchAll(/(pass|fail|skip): ([0-9]+)/g)) totals[name] = Number(count);
  }
  const point = /^(not ok|ok) [0-9]+ - (.*?)(?: # time=([0-9.]+)ms)?(?: \{)?$/.exec(line);
  if (point === null) {
    if (isInFailure)
      console.log(line); // the diagnosis follows its test point
    else block.push(line);
    return;
  }
  const [, verdict, name, milliseconds] = point;
  isInFailure = verdict === "not ok";
  if (isInFailure) console.log(block.filter((text) => !NOISE.test(text)).join("\n"));
  console.log(
    `${verdict === "ok" ? "ok    " : "FAILED"}  ${name}${milliseconds === undefined ? "" : `  ${seconds(milliseconds)}`}`,
  );
  block = [];
}

function seconds(milliseconds) {
  return `${(Number(milliseconds) / 1000).toFixed(1)} s`;
}
