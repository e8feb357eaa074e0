// `hopsack bench`: every mode beside the others, in labs of this machine or between two real ones. Only words and options live
// here; the work is done in bench/.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { type Choice, pick, unknownNames } from "../bench/itinerary.js";
import { MODES } from "../bench/modes.js";
import { PROFILES } from "../bench/profiles.js";
import type { BenchResults } from "../bench/results.js";
import { type BenchEvent, type OpenSite, runBenchmark } from "../bench/runner.js";
import { type ProbeSpec, SCENARIOS } from "../bench/scenarios.js";
import { LEAST_ROUNDS } from "../bench/targets.js";
import { lookAtWire, serve } from "../bench/wire.js";
import { HopsackError, messageOf } from "../errors.js";
import { requirePermission } from "../lab/permission.js";
import { parseIpv4 } from "../net/ipv4.js";
import { addBenchCompareCommand } from "./bench-compare.js";
import { addBenchReportCommand } from "./bench-report.js";
import { eventLine, resultLines } from "./bench-screens.js";
import { addBenchTargetsCommand } from "./bench-targets.js";
import { untilInterrupted } from "./interrupt.js";
import { paintFor } from "./output.js";

const RESULTS_FOLDER = "bench/results";
const MAX_ROUNDS = 100;
const MAX_SECONDS = 600;
/** As many rounds, and the profiles, that the targets ask for. */
const FULL = {
  rounds: LEAST_ROUNDS,
  seconds: 2,
  profiles: ["offload", "plain-nic"],
  scenarios: SCENARIOS.map(({ name }) => name),
};
/** Short enough to look at while working: under a minute and a half. */
const QUICK = { rounds: 2, seconds: 1, profiles: ["offload"], scenarios: ["tcp-1", "udp-rr", "udp-64"] };
/** These change the leases or the daemons, which nobody does to hosts in use. */
const LAB_PROBES: readonly ProbeSpec["kind"][] = ["many-peers", "restart"];
const DEFAULT_SOCKET = process.env.HOPSACKD_STATUS_SOCKET || "/run/hopsack/hopsackd.sock";

interface BenchOptions {
  readonly quick?: boolean;
  readonly modes?: readonly string[];
  readonly scenarios?: readonly string[];
  readonly profiles?: readonly string[];
  readonly rounds?: number;
  readonly seconds?: number;
  readonly output?: string;
  readonly server?: boolean;
  readonly client?: string;
  readonly socket: string;
}

export function addBenchCommand(program: Command): void {
  const bench = program
    .command("bench")
    .description("measure every mode beside the others in labs of this machine, or read what earlier runs left behind")
    .option("--quick", "two rounds of one second over three scenarios, under 90 s in all")
    .option(
      "--modes <names>",
      `of: ${namesOf(MODES)} (default: all but ${namesOf(MODES.filter(({ isOnRequest }) => isOnRequest))})`,
      names,
    )
    .option(
      "--scenarios <names>",
      `of: ${namesOf(SCENARIOS)} (default: all; with plain-nic and jumbo, bulk transfer only)`,
      names,
    )
    .option("--profiles <names>", `of: ${namesOf(PROFILES)} (default: ${FULL.profiles})`, names)
    .option("--rounds <count>", `in each of them every mode is measured once (default: ${FULL.rounds})`, wholeNumber)
    .option("--seconds <count>", `length of one measurement (default: ${FULL.seconds})`, wholeNumber)
    .option("--output <file>", `results, as JSON (default: ${RESULTS_FOLDER}/DATE-TIME-COMMIT.json)`)
    .option("--server", "on a real host: answer the other one's --client until Ctrl-C")
    .option("--client <host>", "measure to the real host of this address, where --server runs", ipv4)
    .option("--socket <path>", "with --client: status socket of this host's daemon", DEFAULT_SOCKET)
    .action((options: BenchOptions) => untilInterrupted((signal) => start(options, signal)));
  addBenchReportCommand(bench);
  addBenchCompareCommand(bench);
  addBenchTargetsCommand(bench);
}

async function start(options: BenchOptions, signal: AbortSignal): Promise<void> {
  const choice = choiceOf(options);
  const { server, client, profiles } = options;
  if (server === true && client !== undefined) {
    throw new HopsackError("BAD_OPTION", "--server and --client are for two different hosts; give one of them");
  }
  if (server === true) return serveUntil(signal);
  if (client !== undefined && profiles !== undefined) {
    throw new HopsackError("BAD_OPTION", `--profiles ${profiles} is for labs; with --client the cable is what it is`);
  }
  if (client !== undefined) return measureWire(client, options, choice, signal);
  requirePermission();
  await runAndShow(choice, options, signal);
}

