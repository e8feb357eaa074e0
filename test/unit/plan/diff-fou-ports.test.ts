// plan/diff-fou-ports: which FOU ports are opened and closed, and whose a port is.
import t from "tap";
import { objectOf } from "../../../src/netlink/change.js";
import type { FouPort } from "../../../src/netlink/fou.js";
import type { Link } from "../../../src/netlink/link.js";
import { diffPlan, type Marks } from "../../../src/plan/diff.js";
import { EMPTY_PLAN, type LinkPlan } from "../../../src/plan/plan.js";
import { linkOf } from "../../support/link.js";

const MARKS: Marks = { networks: [], alias: "hopsack flannel0" };
const PLAN: LinkPlan = {
  ...{ kind: "ipip", name: "flannel0", mtuBytes: 1472, localAddress: "192.168.50.10" },
  ...{ isDscpInherited: false, fouPort: 8285 },
};
const PORT: FouPort = { port: 8285, localAddress: "192.168.50.10", protocol: 4, isPlain: true };

function device(changes: Partial<Link> = {}, fouPort: number | null = 8285): Link {
  const ipip = {
    ...{ localAddress: "192.168.50.10", remoteAddress: null, ttl: 0, tos: 0 },
    ...{ hasPathMtuDiscovery: false, fouPort, isPlain: true },
  };
  return linkOf(7, "flannel0", { kind: "ipip", alias: MARKS.alias, mtuBytes: 1472, ipip, ...changes });
}

function diff(links: readonly Link[], fouPorts: readonly FouPort[], plans: readonly LinkPlan[] = [PLAN]): string[] {
  const actual = { links, fouPorts, addresses: [], routes: [], neighbors: [], fdb: [], lastIndexes: new Map() };
  const { changes } = diffPlan(actual, { ...EMPTY_PLAN, links: plans }, MARKS);
  return changes.map((change) => `${change.kind} ${objectOf(change)}`);
}

const OPEN = "add-fou-port port 8285 local 192.168.50.10";
const CLOSE = "remove-fou-port port 8285 local 192.168.50.10";

t.test("a true plan needs nothing; a port that is gone is opened again", async (t) => {
  t.strictSame(diff([device()], [PORT]), []);
  t.strictSame(diff([device()], []), [OPEN]);
});

t.test(
  "the device comes first, and its mark before the port: whoever is killed leaves no port that nobody knows",
  async (t) => {
    t.strictSame(diff([], []), ["add-ipip-link flannel0 local 192.168.50.10 encap fou port 8285"]);
    t.strictSame(diff([device({ alias: null })], []), ['set-link flannel0 alias "hopsack flannel0"', OPEN]);
  },
);

t.test("a port goes before its device", async (t) => {
  t.strictSame(diff([device()], [PORT], []), [CLOSE, "remove-link flannel0"]);
});

t.test("another number or address: the old port goes with the old device", async (t) => {
  const moved = { ...PLAN, localAddress: "192.168.50.99" };
  t.strictSame(diff([device()], [PORT], [moved]), [
    CLOSE,
    "remove-link flannel0",
    "add-ipip-link flannel0 local 192.168.50.99 encap fou port 8285",
  ]);
});

t.test(
  "our port with another protocol is made anew; a port that only looks like ours is nobody's business",
  async (t) => {
    t.strictSame(diff([device()], [{ ...PORT, protocol: 47 }]), [CLOSE, OPEN]);
    const others = [
      { ...PORT, port: 5555 },
      { ...PORT, localAddress: "192.168.60.10" },
    ];
    t.strictSame(diff([device()], [PORT, ...others]), []);
    t.strictSame(diff([device({ alias: "hopsack other0" })], [PORT], []), []);
    t.strictSame(diff([device({}, null)], [PORT], []), ["remove-link flannel0"], "a device without FOU has none");
  },
);
