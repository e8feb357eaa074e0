import t from "tap";
import { Bell } from "../../../src/daemon/bell.js";

const never = new AbortController().signal;

t.test("a thousand rings before the wait are one", async (t) => {
  const bell = new Bell();
  for (let ring = 0; ring < 1000; ring++) bell.ring();
  await bell.wait(never);
  let isWoken = false;
  const waiting = bell.wait(never).then(() => (isWoken = true));
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(isWoken, false);
  bell.ring();
  await waiting;
  t.equal(isWoken, true);
});

t.test("a wait ends with its signal, and a later ring is kept for the next wait", async (t) => {
  const bell = new Bell();
  const ending = new AbortController();
  const waiting = bell.wait(ending.signal);
  ending.abort(new Error("enough"));
  await t.rejects(waiting, { message: "enough" });
  await t.rejects(bell.wait(ending.signal), { message: "enough" });
  bell.ring();
  await bell.wait(never);
});
