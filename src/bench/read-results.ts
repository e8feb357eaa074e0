// Reads a results file and checks all of it, so that nobody behind this border meets a figure that is none. A file that
// cannot be used is one sentence: which file, which place in it, what stands there.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { HopsackError, messageOf } from "../errors.js";
import { type BenchResults, RESULTS_SCHEMA, type Sample } from "./results.js";

/** Returns the value as what it must be, or throws BAD_RESULTS naming `place`. */
type Check<T> = (value: unknown, place: string) => T;

const text = simple((value): value is string => typeof value === "string", "text");
const flag = simple((value): value is boolean => typeof value === "boolean", "true or false");
const amount = simple((value): value is number => Number.isFinite(value) && Number(value) >= 0, "a number from 0");
const count = simple(
  (value): value is number => Number.isInteger(value) && Number(value) >= 1,
  "a whole number from 1",
);

const latency: Check<readonly [number, number]> = (value, place) => {
  const [bound, answers, ...rest] = list(amount)(value, place);
  if (bound === undefined || answers === undefined || rest.length > 0) throw wrong(place, value, "a pair of numbers");
  return [bound, answers];
};

const checkResults: Check<BenchResults> = object({
  schema: simple((value): value is typeof RESULTS_SCHEMA => value === RESULTS_SCHEMA, `"${RESULTS_SCHEMA}"`),
  startedAt: text,
  finishedAt: text,
  machine: object({
    kernel: text,
    cpu: text,
    cores: count,
    memoryBytes: amount,
    node: text,
    commit: text,
    hasLocalChanges: flag,
    loadBefore: text,
    tools: record(text),
  }),
  settings: object({ rounds: count, seconds: amount, isQuick: flag }),
  profiles: list(object({ name: text, title: text, mtuBytes: count, offloads: record(text) })),
  modes: list(object({ name: text, title: text, engine: text })),
  scenarios: list(
    object({
      name: text,
      title: text,
      metrics: list(
        object({
          name: text,
          title: text,
          unit: text,
          better: simple(
            (value): value is "higher" | "lower" => value === "higher" || value === "lower",
            '"higher" or "lower"',
          ),
        }),
      ),
      point: orNull(object({ title: text, unit: text })),
    }),
  ),
  samples: list(
    object({
      profile: text,
      scenario: text,
      mode: text,
      round: count,
      point: orNull(amount),
      metrics: record(amount),
      latencies: orNull(list(latency)),
      bytes: amount,
      cpuSeconds: record(amount),
      coalescing: orNull(object({ sent: amount, received: amount })),
      drops: record(amount),
      road: object({ device: text, packets: amount }),
    }),
  ),
  refusals: list(object({ profile: text, scenario: text, mode: text, round: orNull(count), reason: text })),
});

/** @throws BAD_RESULTS when the file cannot be read or is no results file */
export async function readResults(path: string): Promise<BenchResults> {
  let content: string;
  try {
    content = await readFile(path, "utf8");
  } catch (error) {
    throw new HopsackError("BAD_RESULTS", `${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  return parseResults(content, path);
}

export interface Run {
  readonly path: string;
  readonly results: BenchResults;
}

/**
 * The runs whose results are in `folder`, the newest first; files there that are no results are passed over.
 * @throws BAD_RESULTS when there are none
 */
export async function readRuns(folder: string): Promise<readonly Run[]> {
  const names = await readdir(folder).catch(() => []);
  const paths = names.filter((name) => name.endsWith(".json")).map((name) => join(folder, name));
  const read = await Promise.allSettled(paths.map(async (path) => ({ path, results: await readResults(path) })));
  const usable = read.filter((one) => one.status === "fulfilled").map((one) => one.value);
  if (usable.length > 0) return usable.sort((a, b) => b.results.startedAt.localeCompare(a.results.startedAt));
  throw new HopsackError("BAD_RESULTS", `${folder} holds no results; run hopsack bench first, or name a results file`);
}

/** @param source names the text in errors. @throws BAD_RESULTS */
export function parseResults(content: string, source: string): BenchResults {
  try {
    const results = checkResults(JSON.parse(content), "");
    checkReferences(results);
    return results;
  } catch (error) {
    const what = error instanceof Misfit ? error.message : `it is no JSON (${messageOf(error)})`;
    const cure = "give a file that hopsack bench wrote";
    throw new HopsackError("BAD_RESULTS", `${source} is no results file: ${what}; ${cure}`, { cause: error });
  }
}

/** What a check throws: where the file is not as it must be. Becomes a HopsackError above. */
class Misfit extends Error {}

function wrong(place: string, value: unknown, expected: string): Misfit {
  if (value === undefined) return new Misfit(`${place} is missing`);
  const shown = JSON.stringify(value);
  const short = shown.length > 60 ? `${shown.slice(0, 57)}…` : shown;
  return new Misfit(`${place || "the whole"} is ${short}, not ${expected}`);
}

function simple<T>(isFit: (value: unknown) => value is T, expected: string): Check<T> {
  return (value, place) => {
    if (!isFit(value)) throw wrong(place, value, expected);
    return value;
  };
}

function orNull<T>(check: Check<T>): Check<T | null> {
  return (value, place) => (value === null ? null : check(value, place));
}

function list<T>(check: Check<T>): Check<readonly T[]> {
  return (value, place) => {
    if (!Array.isArray(value)) throw wrong(place, value, "a list");
    return value.map((item, index) => check(item, `${place}[${index}]`));
  };
}

function record<T>(check: Check<T>): Check<Readonly<Record<string, T>>> {
  return (value, place) => {
    const entries = Object.entries(anObject(value, place));
    return Object.fromEntries(entries.map(([key, item]) => [key, check(item, `${place}.${key}`)]));
  };
}

/** Keys that the shape does not name are left out: a newer runner may know more. */
function object<T extends object>(shape: { readonly [K in keyof T]: Check<T[K]> }): Check<T> {
  return (value, place) => {
    const given = anObject(value, place);
    const read = Object.entries<Check<unknown>>(shape).map(([key, check]) => [
      key,
      check(given[key], place === "" ? key : `${place}.${key}`),
    ]);
    return Object.fromEntries(read) as T;
  };
}

function anObject(value: unknown, place: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  throw wrong(place, value, "an object");
}

/** Samples speak of things that the file describes, and say each thing once. */
function checkReferences({ profiles, scenarios, modes, samples }: BenchResults): void {
  const seen = new Set<string>();
  for (const [index, sample] of samples.entries()) {
    const place = `samples[${index}]`;
    for (const [kind, known] of [
      ["profile", profiles],
      ["scenario", scenarios],
      ["mode", modes],
    ] as const) {
      const isKnown = known.some(({ name }) => name === sample[kind]);
      if (!isKnown) throw wrong(`${place}.${kind}`, sample[kind], `one of the file's ${kind}s`);
    }
    const identity = identityOf(sample);
    if (seen.has(identity)) throw new Misfit(`${place} repeats an earlier sample: ${identity}`);
    seen.add(identity);
  }
}

function identityOf({ profile, scenario, mode, round, point }: Sample): string {
  return `${profile}, ${scenario}, ${mode}, round ${round}${point === null ? "" : `, point ${point}`}`;
}