function serveUntil(signal: AbortSignal): Promise<void> {
  return serve(signal, (addresses) => {
    const lines = addresses.map((address) => `  hopsack bench --client ${address}`);
    process.stdout.write(`${["serving; on the other host, with an address of the underlay:", ...lines].join("\n")}\n`);
  });
}

async function measureWire(host: string, options: BenchOptions, choice: Choice, signal: AbortSignal): Promise<void> {
  const { profile, modes, site, obstacle } = await lookAtWire(host, options.socket, signal);
  if (obstacle !== null) process.stderr.write(`only the underlay is measured: ${obstacle}\n`);
  const wanted = modes.filter(({ name }) => choice.modes.some((mode) => mode.name === name));
  const scenarios = choice.scenarios.filter(({ probe }) => !LAB_PROBES.includes(probe.kind));
  await runAndShow({ ...choice, profiles: [profile], modes: wanted, scenarios }, options, signal, async () => site);
}

async function runAndShow(
  choice: Choice,
  options: BenchOptions,
  signal: AbortSignal,
  openSite?: OpenSite,
): Promise<void> {
  const paint = paintFor(process.stderr, process.env);
  const show = (event: BenchEvent): boolean => process.stderr.write(`${eventLine(event, choice, paint)}\n`);
  const { results, isComplete } = await runBenchmark(choice, signal, show, openSite);
  if (results.samples.length === 0 && !isComplete) {
    process.stdout.write("nothing was measured, and nothing is written\n");
    return;
  }
  const tables = resultLines(results, paintFor(process.stdout, process.env));
  const path = write(results, options.output);
  const state = isComplete
    ? ""
    : `, not complete: ${results.samples.length} samples were taken before the interruption`;
  process.stdout.write(`${[...tables, `results: ${path}${state}`].join("\n")}\n`);
  const refused = results.refusals.filter(({ round }) => round !== null).length;
  if (refused === 0) return;
  const sentence = `${refused} of ${refused + results.samples.length} figures were refused; they are listed in ${path}`;
  throw new HopsackError("FIGURES_REFUSED", sentence);
}

function usualModes(): string[] {
  return MODES.filter(({ isOnRequest }) => isOnRequest !== true).map(({ name }) => name);
}

function choiceOf(options: BenchOptions): Choice {
  const isQuick = options.quick === true;
  const { rounds, seconds, scenarios, profiles } = isQuick ? QUICK : FULL;
  const wanted = chosen("--profiles", PROFILES, options.profiles ?? profiles);
  return {
    isQuick,
    modes: chosen("--modes", MODES, options.modes ?? usualModes()),
    scenarios: chosen("--scenarios", SCENARIOS, options.scenarios ?? scenarios),
    profiles: options.scenarios === undefined ? wanted : wanted.map((profile) => ({ ...profile, scenarios: null })),
    rounds: atMost("--rounds", options.rounds ?? rounds, MAX_ROUNDS),
    seconds: atMost("--seconds", options.seconds ?? seconds, MAX_SECONDS),
  };
}

function chosen<T extends { readonly name: string }>(
  option: string,
  all: readonly T[],
  wanted: readonly string[],
): T[] {
  const [unknown] = unknownNames(all, wanted);
  if (unknown === undefined) return pick(all, wanted);
  const sentence = `${option} ${JSON.stringify(unknown)} is not known; give some of ${namesOf(all)}`;
  throw new HopsackError("BAD_OPTION", sentence);
}

function atMost(option: string, value: number, most: number): number {
  if (value >= 1 && value <= most) return value;
  throw new HopsackError("BAD_OPTION", `${option} ${value} is not accepted; give a whole number from 1 to ${most}`);
}

/** Where it was written. @throws FILE_UNWRITABLE */
function write(results: BenchResults, output: string | undefined): string {
  const time = results.startedAt.slice(0, 16).replace("T", "-").replace(":", "");
  const path = output ?? `${RESULTS_FOLDER}/${time}-${results.machine.commit}.json`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${JSON.stringify(results)}\n`);
    return path;
  } catch (error) {
    const sentence = `${path} cannot be written: ${messageOf(error)}; name another file with --output`;
    throw new HopsackError("FILE_UNWRITABLE", sentence, { cause: error });
  }
}

function ipv4(text: string): string {
  if (parseIpv4(text) === undefined) throw new InvalidArgumentError("Give an IPv4 address.");
  return text;
}

function names(text: string): readonly string[] {
  return text.split(",").map((name) => name.trim());
}

function namesOf(all: readonly { readonly name: string }[]): string {
  return all.map(({ name }) => name).join(", ");
}

function wholeNumber(text: string): number {
  if (!/^[0-9]{1,6}$/.test(text)) throw new InvalidArgumentError("Give a whole number.");
  return Number(text);
}
