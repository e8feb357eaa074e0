import t from "tap";
import { answerTo, encodeQuestion, PROBE_BYTES, parseProbe } from "../../../src/wire/probe.js";

t.test("a question and its answer carry one token, and are of one length", async (t) => {
  const question = encodeQuestion(0x1122334455667788n, 1400);
  const answer = answerTo(question);
  t.same(parseProbe(question), { kind: "question", token: 0x1122334455667788n });
  t.same(parseProbe(answer), { kind: "answer", token: 0x1122334455667788n });
  t.equal(answer.length, 1400);
  t.equal(encodeQuestion(1n).length, PROBE_BYTES);
});

t.test("what is shorter, begins otherwise or is of another kind is no probe", async (t) => {
  const question = encodeQuestion(7n);
  t.equal(parseProbe(question.subarray(0, PROBE_BYTES - 1)), undefined);
  for (const offset of [0, 3, 4]) {
    const other = Uint8Array.from(question);
    other[offset] = 0x7f;
    t.equal(parseProbe(other), undefined, `byte ${offset}`);
  }
  t.equal(parseProbe(new Uint8Array()), undefined);
});
