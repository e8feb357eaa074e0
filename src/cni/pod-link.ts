// The cable between a pod and its host in `routed` mode, as Calico lays it, but with the gateway's address on the host's end:
// proxy ARP answers only where the host has a route that covers 169.254.1.1, and a lab host may have none.
//
//   pod                                   host
//   eth0 10.244.1.5/32  ════ veth ════  hsk0123456789ab 169.254.1.1/32 scope host, fe80::1/64
//   default via 169.254.1.1               10.244.1.5 dev hsk0123456789ab scope link proto 86
import { createHash } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { errnoOf, messageOf } from "../errors.js";
import { Rtnetlink } from "../kernel/rtnetlink.js";
import { formatPrefix } from "../net/prefix.js";
import { RouteScope } from "../netlink/addr.js";
import type { Change, RouteChange } from "../netlink/change.js";
import { type Link, type LinkSettings, NO_SETTINGS } from "../netlink/link.js";
import { POD_ROUTE_PROTOCOL } from "../netlink/route.js";
import { attachmentKey, type PodAddresses } from "./address-pool.js";
import { CniCode, CniError } from "./cni-error.js";
import type { HostLease } from "./host-lease.js";
import type { Attachment } from "./request.js";
import type { Result } from "./result.js";

export const GATEWAY_V4 = "169.254.1.1";
/** Link-local, so every pod's host end may have it. */
export const GATEWAY_V6 = "fe80::1";
/** IFNAMSIZ without its zero. */
const LINK_NAME_BYTES = 15;

/** Whose cable it is. */
export interface PodLinkOwner {
  readonly network: string;
  readonly attachment: Attachment;
  readonly interfacePrefix: string;
}

/** What the host's end needs to know. */
export interface LinkPlan extends PodLinkOwner {
  readonly addresses: PodAddresses;
  readonly mtuBytes: number;
  /** null: the kernel's choice. */
  readonly wantedMac: string | null;
  readonly isDefaultGateway: boolean;
  readonly lease: HostLease;
}

/** One pod's cable, as it is to be. */
export interface PodLinkPlan extends LinkPlan {
  readonly netns: string;
}

/** The host's end; told by what it belongs to, so that it is found without any state. */
function hostLinkName({ network, attachment, interfacePrefix }: PodLinkOwner): string {
  const hash = createHash("sha256")
    .update(`${network}/${attachmentKey(attachment)}`)
    .digest("hex");
  return `${interfacePrefix}${hash}`.slice(0, LINK_NAME_BYTES);
}

/** Also under the name that it got with another prefix. */
function findHostEnd(host: Rtnetlink, owner: PodLinkOwner): Link | null {
  const alias = aliasOf(owner.network, owner.attachment);
  return host.link(hostLinkName(owner)) ?? host.links().find((link) => link.alias === alias) ?? null;
}

/** @throws CniError containerUnknown, badEnvironment when it is no namespace, alreadyThere; KERNEL_REFUSED, NOT_PERMITTED */
export function layPodLink(host: Rtnetlink, plan: PodLinkPlan): Result {
  const { netns, attachment } = plan;
  const pod = openNetns(netns);
  try {
    if (pod.link(attachment.ifName) !== null) {
      const message = `the container has an interface ${attachment.ifName} already; choose another name (CNI_IFNAME)`;
      throw new CniError(CniCode.alreadyThere, message);
    }
    const linkName = hostLinkName(plan);
    addPair(host, linkName, plan);
    const outer = requireLink(host, linkName);
    const inner = requireLink(pod, attachment.ifName);
    apply(host, hostChanges(outer, plan));
    apply(pod, podChanges(inner, plan));
    return resultOf(outer, inner, plan);
  } finally {
    pod.close();
  }
}

/** The pod's end goes with it. Nothing happens when it is not there. */
export function removePodLink(host: Rtnetlink, owner: PodLinkOwner): void {
  const link = findHostEnd(host, owner);
  if (link !== null) apply(host, [{ kind: "remove-link", linkIndex: link.index, linkName: link.name }]);
}

