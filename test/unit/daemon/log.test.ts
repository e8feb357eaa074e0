import t from "tap";
import { failure, loggerTo, readableLine } from "../../../src/daemon/log.js";
import { HopsackError } from "../../../src/errors.js";

function linesOf(write: (log: ReturnType<typeof loggerTo>) => void): string[] {
  const lines: string[] = [];
  write(loggerTo({ write: (line) => lines.push(line) }, "info"));
  return lines;
}

t.test("an event is one JSON line with level, time, the event's name and its keys", async (t) => {
  const [line = "", ...rest] = linesOf((log) => log.info({ lease: "10.244.1.0-24" }, "lease_acquired"));
  t.same(rest, []);
  t.match(JSON.parse(line), {
    level: "info",
    event: "lease_acquired",
    lease: "10.244.1.0-24",
    time: /^\d{4}-\d\d-\d\dT/,
  });
  t.notMatch(line, "hostname");
  t.ok(line.endsWith("}\n"));
});

t.test("levels below the chosen one are silent", async (t) => {
  t.same(
    linesOf((log) => log.debug("leases_changed")),
    [],
  );
});

t.test("on a terminal the line is short, and blanks in values are quoted", async (t) => {
  const json =
    '{"level":"warn","time":"2026-01-02T03:04:05.678Z","event":"trouble","topic":"store","reason":"no answer","n":3}';
  t.equal(readableLine(json), '03:04:05.678 warn  trouble topic=store reason="no answer" n=3\n');
});

t.test("a failure is logged with its code, and only a bug with its stack", async (t) => {
  t.same(failure(new HopsackError("LEASE_LOST", "gone")), { code: "LEASE_LOST", reason: "gone" });
  t.match(failure(new TypeError("oops")), { reason: "oops", stack: /log\.test/ });
  t.same(failure("text"), { reason: "text" });
});
