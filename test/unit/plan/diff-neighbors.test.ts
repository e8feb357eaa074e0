// plan/diff-neighbors: the two tables of a VXLAN device.
import t from "tap";
import { type Change, objectOf } from "../../../src/netlink/change.js";
import type { FdbEntry, Neighbor } from "../../../src/netlink/neigh.js";
import { fdbChanges, neighborChanges } from "../../../src/plan/diff-neighbors.js";
import { linkOf } from "../../support/link.js";

const DEVICE = linkOf(7, "flannel.1", { mtuBytes: 1450, kind: "vxlan" });
const B = "02:00:00:00:00:0b";
const C = "02:00:00:00:00:0c";
const FOUND = new Map([["flannel.1", DEVICE]]);

const words = (changes: readonly Change[]): string[] => changes.map((change) => `${change.kind} ${objectOf(change)}`);

function neighbor(address: string, macAddress: string | null, differences: Partial<Neighbor> = {}): Neighbor {
  return { linkIndex: 7, family: 4, address, macAddress, isPermanent: true, ...differences };
}

function neighborDiff(actual: readonly Neighbor[], plan: Readonly<Record<string, string>>): string[] {
  const plans = Object.entries(plan).map(([address, macAddress]) => ({ link: "flannel.1", address, macAddress }));
  return words(neighborChanges(actual, plans, FOUND, [DEVICE]));
}

function entry(macAddress: string, endpoint: string | null, differences: Partial<FdbEntry> = {}): FdbEntry {
  return { linkIndex: 7, macAddress, endpoint, isPermanent: true, isSpecial: false, ...differences };
}

function fdbDiff(actual: readonly FdbEntry[], plan: Readonly<Record<string, string>>): string[] {
  const plans = Object.entries(plan).map(([macAddress, endpoint]) => ({ link: "flannel.1", macAddress, endpoint }));
  return words(fdbChanges(actual, plans, FOUND, [DEVICE]));
}

t.test("neighbours that are missing, different or not permanent are set, others removed", async (t) => {
  const plan = { "10.55.2.0": B, "fd55:2::": B };
  t.strictSame(neighborDiff([neighbor("10.55.2.0", B), neighbor("fd55:2::", B, { family: 6 })], plan), []);
  const wrong = [neighbor("10.55.2.0", C), neighbor("fd55:2::", B, { isPermanent: false }), neighbor("10.55.9.0", B)];
  t.strictSame(neighborDiff(wrong, plan), [
    `set-neighbor 10.55.2.0 lladdr ${B} dev flannel.1`,
    `set-neighbor fd55:2:: lladdr ${B} dev flannel.1`,
    "remove-neighbor 10.55.9.0 dev flannel.1",
  ]);
});

t.test("what the kernel found out by itself, and what lies on other links, is left alone", async (t) => {
  t.strictSame(neighborDiff([neighbor("10.55.9.0", B, { isPermanent: false })], {}), []);
  t.strictSame(neighborDiff([neighbor("10.55.9.0", B, { linkIndex: 2 })], {}), []);
  t.strictSame(fdbDiff([entry(B, "192.168.50.9", { isPermanent: false })], {}), []);
  t.strictSame(fdbDiff([entry(B, "192.168.50.9", { linkIndex: 2 })], {}), []);
});

t.test("forwarding entries that are missing or lead elsewhere are set, others removed once", async (t) => {
  const plan = { [B]: "192.168.50.11" };
  t.strictSame(fdbDiff([entry(B, "192.168.50.11")], plan), []);
  const set = `set-fdb ${B} dst 192.168.50.11 dev flannel.1`;
  t.strictSame(fdbDiff([], plan), [set]);
  t.strictSame(fdbDiff([entry(B, "192.168.50.99")], plan), [set]);
  t.strictSame(fdbDiff([entry(B, "192.168.50.11", { isSpecial: true })], plan), [set]);
  t.strictSame(fdbDiff([entry(B, "192.168.50.11", { isPermanent: false })], plan), [set]);
  const zero = "00:00:00:00:00:00";
  t.strictSame(fdbDiff([entry(zero, "192.168.50.8"), entry(zero, "192.168.50.9")], {}), [
    `remove-fdb ${zero} dev flannel.1`,
  ]);
});

t.test("nothing is set on a device that is not there", async (t) => {
  const plans = [{ link: "flannel.1", address: "10.55.2.0", macAddress: B, endpoint: "192.168.50.11" }];
  t.strictSame(neighborChanges([], plans, new Map(), []), []);
  t.strictSame(fdbChanges([], plans, new Map(), []), []);
});