/** Who has which addresses, as the kernel shows it: the answer when our own file is lost. */
export function surveyPods(host: Rtnetlink, network: string): Record<string, PodAddresses> {
  const routes = host.routes().filter(({ protocol }) => protocol === POD_ROUTE_PROTOCOL);
  const found: Record<string, PodAddresses> = {};
  for (const { alias, index } of host.links()) {
    const key = keyOfAlias(alias, network);
    const mine = routes.filter(({ nextHops }) => nextHops.some(({ linkIndex }) => linkIndex === index));
    const addressOf = (family: 4 | 6): string | undefined =>
      mine.find((route) => route.family === family)?.prefix.replace(/\/.*/, "");
    const v4 = addressOf(4);
    if (key !== null && v4 !== undefined) found[key] = { v4, v6: addressOf(6) ?? null };
  }
  return found;
}

/** What of the cable is not as ADD made it, one sentence each. */
export function podLinkFaults(host: Rtnetlink, plan: PodLinkPlan): string[] {
  const pod = openNetns(plan.netns);
  try {
    const outer = findHostEnd(host, plan);
    const inner = pod.link(plan.attachment.ifName);
    if (outer === null) return [`the host has no link ${hostLinkName(plan)}`];
    if (inner === null) return [`the container has no interface ${plan.attachment.ifName}`];
    return [...faults(host, outer, hostChanges(outer, plan)), ...faults(pod, inner, podChanges(inner, plan))];
  } finally {
    pod.close();
  }
}

function addPair(host: Rtnetlink, linkName: string, { netns, attachment, mtuBytes }: PodLinkPlan): void {
  const peerNetnsFd = openSync(netns, "r");
  try {
    apply(host, [{ kind: "add-veth", linkName, mtuBytes, peerName: attachment.ifName, peerNetnsFd, queues: null }]);
  } finally {
    closeSync(peerNetnsFd);
  }
}

/** @param settings of a link that was not made for this */
export function hostChanges(
  { index, name }: Link,
  { addresses, network, attachment }: LinkPlan,
  settings: Partial<LinkSettings> = {},
): Change[] {
  const on = { linkIndex: index, linkName: name };
  // A narrow scope: the host must not choose the gateway's address as its own towards the pod.
  const v4: Change = { kind: "add-address", ...on, address: `${GATEWAY_V4}/32`, scope: RouteScope.host };
  return [
    { kind: "set-link", ...on, ...NO_SETTINGS, isUp: true, alias: aliasOf(network, attachment), ...settings },
    v4,
    route(on, `${addresses.v4}/32`, null),
    ...(addresses.v6 === null ? [] : v6HostChanges(on, addresses.v6)),
  ];
}

function v6HostChanges(on: OnLink, address: string): Change[] {
  return [{ kind: "add-address", ...on, address: `${GATEWAY_V6}/64` }, route(on, `${address}/128`, null)];
}

function podChanges({ index, name }: Link, { addresses, wantedMac, isDefaultGateway, lease }: PodLinkPlan): Change[] {
  const on = { linkIndex: index, linkName: name };
  const routed = routedPrefixes(isDefaultGateway, lease, addresses.v6 !== null);
  return [
    { kind: "set-link", ...on, ...NO_SETTINGS, isUp: true, hardwareAddress: wantedMac },
    { kind: "add-address", ...on, address: `${addresses.v4}/32` },
    ...(addresses.v6 === null ? [] : [{ kind: "add-address", ...on, address: `${addresses.v6}/128` } as const]),
    route(on, `${GATEWAY_V4}/32`, null),
    ...routed.map((prefix) => route(on, prefix, gatewayOf(prefix))),
  ];
}

/** What a pod reaches through its host: everything, or the overlay only. */
function routedPrefixes(isDefaultGateway: boolean, { networks }: HostLease, hasV6: boolean): string[] {
  if (isDefaultGateway) return ["0.0.0.0/0", ...(hasV6 ? ["::/0"] : [])];
  return networks.filter(({ family }) => family === 4 || hasV6).map(formatPrefix);
}

