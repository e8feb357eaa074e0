// Two joined devices (veth) in which the kernel merges TCP packets that arrived singly (GRO), after eBPF programs have unwrapped them and
// before they reach the TUN device. Without addresses, and known by their alias, which outlives a killed process as they do.
import { availableParallelism } from "node:os";
import type { NativeAddon } from "../addon.js";
import { HopsackError } from "../errors.js";
import type { Change } from "../netlink/change.js";
import { type Link, NO_SETTINGS } from "../netlink/link.js";
import { deviceAlias } from "./device-alias.js";
import type { Rtnetlink } from "./rtnetlink.js";

type Kernel = Pick<Rtnetlink, "links" | "link" | "apply">;

/** No packet is too long: they have come by the underlay's link. */
const MTU_BYTES = 65_535;
/** Beyond that, links have fewer receive queues than processors. */
const MOST_QUEUES = 64;

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
 * has removed either or switched it off.
 * @throws KERNEL_REFUSED, NOT_PERMITTED: it is not there, or it would not merge; nothing is left of it
 */
export function openMergingPair(kernel: Kernel, settings: MergingPairSettings) {
  const { makeMerge, silence, instance, tunIfIndex } = settings;
  const [linkName, peerName] = ["a", "b"].map((end) => `hopgro${tunIfIndex}${end}`) as [string, string];
  const isLeft = (link: Link): boolean =>
    link.kind === "veth" && (isMergingEnd(link, instance) || [linkName, peerName].includes(link.name));
  const clear = (): void => void kernel.apply(kernel.links().filter(isLeft).map(removalOf));
  clear();
  try {
    const queues = Math.min(availableParallelism(), MOST_QUEUES);
    change(kernel, { kind: "add-veth", linkName, peerName, mtuBytes: MTU_BYTES, peerNetnsFd: null, queues });
    const ends = [linkName, peerName].map((name) => ready(kernel, name, { silence, instance }));
    const [sender, receiver] = ends as [Link, Link];
    if (!makeMerge(linkName, peerName)) {
      throw new HopsackError("KERNEL_REFUSED", "this kernel's veth devices do not merge packets (before Linux 5.13)");
    }
    for (const { index, name } of ends) {
      change(kernel, { kind: "set-link", linkIndex: index, linkName: name, ...NO_SETTINGS, isUp: true });
    }
    return {
      sender,
      receiver,
      isWhole: (): boolean =>
        ends.every(({ index, name }) => {
          const now = kernel.link(name);
          return now !== null && now.index === index && now.isUp;
        }),
      remove: clear,
    };
  } catch (error) {
    clear();
    throw error;
  }
}

/** Whether the link is an end of a pair that a hopsackd of this name made. */
export function isMergingEnd({ kind, alias }: Link, instance: string): boolean {
  return kind === "veth" && alias === deviceAlias(instance);
}

function ready(
  kernel: Kernel,
  name: string,
  { silence, instance }: Pick<MergingPairSettings, "silence" | "instance">,
): Link {
  const link = kernel.link(name);
  if (link === null) throw new HopsackError("KERNEL_REFUSED", `the device ${name} was removed as soon as it was made`);
  silence(name);
  const alias = deviceAlias(instance);
  change(kernel, { kind: "set-link", linkIndex: link.index, linkName: name, ...NO_SETTINGS, alias });
  return link;
}

function removalOf({ index, name }: Link): Change {
  return { kind: "remove-link", linkIndex: index, linkName: name };
}

/** @throws KERNEL_REFUSED, NOT_PERMITTED */
function change(kernel: Kernel, wanted: Change): void {
  const [refused] = kernel.apply([wanted]);
  if (refused) throw refused;
}
