// One change of the kernel's network state as data: made by plan/diff.ts, carried out by kernel/rtnetlink.ts. Pure.
import { encodeAddressAdd, encodeAddressRemoval } from "./addr.js";
import { encodeLinkChange, type LinkSettings } from "./link.js";
import { encodeRouteAdd, encodeRouteRemoval, encodeRouteReplace, type RouteTarget } from "./route.js";

export type Change = LinkChange | AddressChange | RouteChange;

interface OnLink {
  readonly linkIndex: number;
  /** For people. */
  readonly linkName: string;
}

export interface LinkChange extends OnLink, LinkSettings {
  readonly kind: "set-link";
}

export interface AddressChange extends OnLink {
  readonly kind: "add-address" | "remove-address";
  /** With prefix length: `10.244.1.0/32`. */
  readonly address: string;
}

export interface RouteChange extends OnLink, RouteTarget {
  /** `add-route` fails when another route has the same prefix and metric; `replace-route` takes its place. */
  readonly kind: "add-route" | "replace-route" | "remove-route";
}

/** The request that makes the change. */
export function encodeChange(sequence: number, change: Change): Uint8Array {
  switch (change.kind) {
    case "set-link":
      return encodeLinkChange(sequence, change.linkIndex, change);
    case "add-address":
      return encodeAddressAdd(sequence, change.linkIndex, change.address);
    case "remove-address":
      return encodeAddressRemoval(sequence, change.linkIndex, change.address);
    case "add-route":
      return encodeRouteAdd(sequence, change);
    case "replace-route":
      return encodeRouteReplace(sequence, change);
    case "remove-route":
      return encodeRouteRemoval(sequence, change);
  }
}

/** What the change is about: `10.244.0.0/16 dev flannel0`. */
export function objectOf(change: Change): string {
  switch (change.kind) {
    case "set-link":
      return `${change.linkName}${settingsOf(change)}`;
    case "add-address":
    case "remove-address":
      return `${change.address} dev ${change.linkName}`;
    default:
      return `${change.prefix}${change.gateway === null ? "" : ` via ${change.gateway}`} dev ${change.linkName}`;
  }
}

function settingsOf(change: LinkSettings): string {
  const words = [
    change.isUp === null ? "" : ` ${change.isUp ? "up" : "down"}`,
    change.mtuBytes === null ? "" : ` mtu ${change.mtuBytes}`,
    change.txQueueLength === null ? "" : ` txqueuelen ${change.txQueueLength}`,
  ];
  return words.join("");
}