function gatewayOf(prefix: string): string {
  return prefix.includes(":") ? GATEWAY_V6 : GATEWAY_V4;
}

interface OnLink {
  readonly linkIndex: number;
  readonly linkName: string;
}

function route(on: OnLink, prefix: string, gateway: string | null): RouteChange {
  return { kind: "add-route", ...on, prefix, gateway, isOnLink: false, metric: null, protocol: POD_ROUTE_PROTOCOL };
}

function resultOf(outer: Link, inner: Link, plan: PodLinkPlan): Result {
  const { netns, mtuBytes: mtu } = plan;
  return {
    interfaces: [
      { name: outer.name, mac: outer.hardwareAddress ?? "", mtu },
      { name: inner.name, mac: plan.wantedMac ?? inner.hardwareAddress ?? "", mtu, sandbox: netns },
    ],
    ...addressing(plan, 1),
  };
}

/** @param place of the pod's interface among those of the result */
export function addressing(
  { addresses, isDefaultGateway, lease }: LinkPlan,
  place: number,
): Pick<Result, "ips" | "routes"> {
  const own = [`${addresses.v4}/32`, ...(addresses.v6 === null ? [] : [`${addresses.v6}/128`])];
  const routed = routedPrefixes(isDefaultGateway, lease, addresses.v6 !== null);
  return {
    ips: own.map((address) => ({ address, gateway: gatewayOf(address), interface: place })),
    routes: routed.map((dst) => ({ dst, gw: gatewayOf(dst) })),
  };
}

/** Which of the changes are not in force. */
function faults(rtnetlink: Rtnetlink, link: Link, changes: readonly Change[]): string[] {
  const addresses = rtnetlink.addresses().filter(({ linkIndex }) => linkIndex === link.index);
  const routes = rtnetlink.routes();
  return changes.flatMap((change) => {
    switch (change.kind) {
      case "set-link":
        return link.isUp ? [] : [`${link.name} is down`];
      case "add-address": {
        const isThere = addresses.some((own) => `${own.address}/${own.prefixLength}` === change.address);
        return isThere ? [] : [`${link.name} has no address ${change.address}`];
      }
      case "add-route": {
        const hops = routes.filter(({ prefix }) => prefix === change.prefix).flatMap(({ nextHops }) => nextHops);
        const isThere = hops.some(({ linkIndex, gateway }) => linkIndex === link.index && gateway === change.gateway);
        const via = change.gateway === null ? "" : ` via ${change.gateway}`;
        return isThere ? [] : [`there is no route ${change.prefix}${via} dev ${link.name}`];
      }
      default:
        return [];
    }
  });
}

/** Whose link it is. More may follow behind a blank. */
export function aliasOf(network: string, attachment: Attachment): string {
  return `hopsack-cni ${network} ${attachmentKey(attachment)}`;
}

function keyOfAlias(alias: string | null, network: string): string | null {
  const [mark, name, key] = alias?.split(" ") ?? [];
  return mark === "hopsack-cni" && name === network ? (key ?? null) : null;
}

/** @throws CniError containerUnknown, badEnvironment when it is none */
export function openNetns(path: string): Rtnetlink {
  try {
    return Rtnetlink.inNetns(path);
  } catch (error) {
    const errno = errnoOf(error) ?? "";
    if (errno === "ENOENT") throw new CniError(CniCode.containerUnknown, `the network namespace ${path} is not there`);
    if (!["EINVAL", "ENOTDIR"].includes(errno)) throw error;
    throw new CniError(CniCode.badEnvironment, `${path} is no network namespace (${messageOf(error)})`);
  }
}

export function requireLink(rtnetlink: Rtnetlink, name: string): Link {
  const link = rtnetlink.link(name);
  if (link !== null) return link;
  throw new CniError(CniCode.kernelRefused, `${name} was made and is gone again; somebody else removed it`);
}

/** @throws the first refusal */
export function apply(rtnetlink: Rtnetlink, changes: readonly Change[]): void {
  const refusal = rtnetlink.apply(changes).find((error) => error !== null);
  if (refusal) throw refusal;
}
