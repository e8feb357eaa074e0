import t from "tap";
import { UndoStack } from "../../../src/daemon/undo.js";

t.test("what was made last is taken back first, each once", async (t) => {
  const undo = new UndoStack();
  const order: string[] = [];
  for (const name of ["socket", "kernel", "lease"]) undo.push(name, () => void order.push(name));
  await undo.run(1000, () => t.fail("no step fails"));
  await undo.run(1000, () => t.fail("no step fails"));
  t.same(order, ["lease", "kernel", "socket"]);
});

t.test("a step that fails or never ends is reported and the others still run", async (t) => {
  const undo = new UndoStack();
  const order: string[] = [];
  const failures: string[] = [];
  undo.push("socket", () => void order.push("socket"));
  undo.push("store", () => new Promise(() => {}));
  undo.push("lease", async () => {
    throw new Error("no");
  });
  await undo.run(5, (step) => failures.push(step));
  t.same(order, ["socket"]);
  t.same(failures, ["lease", "store"]);
});
