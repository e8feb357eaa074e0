// `npm run fuzz -- [--seconds N] [--seed N] [--target NAME]`: builds native/fuzz with clang and runs each target, from the real
// packets of native/fuzz/corpus and from what earlier runs found in build/fuzz. Prints executions, coverage and findings; a
// finding makes the exit status 1.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";

const BUILD = "build/fuzz";
/** What one input may take, and hold. */
const MAX_INPUT_SECONDS = 10;
const MAX_MEGABYTES = 2048;

/** Target → its folder of native/fuzz/corpus; lpm has no packets. */
const TARGETS = {
  segmenter: "reads",
  virtio: "reads",
  icmp: "reads",
  coalescer: "flows",
  decapsulation: "datagrams",
  inbound: "arrivals",
  punts: "questions",
  lpm: undefined,
};

const { seconds, seed, targets } = options();
build();
console.log(row("target", "executions", "edges", "features", "corpus", "result"));
const findings = (await inParallel(targets, fuzz)).filter((finding) => finding !== undefined);
for (const { target, words, file } of findings) {
  console.log(`\n${target}: ${words}\n  again: ${BUILD}/fuzz_${target} ${file}`);
}
process.exitCode = findings.length === 0 ? 0 : 1;

function options() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        seconds: { type: "string", default: "60" },
        seed: { type: "string" },
        target: { type: "string", multiple: true },
      },
    }));
  } catch (error) {
    usageError(error.message);
  }
  const targets = values.target ?? Object.keys(TARGETS);
  for (const target of targets) {
    if (!(target in TARGETS)) usageError(`no target is called ${target}; use ${Object.keys(TARGETS).join(", ")}`);
  }
  if (!/^[1-9][0-9]{0,5}$/.test(values.seconds)) {
    usageError(`--seconds ${values.seconds} is not a number of seconds from 1 to 999999`);
  }
  if (values.seed !== undefined && !/^[1-9][0-9]{0,8}$/.test(values.seed)) {
    usageError(`--seed ${values.seed} is not a number from 1 to 999999999`);
  }
  return { seconds: Number(values.seconds), seed: values.seed, targets };
}

function usageError(sentence) {
  console.error(`error: ${sentence}`);
  process.exit(2);
}

function build() {
  if (spawnSync("clang++", ["--version"]).status !== 0) {
    usageError("clang++ is missing, and libFuzzer is a part of it; install: apt-get install clang");
  }
  const sanitizers = "-DHOPSACK_SANITIZE=fuzzer-no-link,address,undefined";
  const quiet = { stdio: ["ignore", "ignore", "inherit"] };
  execFileSync(
    "cmake",
    ["-S", "native", "-B", BUILD, "-DHOPSACK_FUZZ=ON", "-DCMAKE_CXX_COMPILER=clang++", sanitizers],
    quiet,
  );
  execFileSync("cmake", ["--build", BUILD, "-j", String(availableParallelism())], quiet);
}

/** Each with as many at a time as there are processors. */
async function inParallel(items, work) {
  const queue = [...items];
  const results = [];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) results.push(await work(item));
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  return results;
}

/** Runs one target; what it found, or undefined. */
async function fuzz(target) {
  const corpus = `${BUILD}/corpus/${target}`;
  const artifacts = `${BUILD}/findings/${target}-`;
  mkdirSync(corpus, { recursive: true });
  mkdirSync(`${BUILD}/findings`, { recursive: true });
  const seeds = TARGETS[target] === undefined ? [] : [`native/fuzz/corpus/${TARGETS[target]}`];
  const limits = [`-max_total_time=${seconds}`, `-timeout=${MAX_INPUT_SECONDS}`, `-rss_limit_mb=${MAX_MEGABYTES}`];
  if (seed !== undefined) limits.push(`-seed=${seed}`);
  const args = [...limits, "-print_final_stats=1", `-artifact_prefix=${artifacts}`, corpus, ...seeds];
  const { status, output } = await run(`${BUILD}/fuzz_${target}`, args);
  const file = /Test unit written to (\S+)/.exec(output)?.[1];
  const words =
    /^.*(?:must hold: .*|ERROR: .*|runtime error: .*)$/m.exec(output)?.[0] ?? `it ended with status ${status}`;
  const executions = last(output, /stat::number_of_executed_units: ([0-9]+)/g);
  const [edges, features, kept] = [/\bcov: ([0-9]+)/g, /\bft: ([0-9]+)/g, /\bcorp: ([0-9]+)/g].map((what) =>
    last(output, what),
  );
  console.log(row(target, executions, edges, features, kept, status === 0 ? "nothing found" : "FINDING"));
  if (status === 0) return undefined;
  return { target, words, file: file ?? "(no input was kept)" };
}

function run(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
    let output = "";
    child.stderr.setEncoding("utf8").on("data", (text) => {
      output += text;
    });
    child.on("error", reject).on("close", (status, signal) => resolve({ status: status ?? signal, output }));
  });
}

function last(output, pattern) {
  return [...output.matchAll(pattern)].at(-1)?.[1] ?? "-";
}

function row(target, executions, edges, features, corpus, result) {
  const numbers = [executions.padStart(12), edges.padStart(8), features.padStart(10), corpus.padStart(8)];
  return `${target.padEnd(14)}${numbers.join("")}  ${result}`;
}
