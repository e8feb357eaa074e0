import t from "tap";
import { loggerTo } from "../../../src/daemon/log.js";
import { isOutside, isRetryable, Trouble } from "../../../src/daemon/trouble.js";
import { HopsackError } from "../../../src/errors.js";
import { readyState } from "../../support/daemon-fixtures.js";

function trial() {
  const lines: string[] = [];
  const slept: number[] = [];
  const state = readyState();
  const log = loggerTo({ write: (line) => lines.push(JSON.parse(line).event) }, "info");
  const sleep = async (milliseconds: number) => void slept.push(milliseconds);
  const trouble = new Trouble("store", state, log, { now: () => 0, monotonic: () => 0, random: () => 0, sleep });
  return { lines, slept, state, trouble };
}

const gone = new HopsackError("STORE_UNAVAILABLE", "gone", { retryable: true });
const refused = new HopsackError("STORE_UNAVAILABLE", "refused", { retryable: true });
const never = new AbortController().signal;

/** Throws the errors one after the other, then answers. */
function work(...errors: readonly Error[]): () => string {
  const rest = [...errors];
  return () => {
    const error = rest.shift();
    if (error !== undefined) throw error;
    return "done";
  };
}

t.test("each new reason is one line, and success one more", async (t) => {
  const { lines, slept, state, trouble } = trial();
  t.equal(await trouble.persist(never, isRetryable, work(gone, gone, gone, refused, refused)), "done");
  t.same(lines, ["trouble", "trouble", "trouble_over"]);
  t.same(slept, [100, 200, 400, 800, 1600]);
  t.equal(state.warnings.size, 0);
});

t.test("work that succeeds at once says nothing", async (t) => {
  const { lines, trouble } = trial();
  await trouble.persist(never, isRetryable, work());
  t.same(lines, []);
});

t.test("the reason is a warning of the status as long as it lasts", async (t) => {
  const { state, trouble } = trial();
  await trouble.pause(gone, never);
  t.equal(state.warnings.get("store"), "gone");
  trouble.over();
  t.equal(state.warnings.get("store"), undefined);
});

t.test("what is not worth retrying is thrown on", async (t) => {
  const bug = new TypeError("a bug");
  await t.rejects(trial().trouble.persist(never, isOutside, work(bug)), bug);
  await t.rejects(trial().trouble.persist(never, isRetryable, work(new HopsackError("NO_TUN", "no"))), {
    code: "NO_TUN",
  });
});

t.test("an aborted signal ends the tries", async (t) => {
  const ending = AbortSignal.abort(new Error("enough"));
  await t.rejects(trial().trouble.persist(ending, isRetryable, work(gone)), { message: "enough" });
});

t.test("system errors and our own are the outside's, everything else is a bug", async (t) => {
  t.equal(isOutside(gone), true);
  t.equal(isOutside(Object.assign(new Error("ENOSPC: full"), { code: "ENOSPC" })), true);
  t.equal(isOutside(new TypeError("oops")), false);
  t.equal(isOutside("text"), false);
});
