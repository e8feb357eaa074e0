// A virtual machine's network card as its host sees it, in the place of a pod's cable: a tap with the host's end of that cable on it.
// The guest sets its own address. A tap that was there is used and given back as it was; the alias keeps what that is.
import { closeSync } from "node:fs";
import { loadAddon } from "../addon.js";
import { HopsackError } from "../errors.js";
import type { Rtnetlink } from "../kernel/rtnetlink.js";
import type { Change } from "../netlink/change.js";
import { type Link, NO_SETTINGS } from "../netlink/link.js";
import { POD_ROUTE_PROTOCOL } from "../netlink/route.js";
import {
  addressing,
  aliasOf,
  apply,
  GATEWAY_V4,
  GATEWAY_V6,
  hostChanges,
  type LinkPlan,
  requireLink,
} from "./pod-link.js";
import type { Attachment } from "./request.js";
import type { Result } from "./result.js";

/** @throws DEVICE_BUSY, KERNEL_REFUSED, NOT_PERMITTED, the system's error without /dev/net/tun */
export function layTap(host: Rtnetlink, plan: LinkPlan): Result {
  const there = host.link(plan.attachment.ifName);
  const tap = there === null ? makeTap(host, plan) : borrowTap(host, there, plan);
  return {
    interfaces: [{ name: tap.name, mac: tap.hardwareAddress ?? "", mtu: plan.mtuBytes }],
    ...addressing(plan, 0),
  };
}

/** Nothing happens when it is not there, or another's. */
export function removeTap(host: Rtnetlink, network: string, attachment: Attachment): void {
  const tap = host.link(attachment.ifName);
  const [alias = "", before] = tap?.alias?.split(" was ") ?? [];
  if (tap === null || alias !== aliasOf(network, attachment)) return;
  const on = { linkIndex: tap.index, linkName: tap.name };
  apply(host, before === undefined ? [{ kind: "remove-link", ...on }] : givingBack(host, tap, before));
}

/** @param before MTU and state it had */
function givingBack(host: Rtnetlink, tap: Link, before: string): Change[] {
  const on = { linkIndex: tap.index, linkName: tap.name };
  const [mtu, state] = before.split(" ");
  return [
    { kind: "remove-address", ...on, address: `${GATEWAY_V4}/32` },
    { kind: "remove-address", ...on, address: `${GATEWAY_V6}/64` },
    ...podRoutes(host, tap),
    { kind: "set-link", ...on, ...NO_SETTINGS, isUp: state === "up", mtuBytes: Number(mtu), alias: "" },
  ];
}

/** It is kept when all is done: whoever is killed before leaves none. */
function makeTap(host: Rtnetlink, plan: LinkPlan): Link {
  const { makeTap: make, keepTap } = loadAddon();
  const fd = make(plan.attachment.ifName);
  try {
    const tap = requireLink(host, plan.attachment.ifName);
    apply(host, hostChanges(tap, plan, { mtuBytes: plan.mtuBytes }));
    keepTap(fd);
    return tap;
  } finally {
    closeSync(fd);
  }
}

/** @throws DEVICE_BUSY */
function borrowTap(host: Rtnetlink, tap: Link, plan: LinkPlan): Link {
  const objection = objectionTo(tap);
  if (objection !== null) {
    throw new HopsackError("DEVICE_BUSY", `the device ${tap.name} ${objection}; give another name, and a tap is made`);
  }
  const was = `was ${tap.mtuBytes} ${tap.isUp ? "up" : "down"}`;
  const settings = { mtuBytes: plan.mtuBytes, alias: `${aliasOf(plan.network, plan.attachment)} ${was}` };
  apply(host, hostChanges(tap, plan, settings));
  return tap;
}

function objectionTo({ kind, hardwareAddress, masterIndex, alias }: Link): string | null {
  if (kind !== "tun" || hardwareAddress === null) return "is no tap";
  if (masterIndex !== null) return "is part of a bridge";
  if (alias !== null) return `is somebody's: its alias is ${JSON.stringify(alias)}`;
  return null;
}

function podRoutes(host: Rtnetlink, { index, name }: Link): Change[] {
  return host
    .routes()
    .filter(({ protocol, nextHops }) => protocol === POD_ROUTE_PROTOCOL && nextHops[0]?.linkIndex === index)
    .map(({ prefix, metric, protocol }) => ({
      kind: "remove-route",
      linkIndex: index,
      linkName: name,
      prefix,
      gateway: null,
      metric,
      protocol,
    }));
}
