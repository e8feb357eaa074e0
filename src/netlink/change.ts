// One change of the kernel's network state as data: made by plan/diff.ts, carried out by kernel/rtnetlink.ts. Pure.
import { encodeAddressAdd, encodeAddressRemoval } from "./addr.js";
import {
  encodeClsactAdd,
  encodeClsactRemoval,
  encodeFilterAdd,
  encodeFilterRemoval,
  type Filter,
  type NewFilter,
} from "./filter.js";
import type { FouKey, FouPort } from "./fou.js";
import {
  encodeIpipLinkAdd,
  encodeLinkChange,
  encodeLinkRemoval,
  encodeVethLinkAdd,
  encodeVxlanLinkAdd,
  type LinkSettings,
  type NewIpipLink,
  type NewVethLink,
  type NewVxlanLink,
} from "./link.js";
import {
  encodeFdbRemoval,
  encodeFdbSet,
  encodeNeighborRemoval,
  encodeNeighborSet,
  type FdbTarget,
  type NeighborTarget,
} from "./neigh.js";
import {
  type BlackholeRemovalTarget,
  encodeBlackholeRemoval,
  encodeRouteAdd,
  encodeRouteRemoval,
  encodeRouteReplace,
  type RouteRemovalTarget,
  type RouteTarget,
} from "./route.js";

export type Change =
  | NewLinkChange
  | NewIpipLinkChange
  | NewVethChange
  | LinkRemoval
  | LinkChange
  | AddressChange
  | RouteChange
  | RouteRemoval
  | BlackholeRemoval
  | NeighborChange
  | NeighborRemoval
  | FdbChange
  | FdbRemoval
  | ClsactChange
  | FilterChange
  | FilterRemoval
  | FouChange;

/** Made by generic netlink (fou.ts): {@link encodeChange} does not know them. */
export type FouChange = FouAddition | FouRemoval;

interface OnLink {
  readonly linkIndex: number;
  /** For people. */
  readonly linkName: string;
}

export interface NewLinkChange extends NewVxlanLink {
  readonly kind: "add-link";
}

export interface NewIpipLinkChange extends NewIpipLink {
  readonly kind: "add-ipip-link";
}

interface NewVethChange extends NewVethLink {
  readonly kind: "add-veth";
}

/** With all that lies on it. */
export interface LinkRemoval extends OnLink {
  readonly kind: "remove-link";
}

export interface LinkChange extends OnLink, LinkSettings {
  readonly kind: "set-link";
}

export interface AddressChange extends OnLink {
  readonly kind: "add-address" | "remove-address";
  /** With prefix length: `10.244.1.0/32`. */
  readonly address: string;
  /** RouteScope of an address that is added; default: universe. */
  readonly scope?: number;
}

export interface RouteChange extends OnLink, RouteTarget {
  /** `add-route` fails when another route has the same prefix and metric; `replace-route` takes its place. */
  readonly kind: "add-route" | "replace-route";
}

export interface RouteRemoval extends OnLink, RouteRemovalTarget {
  readonly kind: "remove-route";
}

interface BlackholeRemoval extends BlackholeRemovalTarget {
  readonly kind: "remove-blackhole";
}

export interface NeighborChange extends OnLink, NeighborTarget {
  readonly kind: "set-neighbor";
}

export interface NeighborRemoval extends OnLink, Omit<NeighborTarget, "macAddress"> {
  readonly kind: "remove-neighbor";
}

export interface FdbChange extends OnLink, FdbTarget {
  readonly kind: "set-fdb";
}

export interface FdbRemoval extends OnLink, Omit<FdbTarget, "endpoint"> {
  readonly kind: "remove-fdb";
}

/** Where a link keeps the filters of its ways in and out. It goes with all filters in it. */
interface ClsactChange extends OnLink {
  readonly kind: "add-clsact" | "remove-clsact";
}

export interface FilterChange extends OnLink, NewFilter {
  readonly kind: "add-filter";
}

interface FilterRemoval extends OnLink, Filter {
  readonly kind: "remove-filter";
}

export interface FouAddition extends FouPort {
  readonly kind: "add-fou-port";
}

export interface FouRemoval extends FouKey {
  readonly kind: "remove-fou-port";
}

