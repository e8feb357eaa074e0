// The part of the diff that opens and closes FOU ports. A port has no name and no owner, so the device that sends by it speaks for it: of
// a marked device of ours, the port with its number and address is ours too. Therefore the port is made after its device's mark, and
// goes before the device: whatever a killed process leaves is known again. Pure. Called by diff.ts; leftovers.ts asks whose ports are.
import { isDeepStrictEqual } from "node:util";
import type { FouAddition, FouRemoval } from "../netlink/change.js";
import type { FouKey, FouPort } from "../netlink/fou.js";
import type { Link } from "../netlink/link.js";
import { isOurs } from "./diff-links.js";
import type { LinkPlan } from "./plan.js";

const IPPROTO_IPIP = 4;

interface FouState {
  readonly links: readonly Link[];
  readonly fouPorts: readonly FouPort[];
}

interface FouDiff {
  /** Before the links are changed. */
  readonly removals: readonly FouRemoval[];
  /** After that. */
  readonly additions: readonly FouAddition[];
}

/** @param usable the plan's links on which something can be put, by name */
export function fouChanges(
  actual: FouState,
  plans: readonly LinkPlan[],
  usable: ReadonlyMap<string, Link>,
  alias: string,
): FouDiff {
  const wanted = plannedFouPorts(plans);
  const isThere = (port: FouPort): boolean => actual.fouPorts.some((found) => isDeepStrictEqual(found, port));
  return {
    removals: ownFouPorts(actual, alias)
      .filter((port) => !wanted.some((other) => isDeepStrictEqual(other, port)))
      .map(fouRemoval),
    additions: plannedFouPorts(plans.filter(({ name }) => usable.has(name)))
      .filter((port) => !isThere(port))
      .map((port) => ({ kind: "add-fou-port", ...port })),
  };
}

export function plannedFouPorts(plans: readonly LinkPlan[]): FouPort[] {
  return plans.flatMap((plan) => {
    if (plan.kind !== "ipip" || plan.fouPort === null) return [];
    return [{ port: plan.fouPort, localAddress: plan.localAddress, protocol: IPPROTO_IPIP, isPlain: true }];
  });
}

/** Those that are there and belong to devices with our mark. */
export function ownFouPorts({ links, fouPorts }: FouState, alias: string): FouPort[] {
  const own = links.filter((link) => isOurs(link, alias));
  return fouPorts.filter((port) => own.some((link) => isOf(link, port)));
}

/** Whether any device of ours may have one: only then it is worth asking. */
export function hasFouDevice(links: readonly Link[], alias: string): boolean {
  return links.some((link) => isOurs(link, alias) && link.ipip !== null && link.ipip.fouPort !== null);
}

export function fouRemoval({ port, localAddress }: FouKey): FouRemoval {
  return { kind: "remove-fou-port", port, localAddress };
}

function isOf({ ipip }: Link, { port, localAddress }: FouKey): boolean {
  return ipip !== null && ipip.fouPort === port && ipip.localAddress === localAddress;
}
