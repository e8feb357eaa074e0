// Two joined devices (veth) in which the kernel merges TCP packets that arrived singly (GRO), after eBPF programs have unwrapped them and
// before they reach the TUN device. Without addresses, and known by their alias, which outlives a killed process as they do.
import { cpus } from "node:os";
import type { NativeAddon } from "../addon.js";
import { HopsackError } from "../errors.js";
import type { Change } from "../netlink/change.js";
import { type Link, type LinkSettings, NO_SETTINGS } from "../netlink/link.js";
import { deviceAlias } from "./device-alias.js";
import type { Rtnetlink } from "./rtnetlink.js";

type Kernel = Pick<Rtnetlink, "links" | "link" | "apply">;

/** No packet is too long: they have come by the underlay's link. */
const MTU_BYTES = 65_535;
/** Beyond that, processors share. */
const MOST_QUEUES = 64;
const NAME = /^hopgro\d+[ab]$/;

export interface MergingPairSettings {
  readonly makeMerge: NativeAddon["makePairMerge"];
  /** Keeps the device from sending what a host sends by itself on every new link. */
  readonly silence: (linkName: string) => void;
  /** What ours are known by, of this hopsackd. */
  readonly instance: string;
  readonly tunIfIndex: number;
}

/**
 * Makes the pair, in the place of one that a killed run left: what is sent out by `sender` arrives at `receiver`, merged. `isWhole`: nobody
 * has removed either, switched it off or made its MTU smaller. `dropped`: packets for which there was no room between them. `remove` never throws.
 * @throws KERNEL_REFUSED, NOT_PERMITTED: it is not there, or it would not merge; nothing is left of it
 */
export function openMergingPair(kernel: Kernel, settings: MergingPairSettings) {
  const { makeMerge, instance, tunIfIndex } = settings;
  const [linkName, peerName] = [`hopgro${tunIfIndex}a`, `hopgro${tunIfIndex}b`];
  removeAll(kernel, (link) => isMergingEnd(link, instance));
  const queues = Math.min(cpus().length, MOST_QUEUES);
  change(kernel, { kind: "add-veth", linkName, peerName, mtuBytes: MTU_BYTES, peerNetnsFd: null, queues });
  const remove = (): void => removeAll(kernel, ({ kind, name }) => kind === "veth" && name === linkName); // with its peer
  try {
    const [sender, receiver] = [find(kernel, linkName), find(kernel, peerName)];
    for (const end of [sender, receiver]) prepare(kernel, end, settings);
    if (!makeMerge(linkName, peerName)) {
      throw new HopsackError("KERNEL_REFUSED", "the kernel refused to merge in a veth device, as before Linux 5.13");
    }
    for (const end of [sender, receiver]) set(kernel, end, { isUp: true });
    const isThere = ({ index, name }: Link): boolean => {
      const now = kernel.link(name);
      return now !== null && now.index === index && now.isUp && now.mtuBytes === MTU_BYTES;
    };
    return {
      ...{ sender, receiver, remove },
      isWhole: (): boolean => isThere(sender) && isThere(receiver),
      dropped: (): number => kernel.link(linkName)?.stats?.txDropped ?? 0,
    };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Whether the link is an end of a pair that a hopsackd of this name made, or of one that none came to name. */
export function isMergingEnd({ kind, name, alias }: Link, instance: string): boolean {
  return kind === "veth" && (alias === deviceAlias(instance) || (alias === null && NAME.test(name)));
}

/** Never throws: what stays is taken away by the next start, or by `hopsack cleanup`. */
function removeAll(kernel: Kernel, isMeant: (link: Link) => boolean): void {
  try {
    const links = kernel.links().filter(isMeant);
    kernel.apply(links.map(({ index, name }) => ({ kind: "remove-link", linkIndex: index, linkName: name })));
  } catch {
    // the kernel's answer was lost
  }
}

/** @throws KERNEL_REFUSED when somebody was quicker to remove it */
function find(kernel: Kernel, name: string): Link {
  const link = kernel.link(name);
  if (link === null) throw new HopsackError("KERNEL_REFUSED", `the device ${name} was removed as soon as it was made`);
  return link;
}

/** Known as ours before anything else, should this process be killed. */
function prepare(kernel: Kernel, link: Link, { silence, instance }: MergingPairSettings): void {
  set(kernel, link, { alias: deviceAlias(instance) });
  silence(link.name);
}

function set(kernel: Kernel, { index, name }: Link, settings: Partial<LinkSettings>): void {
  change(kernel, { kind: "set-link", linkIndex: index, linkName: name, ...NO_SETTINGS, ...settings });
}

/** @throws KERNEL_REFUSED, NOT_PERMITTED */
function change(kernel: Kernel, wanted: Change): void {
  const [refused] = kernel.apply([wanted]);
  if (refused) throw refused;
}