export function isFouChange(change: Change): change is FouChange {
  return change.kind === "add-fou-port" || change.kind === "remove-fou-port";
}

/** The request that makes the change. */
export function encodeChange(sequence: number, change: Exclude<Change, FouChange>): Uint8Array {
  switch (change.kind) {
    case "add-link":
      return encodeVxlanLinkAdd(sequence, change);
    case "add-ipip-link":
      return encodeIpipLinkAdd(sequence, change);
    case "add-veth":
      return encodeVethLinkAdd(sequence, change);
    case "remove-link":
      return encodeLinkRemoval(sequence, change.linkIndex);
    case "set-link":
      return encodeLinkChange(sequence, change.linkIndex, change);
    case "add-address":
      return encodeAddressAdd(sequence, change.linkIndex, change.address, change.scope);
    case "remove-address":
      return encodeAddressRemoval(sequence, change.linkIndex, change.address);
    case "add-route":
      return encodeRouteAdd(sequence, change);
    case "replace-route":
      return encodeRouteReplace(sequence, change);
    case "remove-route":
      return encodeRouteRemoval(sequence, change);
    case "remove-blackhole":
      return encodeBlackholeRemoval(sequence, change);
    case "set-neighbor":
      return encodeNeighborSet(sequence, change);
    case "remove-neighbor":
      return encodeNeighborRemoval(sequence, change);
    case "set-fdb":
      return encodeFdbSet(sequence, change);
    case "remove-fdb":
      return encodeFdbRemoval(sequence, change);
    case "add-clsact":
      return encodeClsactAdd(sequence, change.linkIndex);
    case "remove-clsact":
      return encodeClsactRemoval(sequence, change.linkIndex);
    case "add-filter":
      return encodeFilterAdd(sequence, change);
    case "remove-filter":
      return encodeFilterRemoval(sequence, change);
  }
}

/** What the change is about: `10.244.0.0/16 dev flannel0`. */
export function objectOf(change: Change): string {
  switch (change.kind) {
    case "add-link":
      return `${change.linkName} vni ${change.vxlan.vni} port ${change.vxlan.port}`;
    case "add-ipip-link":
      return `${change.linkName} local ${change.ipip.localAddress}${fouWords(change.ipip.fouPort)}`;
    case "add-fou-port":
    case "remove-fou-port":
      return `port ${change.port}${change.localAddress === null ? "" : ` local ${change.localAddress}`}`;
    case "add-veth":
      return `${change.linkName} peer ${change.peerName}`;
    case "remove-link":
      return change.linkName;
    case "set-link":
      return `${change.linkName}${settingsOf(change)}`;
    case "add-address":
    case "remove-address":
    case "remove-neighbor":
      return `${change.address} dev ${change.linkName}`;
    case "remove-blackhole":
      return `blackhole ${change.prefix}${change.metric === 0 ? "" : ` metric ${change.metric}`}`;
    case "set-neighbor":
      return `${change.address} lladdr ${change.macAddress} dev ${change.linkName}`;
    case "set-fdb":
      return `${change.macAddress} dst ${change.endpoint} dev ${change.linkName}`;
    case "remove-fdb":
      return `${change.macAddress} dev ${change.linkName}`;
    case "add-clsact":
    case "remove-clsact":
      return `clsact dev ${change.linkName}`;
    case "add-filter":
    case "remove-filter":
      return `${JSON.stringify(change.name)} dev ${change.linkName} ${change.direction}`;
    default:
      return `${change.prefix}${change.gateway === null ? "" : ` via ${change.gateway}`} dev ${change.linkName}`;
  }
}

function fouWords(port: number | null): string {
  return port === null ? "" : ` encap fou port ${port}`;
}

function settingsOf(change: LinkSettings): string {
  const words = [
    change.isUp === null ? "" : ` ${change.isUp ? "up" : "down"}`,
    change.mtuBytes === null ? "" : ` mtu ${change.mtuBytes}`,
    change.txQueueLength === null ? "" : ` txqueuelen ${change.txQueueLength}`,
    change.name === null ? "" : ` name ${change.name}`,
    change.alias === null ? "" : ` alias ${JSON.stringify(change.alias)}`,
    change.hardwareAddress === null ? "" : ` address ${change.hardwareAddress}`,
  ];
  return words.join("");
}
