// The part of the diff that makes, replaces, sets and removes links. Pure. Called by diff.ts.
import { isDeepStrictEqual } from "node:util";
import type { Change, LinkChange, LinkRemoval, NewLinkChange } from "../netlink/change.js";
import type { Link } from "../netlink/link.js";
import type { NewVxlan } from "../netlink/vxlan.js";
import type { LinkPlan, VxlanLinkPlan } from "./plan.js";

export interface LinkDiff {
  readonly changes: readonly Change[];
  /** Names of links that are not there yet, or not in this shape: nothing can be put on them now. */
  readonly unusable: ReadonlySet<string>;
}

/** @param found by the plan's names: a link may have another name by now */
export function linkChanges(
  actual: readonly Link[],
  plans: readonly LinkPlan[],
  found: ReadonlyMap<string, Link>,
  alias: string,
): LinkDiff {
  const planned = new Set(plans.map(({ name }) => found.get(name)?.index));
  const removals = actual.filter((link) => isOurs(link, alias) && !planned.has(link.index)).map(removal);
  const additions: NewLinkChange[] = [];
  const settings: LinkChange[] = [];
  const unusable = new Set<string>();
  for (const plan of plans) {
    const link = found.get(plan.name);
    const vxlan = plan.kind === "vxlan" ? newVxlan(plan, found) : undefined;
    if (plan.kind === "vxlan" && !isCompatible(link, vxlan)) {
      unusable.add(plan.name);
      if (vxlan === undefined) continue; // its underlay is missing
      if (link?.kind === "vxlan") removals.push(removal(link));
      additions.push(addition(plan, vxlan));
    } else if (link !== undefined) {
      const change = settingsChange(plan, link, alias);
      if (change !== null) settings.push(change);
    }
  }
  return { changes: [...removals, ...additions, ...settings], unusable };
}

function isOurs(link: Link, alias: string): boolean {
  return link.kind === "vxlan" && link.alias === alias;
}

/** undefined while the link that is to carry it is not there. */
function newVxlan(plan: VxlanLinkPlan, found: ReadonlyMap<string, Link>): NewVxlan | undefined {
  const { vni, port, localAddress, isLearning, isGroupPolicy } = plan;
  const underlayIndex = found.get(plan.underlay)?.index;
  if (underlayIndex === undefined) return undefined;
  return { vni, port, localAddress, underlayIndex, isLearning, isGroupPolicy, hasUdpChecksum: true };
}

/** A device that only differs in name, MTU, MAC or state is set right; any other is replaced. */
function isCompatible(link: Link | undefined, wanted: NewVxlan | undefined): boolean {
  return wanted !== undefined && isDeepStrictEqual(link?.vxlan, { ...wanted, remoteAddress: null, isExternal: false });
}

function removal(link: Link): LinkRemoval {
  return { kind: "remove-link", linkIndex: link.index, linkName: link.name };
}

function addition({ name, mtuBytes, macAddress }: VxlanLinkPlan, vxlan: NewVxlan): NewLinkChange {
  return { kind: "add-link", linkName: name, mtuBytes, hardwareAddress: macAddress, vxlan };
}

function settingsChange(plan: LinkPlan, link: Link, alias: string): LinkChange | null {
  const settings = {
    isUp: link.isUp ? null : true,
    mtuBytes: wanted(plan.mtuBytes, link.mtuBytes),
    txQueueLength: plan.kind === "tun" ? wanted(plan.txQueueLength, link.txQueueLength) : null,
    name: wanted(plan.name, link.name),
    alias: plan.kind === "vxlan" ? wanted(alias, link.alias) : null,
    hardwareAddress: plan.kind === "vxlan" ? wanted(plan.macAddress, link.hardwareAddress) : null,
  };
  if (Object.values(settings).every((value) => value === null)) return null;
  return { kind: "set-link", linkIndex: link.index, linkName: link.name, ...settings };
}

/** The planned value where it differs; null where it is already so. */
function wanted<T>(planned: T, actual: T): T | null {
  return planned === actual ? null : planned;
}
