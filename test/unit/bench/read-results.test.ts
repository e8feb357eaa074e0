// A results file is taken whole or refused in one sentence.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import t from "tap";
import { parseResults, readResults } from "../../../src/bench/read-results.js";
import { HopsackError } from "../../../src/errors.js";
import { syntheticResults } from "../../support/bench-results.js";

const small = syntheticResults({ rounds: 1, profiles: ["offload"], scenarios: ["tcp-1", "tcp-rr"] });

interface Draft {
  readonly machine: object;
  readonly samples: { readonly metrics: object }[];
}

/** What is said of a copy that `change` has spoilt. */
function refusal(change: (draft: Draft) => void): string {
  const draft = JSON.parse(JSON.stringify(small)) as Draft;
  change(draft);
  return refusalOf(JSON.stringify(draft));
}

function refusalOf(content: string): string {
  try {
    parseResults(content, "r.json");
  } catch (error) {
    if (error instanceof HopsackError && error.code === "BAD_RESULTS") return error.message;
    throw error;
  }
  return "accepted";
}

/** A change that sets a key of the first sample, or of the part of it that `part` picks. */
function inFirstSample(change: object, part = (sample: Draft["samples"][number]): object => sample) {
  return ({ samples: [first] }: Draft): void => {
    if (first !== undefined) Object.assign(part(first), change);
  };
}

t.test("what the runner wrote comes back as it was", async (t) => {
  t.same(parseResults(JSON.stringify(small), "r.json"), small);
});

t.test("a key that this version does not know is no fault", async (t) => {
  t.same(parseResults(JSON.stringify({ ...small, weather: "rain" }), "r.json"), small);
});

t.test("a bad file is one sentence: file, place, value, cure", async (t) => {
  const cure = "; give a file that hopsack bench wrote";
  t.equal(
    refusal((draft) => void Object.assign(draft, { schema: "hopsack-bench/9" })),
    `r.json is no results file: schema is "hopsack-bench/9", not "hopsack-bench/1"${cure}`,
  );
  t.equal(
    refusal(inFirstSample({ round: "one" })),
    `r.json is no results file: samples[0].round is "one", not a whole number from 1${cure}`,
  );
  t.equal(
    refusal(({ machine }) => void Object.assign(machine, { kernel: undefined })),
    `r.json is no results file: machine.kernel is missing${cure}`,
  );
  t.match(refusalOf("[]"), "the whole is [], not an object");
  t.match(
    refusal((draft) => void Object.assign(draft, { samples: "x".repeat(200) })),
    /samples is "x{56}…, not a list/,
  );
});

t.test("a figure that is none, below zero or endless is refused", async (t) => {
  for (const value of [null, "12", -1, [1]]) {
    const sentence = refusal(inFirstSample({ bitsPerSecond: value }, (sample) => sample.metrics));
    t.match(sentence, "samples[0].metrics.bitsPerSecond is", JSON.stringify(value));
  }
  t.throws(() => parseResults(JSON.stringify(small).replace(/"bytes":\d+/, '"bytes":1e999'), "r.json"), {
    code: "BAD_RESULTS",
  });
});

t.test("samples must speak of modes, scenarios and profiles that the file describes", async (t) => {
  for (const kind of ["mode", "scenario", "profile"]) {
    const sentence = refusal(inFirstSample({ [kind]: "ghost" }));
    t.match(sentence, `samples[0].${kind} is "ghost", not one of the file's ${kind}s`);
  }
});

t.test("one sample given twice is refused: it would count twice", async (t) => {
  const sentence = refusal(({ samples }) => void samples.push(...samples.slice(0, 1)));
  t.match(sentence, /repeats an earlier sample: offload, tcp-1, veth, round 1/);
});

t.test("whatever the text, it is taken or refused, never anything else", async () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (content) => {
      try {
        parseResults(content, "r.json");
      } catch (error) {
        return error instanceof HopsackError && error.code === "BAD_RESULTS";
      }
      return false;
    }),
  );
});

t.test("a file that is missing or cut off is named", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "hopsack-results-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "cut.json");
  await t.rejects(readResults(path), { code: "BAD_RESULTS", message: /cut\.json cannot be read: / });
  writeFileSync(path, JSON.stringify(small).slice(0, 300));
  await t.rejects(readResults(path), { code: "BAD_RESULTS", message: /cut\.json is no results file: it is no JSON/ });
});
