// Processor time out of /proc's texts.
import { execFileSync } from "node:child_process";
import t from "tap";
import { openAccounts, parseMachineStat, parseProcessStat } from "../../../src/bench/accounts.js";

t.test("a process's time is its own and that of its ended children, whatever its name", async (t) => {
  const text = "4711 (a) R 9 (x) S 1 4711 4711 0 -1 4194560 9 8 7 6 250 50 1200 300 20 0 11 0 555 1 2 3";
  t.same(parseProcessStat(text), { ticks: 300, endedChildren: 1500 });
});

t.test("the machine's time is what it did, neither idle nor waiting nor taken by its host", async (t) => {
  t.equal(parseMachineStat("cpu  1000 200 300 99999 88888 40 5 77777 6 7\ncpu0 1 2 3\n"), 1545);
});

t.test("an ended tool, a daemon and the kernel share the time, and a restarted daemon begins at zero", async (t) => {
  let pid = process.ppid;
  const close = openAccounts("sh", () => [{ name: "hopsackd h2", pid }]);
  execFileSync("sh", ["-c", "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done"]);
  pid = process.pid; // as if it had been started meanwhile
  const seconds = close();
  t.same(Object.keys(seconds), ["sh", "hopsackd h2", "kernel"]);
  t.ok((seconds.sh ?? 0) > 0, `${seconds.sh}`);
  const own = process.cpuUsage();
  t.ok(Math.abs((seconds["hopsackd h2"] ?? 0) - (own.user + own.system) / 1e6) < 0.5, "all of the new one's");
  t.ok((seconds.kernel ?? -1) >= 0);
});
