// kernel/fou-watch: it tells of changes, and of nothing else.
import { mock } from "node:test";
import t from "tap";
import { FouWatch } from "../../../src/kernel/fou-watch.js";
import type { FouPort } from "../../../src/netlink/fou.js";

const PORT: FouPort = { port: 8285, localAddress: null, protocol: 4, isPlain: true };

t.test("a port that goes or comes back is told once, what cannot be read each time, what stays never", async (t) => {
  mock.timers.enable({ apis: ["setInterval"] });
  t.teardown(() => mock.timers.reset());
  let ports: readonly FouPort[] | null = [PORT];
  let changes = 0;
  const read = (): readonly FouPort[] => {
    if (ports === null) throw new Error("no answer");
    return ports;
  };
  const watch = new FouWatch(read, () => changes++);
  const after = (next: readonly FouPort[] | null): number => {
    ports = next;
    mock.timers.tick(1000);
    return changes;
  };
  t.equal(after([{ ...PORT }]), 0);
  t.equal(after([]), 1);
  t.equal(after([]), 1);
  t.equal(after([PORT]), 2);
  t.ok(after(null) > 2, "whoever looks then meets the same error");
  watch.close();
  t.equal(after([]), changes);
});
