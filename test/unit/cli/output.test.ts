import t from "tap";
import { errorText, exitStatus, formatBytes, formatDuration, paintFor, tableLines } from "../../../src/cli/output.js";
import { HopsackError } from "../../../src/errors.js";

t.test("colours appear on a terminal only, and never with NO_COLOR", async (t) => {
  t.equal(paintFor({ isTTY: true }, {}).red("x"), "\x1b[31mx\x1b[0m");
  t.equal(paintFor({ isTTY: true }, { NO_COLOR: "1" }).red("x"), "x");
  t.equal(paintFor({ isTTY: true }, { NO_COLOR: "" }).red("x"), "\x1b[31mx\x1b[0m", "an empty NO_COLOR does not count");
  t.equal(paintFor({ isTTY: true }, { TERM: "dumb" }).red("x"), "x");
  t.equal(paintFor({}, {}).red("x"), "x");
});

t.test("table columns line up, numbers to the right", async (t) => {
  const columns = [{ title: "node" }, { title: "packets", isRightAligned: true }, { title: "note" }];
  t.same(
    tableLines(columns, [
      ["host-a", "5", "x"],
      ["b", "1,000,000", ""],
    ]),
    ["node      packets  note", "host-a          5  x", "b       1,000,000"],
  );
});

t.test("a coloured cell takes the room of its words", async (t) => {
  const { red } = paintFor({ isTTY: true }, {});
  t.same(tableLines([{ title: "state" }, { title: "n" }], [[red("up"), "1"]]), ["state  n", `${red("up")}     1`]);
});

t.test("amounts are written as people say them", async (t) => {
  t.same([0, 999, 1000, 1_500_000, 2.5e12].map(formatBytes), ["0 B", "999 B", "1.0 kB", "1.5 MB", "2.5 TB"]);
  t.same([0, 8, 65, 3600, 273_600].map(formatDuration), ["0 s", "8 s", "1 min 5 s", "1 h", "3 d 4 h"]);
});

t.test("an error is one sentence with its code, and a bad option ends with status 2", async (t) => {
  const option = new HopsackError("BAD_OPTION", "--x 1 is not accepted; give 2");
  t.equal(errorText("hopsack", option), "hopsack: --x 1 is not accepted; give 2 [BAD_OPTION]");
  t.equal(exitStatus(option), 2);
  t.equal(exitStatus(new HopsackError("NO_TUN", "no")), 1);
  t.equal(exitStatus(new TypeError("oops")), 1);
  t.match(errorText("hopsack", new TypeError("oops")), /^hopsack: internal error.*TypeError: oops\n.*output\.test/s);
});
