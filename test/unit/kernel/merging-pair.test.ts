// kernel/merging-pair: what is made, and that nothing of it stays when the kernel refuses. On a real kernel: test/support/engine.ts.
import t from "tap";
import { isMergingEnd, openMergingPair } from "../../../src/kernel/merging-pair.js";
import type { Change } from "../../../src/netlink/change.js";
import type { Link } from "../../../src/netlink/link.js";

const NOTHING = {
  isRunning: true,
  isLoopback: false,
  vxlan: null,
  ipip: null,
  hardwareAddress: null,
  masterIndex: null,
};
const veth = (index: number, name: string, alias: string | null = null): Link => ({
  ...{ index, name, alias, kind: "veth", mtuBytes: 65_535, isUp: false, txQueueLength: 0, ...NOTHING },
  stats: { rxPackets: 0, txPackets: 0, rxBytes: 0, txBytes: 0, rxDropped: 0, txDropped: 3 },
});

/** Keeps links by what it is told. */
class FakeKernel {
  #links: Link[];

  constructor(links: readonly Link[] = []) {
    this.#links = [...links];
  }

  links(): Link[] {
    return this.#links;
  }

  link(name: string): Link | null {
    return this.#links.find((link) => link.name === name) ?? null;
  }

  apply(changes: readonly Change[]): null[] {
    return changes.map((change) => {
      if (change.kind === "add-veth") this.#links.push(veth(8, change.peerName), veth(9, change.linkName));
      if (change.kind === "remove-link") {
        const stem = change.linkName.slice(0, -1);
        this.#links = this.#links.filter(({ name }) => name.slice(0, -1) !== stem); // its peer goes, too
      }
      if (change.kind === "set-link") {
        const told = Object.entries(change).filter(([key, value]) => ["isUp", "alias"].includes(key) && value !== null);
        this.#links = this.#links.map((link) =>
          link.index === change.linkIndex ? { ...link, ...Object.fromEntries(told) } : link,
        );
      }
      return null;
    });
  }
}

const settings = { makeMerge: () => true, silence: () => {}, instance: "flannel0", tunIfIndex: 7 };

t.test(
  "both ends are up and known by their alias; the pair of a killed run goes, that of another hopsackd stays",
  async (t) => {
    const others = [veth(2, "hopgro5a", "hopsack other"), veth(3, "eth0")];
    const kernel = new FakeKernel([...others, veth(4, "hopgro6a", "hopsack flannel0"), veth(5, "hopgro3b")]);
    const silenced: string[] = [];
    const pair = openMergingPair(kernel, { ...settings, silence: (name) => silenced.push(name) });
    t.strictSame(
      kernel.links().map(({ name, isUp, alias }) => [name, isUp, alias]),
      [
        ["hopgro5a", false, "hopsack other"],
        ["eth0", false, null],
        ["hopgro7b", true, "hopsack flannel0"],
        ["hopgro7a", true, "hopsack flannel0"],
      ],
    );
    t.strictSame(silenced, ["hopgro7a", "hopgro7b"]);
    t.strictSame([pair.sender.index, pair.receiver.index, pair.isWhole(), pair.dropped()], [9, 8, true, 3]);
    pair.remove();
    t.strictSame(kernel.links(), others);
    t.notOk(pair.isWhole());
  },
);

t.test("nothing stays where the kernel does not merge", async (t) => {
  const kernel = new FakeKernel();
  t.throws(() => openMergingPair(kernel, { ...settings, makeMerge: () => false }), { code: "KERNEL_REFUSED" });
  t.strictSame(kernel.links(), []);
});

t.test("an end that was killed before it got its alias is known by its name", async (t) => {
  t.ok(isMergingEnd(veth(2, "hopgro12a"), "flannel0"));
  t.notOk(isMergingEnd(veth(2, "hopgro12a", "mine"), "flannel0"));
  t.notOk(isMergingEnd(veth(2, "hopgro"), "flannel0"));
});
