import t from "tap";
import { loggerTo } from "../../../src/daemon/log.js";
import { LogLimit } from "../../../src/daemon/log-limit.js";

/** A logger with a limit whose ten seconds end when the test says so. */
function trial() {
  const lines: { readonly event: string; readonly of?: string; readonly lines?: number }[] = [];
  const windows: (() => void)[] = [];
  const limit = new LogLimit({ after: (_, callback) => void windows.push(callback) });
  const log = loggerTo({ write: (line) => lines.push(JSON.parse(line)) }, "info", limit);
  const end = (): void => {
    for (const callback of windows.splice(0)) callback();
  };
  return { lines, log, end };
}

t.test("an event that repeats is told fifty times, and then how often it was not", async (t) => {
  const { lines, log, end } = trial();
  for (let n = 0; n < 1000; n++) log.warn({ n }, "repaired");
  t.equal(lines.length, 50);
  end();
  t.equal(lines.length, 51);
  t.match(lines.at(-1), { event: "lines_left_out", level: "info", of: "repaired", lines: 950 });
});

t.test("other events are not kept back meanwhile, nor the same one later", async (t) => {
  const { lines, log, end } = trial();
  for (let n = 0; n < 60; n++) log.info("repaired");
  log.error({ reason: "x" }, "trouble");
  t.equal(lines.at(-1)?.event, "trouble");
  end();
  log.info("repaired");
  t.equal(lines.at(-1)?.event, "repaired");
});

t.test("events that stay below the limit are followed by nothing", async (t) => {
  const { lines, log, end } = trial();
  for (let n = 0; n < 50; n++) log.info("repaired");
  end();
  t.equal(lines.length, 50);
});

t.test("what the level leaves out does not count", async (t) => {
  const { lines, log } = trial();
  for (let n = 0; n < 100; n++) log.debug("leases_changed");
  for (let n = 0; n < 3; n++) log.info("leases_changed");
  t.equal(lines.length, 3);
});
