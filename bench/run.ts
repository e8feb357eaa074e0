// Throughput of one TCP stream over each road between the same two namespaces, in interleaved rounds. Writes a results
// file and prints its table. Run by scripts/bench on a quiet machine; see README.md here for what the figures mean.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { parseArgs } from "node:util";
import { tableLines } from "../src/cli/output.js";
import { fetchStatus } from "../src/daemon/status-client.js";
import { HopsackError, messageOf } from "../src/errors.js";
import { run } from "../src/lab/command.js";
import { type Lab, labDown, labUp } from "../src/lab/lab.js";
import { type EndKind, PATH_NAMES, type PathName, PathRunner } from "../src/lab/paths.js";
import { median, type StreamResult } from "../src/lab/throughput.js";

const RESULTS_FOLDER = "bench/results";
const MAX_ROUNDS = 100;
const MAX_SECONDS = 60;

interface Settings {
  readonly rounds: number;
  readonly seconds: number;
  readonly ends: EndKind;
}

interface Sample extends StreamResult {
  readonly path: PathName;
  readonly round: number;
}

interface Summary {
  readonly path: PathName;
  readonly medianBitsPerSecond: number;
  readonly lowestBitsPerSecond: number;
  readonly highestBitsPerSecond: number;
  /** Median over the rounds of this path's rate by kernel VXLAN's rate in the same round. */
  readonly medianRatioToVxlan: number;
  /** The same, by the naive loop's. */
  readonly medianRatioToNaive: number;
}

const interrupt = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.once(name, () => interrupt.abort(new Error(`interrupted by ${name}`)));
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench: ${messageOf(error)}\n`);
  process.exitCode = 1;
}

async function main(): Promise<void> {
  const settings = readSettings();
  const name = `bench-${process.pid}`;
  const spec = { name, hosts: 2, podsPerHost: 1, backend: "udp", hasIpv6: false, daemonArgs: [] };
  const lab = await labUp(spec, { signal: interrupt.signal, progress: (step) => say(`${step} …`) });
  try {
    const machine = await describeMachine(lab);
    const samples = await measure(lab, settings);
    const summaries = PATH_NAMES.map((path) => summarise(path, samples));
    const path = writeResults(settings.ends, { ...machine, settings, summaries, samples });
    process.stdout.write(`${[...summaryTable(summaries), "", path].join("\n")}\n`);
  } finally {
    await labDown(name);
  }
}

function readSettings(): Settings {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "9" },
      seconds: { type: "string", default: "3" },
      ends: { type: "string", default: "hosts" },
    },
  });
  const rounds = wholeNumber("--rounds", values.rounds, MAX_ROUNDS);
  const seconds = wholeNumber("--seconds", values.seconds, MAX_SECONDS);
  const { ends } = values;
  if (ends !== "hosts" && ends !== "pods") throw new HopsackError("BAD_OPTION", `--ends ${ends}: give hosts or pods`);
  return { rounds, seconds, ends };
}

function wholeNumber(option: string, text: string, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new HopsackError("BAD_OPTION", `${option} ${text} is not accepted; give a whole number from 1 to ${most}`);
}

/** Every round measures every path once; odd rounds backwards, so that drift and neighbours' noise favour none. */
async function measure(lab: Lab, { rounds, seconds, ends }: Settings): Promise<Sample[]> {
  const paths = new PathRunner(lab, ends);
  const samples: Sample[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const path of round % 2 === 1 ? PATH_NAMES : PATH_NAMES.toReversed()) {
      const result = await paths.measure(path, seconds, interrupt.signal);
      samples.push({ path, round, ...result });
      say(`round ${round} of ${rounds}: ${path} ${gigabits(result.bitsPerSecond)} Gbit/s`);
    }
  }
  return samples;
}

function summarise(path: PathName, samples: readonly Sample[]): Summary {
  const mine = samples.filter((sample) => sample.path === path);
  const rates = mine.map((sample) => sample.bitsPerSecond);
  const ratioTo = (other: PathName) =>
    median(
      mine.map(({ round, bitsPerSecond }) => {
        const beside = samples.find((sample) => sample.path === other && sample.round === round);
        return bitsPerSecond / (beside?.bitsPerSecond ?? Number.NaN);
      }),
    );
  return {
    path,
    medianBitsPerSecond: median(rates),
    lowestBitsPerSecond: Math.min(...rates),
    highestBitsPerSecond: Math.max(...rates),
    medianRatioToVxlan: ratioTo("vxlan"),
    medianRatioToNaive: ratioTo("udp-naive"),
  };
}

function summaryTable(summaries: readonly Summary[]): string[] {
  const headings = ["Gbit/s", "lowest", "highest", "to kernel VXLAN", "to naive"];
  const columns = [{ title: "path" }, ...headings.map((title) => ({ title, isRightAligned: true }))];
  const rows = summaries.map((summary) => [
    summary.path,
    gigabits(summary.medianBitsPerSecond),
    gigabits(summary.lowestBitsPerSecond),
    gigabits(summary.highestBitsPerSecond),
    summary.medianRatioToVxlan.toFixed(2),
    summary.medianRatioToNaive.toFixed(1),
  ]);
  return tableLines(columns, rows);
}

/** What a reader needs to judge the figures: machine, kernel, commit, offloads. */
async function describeMachine(lab: Lab): Promise<Record<string, unknown>> {
  const [host] = lab.report.hosts;
  const status: { readonly offloads?: unknown } = JSON.parse(await fetchStatus(host?.statusSocket ?? ""));
  return {
    date: new Date().toISOString(),
    commit: git("rev-parse", "--short=12", "HEAD"),
    hasLocalChanges: git("status", "--porcelain") !== "",
    kernel: release(),
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    node: process.version,
    loadBefore: readFileSync("/proc/loadavg", "utf8").trim(),
    offloads: status.offloads ?? null,
    underlayOffloads: await linkOffloads(host?.netns ?? ""),
  };
}

/** The features of a host's eth0 that decide how large the packets are that cross it, as ethtool names them. */
async function linkOffloads(netns: string): Promise<string[]> {
  const text = await run("ip", ["netns", "exec", netns, "ethtool", "-k", "eth0"]);
  const wanted = /^\s*(tx-checksumming|tcp-segmentation-offload|generic-\S+-offload|tx-udp\S*segmentation):.*$/gm;
  return Array.from(text.matchAll(wanted), ([line]) => line.trim());
}

function writeResults(ends: EndKind, results: Readonly<Record<string, unknown>>): string {
  mkdirSync(RESULTS_FOLDER, { recursive: true });
  const path = `${RESULTS_FOLDER}/${String(results.date).slice(0, 10)}-${String(results.commit)}-${ends}.json`;
  writeFileSync(path, `${JSON.stringify(results, null, 2)}\n`);
  return path;
}

function git(...args: string[]): string {
  try {
    return execFileSync("git", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return "unknown"; // not a clone
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function gigabits(bitsPerSecond: number): string {
  return (bitsPerSecond / 1e9).toFixed(2);
}
