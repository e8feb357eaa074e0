// What errors say of what strangers wrote: nothing that a terminal obeys.
import t from "tap";
import { HopsackError, messageOf, printable } from "../../src/errors.js";

t.test("control characters are written as JSON writes them; tabs and other scripts stay", async (t) => {
  t.equal(printable("\u001b[31mred\u0000\u009b\n"), "\\u001b[31mred\\u0000\\u009b\\u000a");
  t.equal(printable("a\tb é 漢"), "a\tb é 漢");
});

t.test("an error keeps its lines, and no other control character", async (t) => {
  t.equal(new HopsackError("BAD_POLICY", "one\ntwo \u001b[2J").message, "one\ntwo \\u001b[2J");
});

t.test("what JSON.parse quotes stays on one line", async (t) => {
  t.plan(1);
  try {
    JSON.parse("x\n\u001b[2J");
  } catch (error) {
    t.notMatch(messageOf(error), /\p{Cc}/u);
  }
});
