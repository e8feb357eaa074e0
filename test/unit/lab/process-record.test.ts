// Which processes the lab may end.
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, symlinkSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import t from "tap";
import { endProcesses, isRunning, recordProcess } from "../../../src/lab/process-record.js";

t.test("a recorded process is running until it has ended", async (t) => {
  const child = await start(t, "exec sleep 600");
  const record = recordOf(child);
  t.equal(isRunning(record), true);
  t.same(await endProcesses([record]), []);
  t.equal(isRunning(record), false);
});

t.test("a pid that now belongs to another process is left alone", async (t) => {
  const child = await start(t, "exec sleep 600");
  const stale = { pid: recordOf(child).pid, startTime: "1" };
  t.equal(isRunning(stale), false);
  await endProcesses([stale]);
  t.equal(child.exitCode ?? child.signalCode, null, "still there");
});

t.test("a process whose name holds blanks and brackets is read right", async (t) => {
  const program = `${t.testdir({})}/x) S 1 (y`; // the kernel names a process after its file
  symlinkSync("/bin/sleep", program);
  const child = await start(t, `exec "${program}" 600`);
  await until(() => readFileSync(`/proc/${child.pid}/comm`, "utf8") === "x) S 1 (y\n");
  t.match(recordOf(child).startTime, /^[0-9]{2,}$/);
});

t.test("a pid that nobody has gives no record", async (t) => {
  t.equal(recordProcess(2 ** 22 + 1), null); // above the largest possible pid
});

async function start(t: { teardown(work: () => void): void }, script: string): Promise<ChildProcess> {
  const child = spawn("bash", ["-c", script], { stdio: "ignore" });
  t.teardown(() => child.kill("SIGKILL"));
  await new Promise((resolve) => child.once("spawn", resolve));
  return child;
}

async function until(isSo: () => boolean): Promise<void> {
  for (let turn = 0; turn < 500 && !isSo(); turn++) await delay(10);
  if (!isSo()) throw new Error("did not come about within 5 s");
}

function recordOf(child: ChildProcess): { pid: number; startTime: string } {
  const record = recordProcess(child.pid ?? 0);
  if (record === null) throw new Error("the child is gone");
  return record;
}
