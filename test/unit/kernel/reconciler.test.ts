// kernel/reconciler: when it looks at the kernel, with a kernel that is not there. What it does to a real one:
// test/netns/reconciler.test.ts
import t, { type Test } from "tap";
import { HopsackError } from "../../../src/errors.js";
import { Reconciler } from "../../../src/kernel/reconciler.js";
import type { Change } from "../../../src/netlink/change.js";
import type { FouPort } from "../../../src/netlink/fou.js";
import { encodeLinkChange, type Link, NO_SETTINGS } from "../../../src/netlink/link.js";
import { LITTLE_ENDIAN, MessageType, viewOf } from "../../../src/netlink/message.js";
import { EMPTY_PLAN, type Plan } from "../../../src/plan/plan.js";
import { linkOf } from "../../support/link.js";

const PLAN: Plan = {
  ...EMPTY_PLAN,
  links: [{ kind: "tun", name: "flannel0", mtuBytes: 1472, txQueueLength: null }],
};
const ROUTE = { prefix: "10.55.0.0/16", link: "flannel0", gateway: null, isOnLink: false };
const FLANNEL0 = linkOf(7, "flannel0", { mtuBytes: 1472, kind: "tun", txQueueLength: 500 });

/** A kernel that keeps nothing, and counts the looks at it. */
class Trial {
  looks = 0;
  fouPorts: FouPort[] = [];
  links: Link[] = [FLANNEL0];
  applied: string[] = [];
  refusal: HopsackError | null = null;
  readonly faults: unknown[] = [];
  readonly repairs: string[] = [];
  hostChanges = 0;
  /** Delivers an event, as the kernel's monitor does. */
  tell: (messages: Uint8Array[]) => void = () => {};
  readonly reconciler: Reconciler;

  constructor(t: Test) {
    this.reconciler = new Reconciler({
      rtnetlink: {
        links: () => this.links,
        addresses: () => [],
        routes: () => {
          this.looks++;
          return [];
        },
        neighbors: () => [],
        fdb: () => [],
        fouPorts: () => this.fouPorts,
        apply: (changes: readonly Change[]) => {
          this.applied.push(...changes.map(({ kind }) => kind));
          return changes.map(() => this.refusal);
        },
      },
      openMonitor: (_groups, onMessages, protocol) => {
        if (protocol === undefined) this.tell = onMessages;
        return { close: () => {} };
      },
      deviceName: "flannel0",
      networks: [],
      onLinkMade: () => {},
      forward: "off",
      onRepair: (kind, what) => this.repairs.push(`${kind} ${what}`),
      onLinkGone: () => {},
      onFault: (error) => this.faults.push(error),
      onHostChange: () => this.hostChanges++,
    });
    t.teardown(() => this.reconciler.close());
  }
}

const linkEvent = (index: number, name: string): Uint8Array => {
  const bytes = encodeLinkChange(0, index, { ...NO_SETTINGS, name });
  viewOf(bytes).setUint16(4, MessageType.newLink, LITTLE_ENDIAN);
  return bytes;
};

t.test("a new plan is compared with what was seen last, until an event says that something happened", async (t) => {
  const trial = new Trial(t);
  await trial.reconciler.setPlan(PLAN);
  t.equal(trial.looks, 1);
  await trial.reconciler.setPlan({ ...PLAN });
  t.equal(trial.looks, 1, "nothing happened");
  trial.tell([linkEvent(99, "docker0")]);
  await trial.reconciler.setPlan(PLAN);
  t.equal(trial.looks, 1, "nothing of ours");
  trial.tell([linkEvent(FLANNEL0.index, FLANNEL0.name)]);
  await trial.reconciler.setPlan(PLAN);
  t.equal(trial.looks, 2);
  trial.tell([]);
  await trial.reconciler.setPlan(PLAN);
  t.equal(trial.looks, 3, "events were lost");
  await trial.reconciler.check();
  t.equal(trial.looks, 4, "a check always looks");
});

t.test("what was seen does not count for a plan with other devices, nor after a change, refused or not", async (t) => {
  const trial = new Trial(t);
  await trial.reconciler.setPlan(PLAN);
  await trial.reconciler.setPlan({ ...PLAN, links: [] });
  t.equal(trial.looks, 2);
  await trial.reconciler.setPlan({ ...PLAN, links: [], routes: [ROUTE] });
  t.strictSame([trial.looks, trial.applied], [2, ["add-route"]]);
  trial.refusal = new HopsackError("KERNEL_REFUSED", "no");
  await t.rejects(trial.reconciler.setPlan({ ...PLAN, links: [], routes: [ROUTE] }), { message: "no" });
  await t.rejects(trial.reconciler.setPlan({ ...PLAN, links: [], routes: [ROUTE] }), { message: "no" });
  t.equal(trial.looks, 4);
});

t.test("repairs of one kind are one line, and of many refusals one is told", async (t) => {
  const trial = new Trial(t);
  await trial.reconciler.setPlan(PLAN);
  const routes = ["10.55.1.0/24", "10.55.2.0/24", "10.55.3.0/24"].map((prefix) => ({ ...ROUTE, prefix }));
  await trial.reconciler.setPlan({ ...PLAN, routes });
  trial.refusal = new HopsackError("KERNEL_REFUSED", "no");
  await trial.reconciler.check();
  t.strictSame([trial.faults, trial.repairs], [[trial.refusal], []]);
  trial.refusal = null;
  await trial.reconciler.check();
  t.strictSame(trial.repairs, ["add-route 10.55.1.0/24 dev flannel0 and 2 more"]);
});

t.test("a leftover device gives its name free with its FOU port, the port first", async (t) => {
  const trial = new Trial(t);
  const ipip = {
    ...{ localAddress: "192.168.50.10", remoteAddress: null, ttl: 0, tos: 0 },
    ...{ hasPathMtuDiscovery: false, fouPort: 8285, isPlain: true },
  };
  trial.links = [{ ...FLANNEL0, kind: "ipip", alias: "hopsack flannel0", ipip }];
  trial.fouPorts = [{ port: 8285, localAddress: "192.168.50.10", protocol: 4, isPlain: true }];
  trial.reconciler.freeName("flannel0");
  t.strictSame(trial.applied, ["remove-fou-port", "remove-link"]);
});
