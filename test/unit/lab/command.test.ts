// Running outside programs, and doing several things at once.
import t from "tap";
import { attempt, awaitOutput, mapBounded, requireTools, run, startTool } from "../../../src/lab/command.js";

const never = new AbortController().signal;

t.test("output, input and exit status pass through", async (t) => {
  t.equal(await run("cat", [], { input: "hello" }), "hello");
  t.match(await attempt("sh", ["-c", "echo out; echo err >&2; exit 3"]), {
    status: 3,
    stdout: "out\n",
    stderr: "err\n",
  });
});

t.test("a failure is told in the program's own words", async (t) => {
  await t.rejects(run("sh", ["-c", "echo no such thing >&2; exit 1"]), {
    code: "TOOL_FAILED",
    message: /failed: no such thing$/,
  });
  await t.rejects(run("sh", ["-c", "exit 4"]), { message: /failed: exit status 4$/ });
});

t.test("a program that is not installed is named with its package", async (t) => {
  await t.rejects(run("hopsack-no-such-program", []), { code: "TOOL_MISSING", message: "hopsack-no-such-program" });
  t.throws(() => requireTools(["sh", "no-such-a", "no-such-b"]), {
    code: "TOOL_MISSING",
    message: "no-such-a, no-such-b are not installed; install: apt-get install no-such-a no-such-b",
  });
  t.doesNotThrow(() => requireTools(["sh"]));
});

t.test("a program that takes too long is ended", async (t) => {
  await t.rejects(run("sleep", ["600"], { timeoutMs: 50 }), { code: "TOOL_FAILED", message: /killed/ });
});

t.test("an abort ends the program and is thrown as it is", async (t) => {
  const controller = new AbortController();
  const running = run("sleep", ["600"], { signal: controller.signal });
  controller.abort(new Error("enough"));
  await t.rejects(running, { message: "enough" });
  await t.rejects(run("true", [], { signal: controller.signal }), { message: "enough" });
});

t.test("waiting for a word ends with it, with the program's end, or with the limit", async (t) => {
  const start = (script: string) => {
    const child = startTool("sh", ["-c", script], { stdio: ["ignore", "pipe", "pipe"] });
    t.teardown(() => child.kill("SIGKILL"));
    return child;
  };
  await awaitOutput(start("echo I am ready >&2; exec sleep 600"), "ready", 5000, never);
  await t.rejects(awaitOutput(start("echo no"), "ready", 5000, never), { code: "TOOL_FAILED", message: /ended: no$/ });
  await t.rejects(awaitOutput(start("exec sleep 600"), "ready", 50, never), { message: /within 50 ms/ });
});

t.test("results keep the items' order, and no more than the limit run at once", async (t) => {
  let running = 0;
  let most = 0;
  const results = await mapBounded([5, 1, 4, 2, 3], 2, never, async (item) => {
    most = Math.max(most, ++running);
    for (let turn = 0; turn < item; turn++) await new Promise(setImmediate);
    running--;
    return item * 10;
  });
  t.same(results, [50, 10, 40, 20, 30]);
  t.equal(most, 2);
  t.same(await mapBounded([], 2, never, async () => 1), []);
});

t.test("a failure aborts the others and is thrown when they have ended", async (t) => {
  const ended: number[] = [];
  const work = mapBounded([1, 2, 3, 4], 2, never, async (item, signal) => {
    if (item === 1) throw new Error("one failed");
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    ended.push(item);
  });
  await t.rejects(work, { message: "one failed" });
  t.same(ended, [2], "the second was ended, the others never began");
});
