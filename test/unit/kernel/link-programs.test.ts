import t from "tap";
import { HopsackError } from "../../../src/errors.js";
import { attachPrograms, leftFilters } from "../../../src/kernel/link-programs.js";
import { type Change, objectOf } from "../../../src/netlink/change.js";
import type { Filter } from "../../../src/netlink/filter.js";

const ETH0 = { linkIndex: 2, linkName: "eth0" };
const PROGRAM = { ...ETH0, direction: "ingress", programFd: 9 } as const;

function refusal(code: string): HopsackError {
  return new HopsackError("KERNEL_REFUSED", `refused (${code})`, { cause: Object.assign(new Error(), { code }) });
}

/** A link of a kernel that is not there. */
class FakeKernel {
  present: Filter[] = [];
  hasClsact = false;
  refuse: Change["kind"] | null = null;
  readonly deeds: string[] = [];

  filters(): Filter[] {
    return this.present;
  }

  apply(changes: readonly Change[]): (HopsackError | null)[] {
    return changes.map((change) => {
      if (change.kind === this.refuse) return refusal("EINVAL");
      if (change.kind === "add-clsact" && this.hasClsact) return refusal("EEXIST");
      this.deeds.push(`${change.kind} ${objectOf(change)}`);
      if (change.kind === "add-clsact") this.hasClsact = true;
      if (change.kind === "add-filter") this.present.push({ ...change, handle: this.present.length + 1 });
      if (change.kind === "remove-filter") this.present = this.present.filter(({ handle }) => handle !== change.handle);
      if (change.kind === "remove-clsact") this.hasClsact = false;
      return null;
    });
  }
}

t.test("a clsact that was made for a program goes with it", async (t) => {
  const kernel = new FakeKernel();
  const detach = attachPrograms(kernel, "flannel0", [PROGRAM]);
  t.equal(kernel.present[0]?.name, "hopsack flannel0 with its clsact");
  detach();
  t.strictSame([kernel.present, kernel.hasClsact], [[], false]);
});

t.test("a clsact that was there stays, and so do filters of others", async (t) => {
  const kernel = new FakeKernel();
  kernel.hasClsact = true;
  const foreign = { linkIndex: 2, direction: "ingress", priority: 1, handle: 77, name: "theirs" } as const;
  kernel.present = [foreign];
  attachPrograms(kernel, "flannel0", [PROGRAM])();
  t.strictSame([kernel.present, kernel.hasClsact], [[foreign], true]);
});

t.test("what a killed run left is replaced, and its clsact is still known as ours", async (t) => {
  const kernel = new FakeKernel();
  attachPrograms(kernel, "flannel0", [PROGRAM]);
  const detach = attachPrograms(kernel, "flannel0", [PROGRAM]);
  t.equal(kernel.present.length, 1);
  detach();
  t.notOk(kernel.hasClsact);
});

t.test("filters of another instance are none of ours", async (t) => {
  const kernel = new FakeKernel();
  attachPrograms(kernel, "hop7", [PROGRAM]);
  t.strictSame(leftFilters(kernel, "flannel0", ETH0), []);
});

t.test("a kernel that refuses is left as it was, and says why", async (t) => {
  const kernel = new FakeKernel();
  kernel.refuse = "add-filter";
  t.throws(() => attachPrograms(kernel, "flannel0", [PROGRAM]), { code: "KERNEL_REFUSED" });
  t.notOk(kernel.hasClsact);
  kernel.refuse = "add-clsact";
  t.throws(() => attachPrograms(kernel, "flannel0", [PROGRAM]), { code: "KERNEL_REFUSED" });
  t.strictSame(kernel.present, []);
});
