// What a stranger may send, for the property tests of test/fuzz: samples of the real thing, bent a little or beyond
// recognition, and nonsense. And what a parser may do with it: give a value, or refuse it in one sentence with a code.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { CniError } from "../../src/cni/cni-error.js";
import { HopsackError } from "../../src/errors.js";

const CORPUS = join(dirname(fileURLToPath(import.meta.url)), "../../native/fuzz/corpus");
/** Nothing here is longer than a few thousand characters. */
const PATIENCE_MS = 1000;
const RUNS = 1000;
/** What is new is found by longer runs, each from a seed of its own, and not by whoever happens to run the tests. */
const SEED = 1;
/** Names that an object has without being given them. */
const TREACHEROUS = ["__proto__", "constructor", "toString", ""];

/** Any JSON, and the values that numbers, names and addresses go wrong with. */
const anyValue = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom(
    null,
    -1,
    0.5,
    1e21,
    2 ** 53,
    "",
    "0",
    "10.0.0.0/0",
    "::/0",
    "300.1.1.1",
    "\u001b[31m",
    "\u009b31m",
    "a\nb",
    "\0",
  ),
  fc.string({ unit: "binary", maxLength: 20 }),
);

/** `sample` with some of its parts replaced, taken out, or under another name. */
function bentValue(sample: unknown): fc.Arbitrary<unknown> {
  const kept = { arbitrary: fc.constant(sample), weight: 4 };
  const replaced = { arbitrary: anyValue, weight: 1 };
  if (Array.isArray(sample)) {
    const items = fc.tuple(...sample.map(bentValue)).chain((items) => fc.shuffledSubarray(items.concat(items)));
    return fc.oneof(kept, replaced, { arbitrary: items, weight: 4 });
  }
  if (typeof sample !== "object" || sample === null) return fc.oneof(kept, replaced);
  const keys = Object.keys(sample);
  const entry = (key: string) =>
    fc.tuple(
      fc.oneof({ arbitrary: fc.constant(key), weight: 9 }, fc.constantFrom(...TREACHEROUS, key.toLowerCase())),
      bentValue(Reflect.get(sample, key)),
    );
  const entries = fc
    .tuple(...keys.map(entry))
    .chain((all) => fc.subarray(all, { minLength: Math.max(all.length - 2, 0) }));
  const object = entries.map((all) => Object.fromEntries(all));
  return fc.oneof(kept, replaced, { arbitrary: object, weight: 8 });
}

/** JSON text like the samples. */
export function jsonLike(...samples: readonly unknown[]): fc.Arbitrary<string> {
  const json = fc.oneof(...samples.map(bentValue)).map((value) => JSON.stringify(value) ?? "");
  return fc.oneof({ arbitrary: json, weight: 4 }, textLike(...samples.map((sample) => JSON.stringify(sample))));
}

/** JSON objects like the samples, parsed. */
export function objectLike(...samples: readonly object[]): fc.Arbitrary<Record<string, unknown>> {
  return fc
    .oneof(...samples.map(bentValue))
    .filter(
      (value): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value),
    );
}

/** Text like the samples: pieces of them cut out, doubled, replaced; and any text. */
export function textLike(...samples: readonly string[]): fc.Arbitrary<string> {
  const piece = fc.oneof(fc.constant(""), fc.string({ unit: "binary", maxLength: 5 }), fc.constantFrom(...samples));
  const cut = fc.tuple(fc.constantFrom(...samples), fc.nat(), fc.nat(), piece).map(([sample, start, length, piece]) => {
    const at = start % (sample.length + 1);
    return sample.slice(0, at) + piece + sample.slice(at + (length % 8));
  });
  return fc.oneof(fc.constantFrom(...samples), cut, cut, fc.string({ unit: "binary", maxLength: 60 }));
}

/** Bytes like the samples: cut off, with some of them changed; and any bytes. */
export function bytesLike(...samples: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 });
  const bent = fc.tuple(fc.constantFrom(...samples), changes, fc.nat(), fc.boolean());
  const damaged = bent.map(([sample, changes, length, isWhole]) => {
    const bytes = sample.slice(0, isWhole ? sample.length : length % (sample.length + 1));
    for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value;
    return bytes;
  });
  return fc.oneof({ arbitrary: damaged, weight: 5 }, fc.uint8Array({ maxLength: 200 }));
}

/** Files of native/fuzz/corpus, without what stands before the packet. */
export function realPackets(folder: "reads" | "datagrams" | "questions", skipBytes: number): Uint8Array[] {
  const path = join(CORPUS, folder);
  return readdirSync(path).map((name) => Uint8Array.from(readFileSync(join(path, name)).subarray(skipBytes)));
}

/** Whether an error is one that a person can use. A policy file has a sentence for every mistake in it. */
function isRefusal(error: unknown, codes: readonly string[]): boolean {
  if (error instanceof CniError) return codes.includes("CNI") && isSentence(error.message);
  if (!(error instanceof HopsackError) || !codes.includes(error.code)) return false;
  return (error.code === "BAD_POLICY" ? error.message.split("\n") : [error.message]).every(isSentence);
}

/** One line, and nothing in it that a terminal obeys. */
export function isSentence(words: string): boolean {
  return words.length > 0 && !/(?!\t)\p{Cc}/u.test(words);
}

/**
 * `parse` gives a value that `check` accepts, or refuses with one of `codes` ("CNI" for a CniError), and takes no time.
 * A failure names the input, and the seed that finds it again.
 */
export function mustParseOrRefuse<Given, Value>(
  input: fc.Arbitrary<Given>,
  parse: (given: Given) => Value,
  codes: readonly string[],
  check: (value: Value, given: Given) => boolean = () => true,
): void {
  const property = fc.property(input, (given) => {
    const begun = process.cpuUsage();
    let value: Value;
    try {
      value = parse(given);
    } catch (error) {
      if (isRefusal(error, codes)) return isQuick(begun);
      throw error;
    }
    return check(value, given) && isQuick(begun);
  });
  const runs = process.env.HOPSACK_FUZZ_RUNS;
  fc.assert(property, runs === undefined ? { numRuns: RUNS, seed: SEED } : { numRuns: Number(runs) });
}

/** By processor time: who else wants the processor does not count. */
function isQuick(begun: NodeJS.CpuUsage): boolean {
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / 1000 < PATIENCE_MS;
}
