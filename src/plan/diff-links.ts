// The part of the diff that makes, replaces, sets and removes links. Pure. Called by diff.ts.
import { isDeepStrictEqual } from "node:util";
import type { Change, LinkChange, LinkRemoval, NewIpipLinkChange, NewLinkChange } from "../netlink/change.js";
import { INHERIT_TOS } from "../netlink/ipip.js";
import type { Link } from "../netlink/link.js";
import type { IpipLinkPlan, LinkPlan, MadeLinkPlan, VxlanLinkPlan } from "./plan.js";

type Addition = NewLinkChange | NewIpipLinkChange;

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
  const additions: Addition[] = [];
  const settings: LinkChange[] = [];
  const unusable = new Set<string>();
  for (const plan of plans) {
    const link = found.get(plan.name);
    const made = plan.kind === "tun" ? null : addition(plan, found);
    if (plan.kind !== "tun" && !isCompatible(link, made)) {
      unusable.add(plan.name);
      if (made === null) continue; // its underlay is missing
      if (link?.kind === plan.kind) removals.push(removal(link));
      additions.push(made);
    } else if (link !== undefined) {
      const change = settingsChange(plan, link, alias);
      if (change !== null) settings.push(change);
    }
  }
  return { changes: [...removals, ...additions, ...settings], unusable };
}

/** Made here, whatever its name. */
export function isOurs(link: Link, alias: string): boolean {
  return isMadeKind(link.kind) && link.alias === alias;
}

/** Kinds of devices that are made by us, and known by their alias. */
export function isMadeKind(kind: string | null): kind is MadeLinkPlan["kind"] {
  return kind === "vxlan" || kind === "ipip";
}

/** null while the link that is to carry it is not there. */
function addition(plan: MadeLinkPlan, found: ReadonlyMap<string, Link>): Addition | null {
  return plan.kind === "ipip" ? ipipAddition(plan) : vxlanAddition(plan, found);
}

function ipipAddition({ name, mtuBytes, localAddress, isDscpInherited, fouPort }: IpipLinkPlan): NewIpipLinkChange {
  const ipip = { localAddress, tos: isDscpInherited ? INHERIT_TOS : 0, fouPort };
  return { kind: "add-ipip-link", linkName: name, mtuBytes, ipip };
}

function vxlanAddition(plan: VxlanLinkPlan, found: ReadonlyMap<string, Link>): NewLinkChange | null {
  const { name, mtuBytes, macAddress, vni, port, localAddress, isLearning, isGroupPolicy } = plan;
  const underlayIndex = found.get(plan.underlay)?.index;
  if (underlayIndex === undefined) return null;
  const vxlan = { vni, port, localAddress, underlayIndex, isLearning, isGroupPolicy, hasUdpChecksum: true };
  return { kind: "add-link", linkName: name, mtuBytes, hardwareAddress: macAddress, vxlan };
}

/** A device that only differs in name, MTU, MAC or state is set right; any other is replaced. */
function isCompatible(link: Link | undefined, wanted: Addition | null): boolean {
  if (wanted === null) return false;
  if (wanted.kind === "add-link") {
    return isDeepStrictEqual(link?.vxlan, { ...wanted.vxlan, remoteAddress: null, isExternal: false });
  }
  const asInnerPacket = { remoteAddress: null, ttl: 0, hasPathMtuDiscovery: false, isPlain: true };
  return isDeepStrictEqual(link?.ipip, { ...wanted.ipip, ...asInnerPacket });
}

function removal(link: Link): LinkRemoval {
  return { kind: "remove-link", linkIndex: link.index, linkName: link.name };
}

function settingsChange(plan: LinkPlan, link: Link, alias: string): LinkChange | null {
  const settings = {
    isUp: link.isUp ? null : true,
    mtuBytes: wanted(plan.mtuBytes, link.mtuBytes),
    txQueueLength: plan.kind === "tun" ? wanted(plan.txQueueLength, link.txQueueLength) : null,
    name: wanted(plan.name, link.name),
    alias: isMadeKind(plan.kind) ? wanted(alias, link.alias) : null,
    hardwareAddress: plan.kind === "vxlan" ? wanted(plan.macAddress, link.hardwareAddress) : null,
  };
  if (Object.values(settings).every((value) => value === null)) return null;
  return { kind: "set-link", linkIndex: link.index, linkName: link.name, ...settings };
}

/** The planned value where it differs; null where it is already so. */
function wanted<T>(planned: T, actual: T): T | null {
  return planned === actual ? null : planned;
}
