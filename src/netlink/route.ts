// RTM_*ROUTE messages (linux/rtnetlink.h) ⇄ Route. Pure. Only IPv4 and IPv6 routes; multicast routing tables are skipped.
import { addressBytes, addressWidth, formatAddress, type IpFamily } from "../net/prefix.js";
import { RouteScope } from "./addr.js";
import { addressAndLength, familyNumber, familyOf, readAddress } from "./ip.js";
import {
  type Attribute,
  type Attributes,
  aligned,
  encodeMessage,
  LITTLE_ENDIAN,
  MessageFlag,
  MessageType,
  parseAttributes,
  readU32,
  u32,
  viewOf,
} from "./message.js";

/**
 * Our mark: `proto 85` on every route of ours. Not in iproute2's rt_protos, and not used by the common routing daemons and
 * container networks (FRR, BIRD, Calico 80, OVN 84, keepalived, systemd-networkd).
 */
export const HOPSACK_ROUTE_PROTOCOL = 85;

/** On routes of the CNI plugin, one for each pod: the daemon leaves them alone. */
export const POD_ROUTE_PROTOCOL = 86;

/** RTPROT_BIRD: every route that a BIRD sets, ours (src/bird) or another one. */
export const BIRD_ROUTE_PROTOCOL = 12;

/** RTPROT_KERNEL: made by the kernel for an address. */
export const KERNEL_ROUTE_PROTOCOL = 2;

export const MAIN_TABLE = 254;

export const RouteType = { unicast: 1, blackhole: 6, unreachable: 7, prohibit: 8, throw: 9 } as const;

export interface NextHop {
  readonly linkIndex: number | null;
  readonly gateway: string | null;
}

/** The way that a packet takes now, as the kernel would choose. */
export interface Path {
  readonly linkIndex: number;
  /** Whom the packet is handed to on that link: a router, or its destination itself. */
  readonly neighbor: string;
  /** Where the path is narrower than its link, by a route or because a router said so; else null. */
  readonly mtuBytes: number | null;
}

export interface Route {
  readonly family: IpFamily;
  /** `10.244.0.0/16`; the default route is `0.0.0.0/0`. */
  readonly prefix: string;
  readonly table: number;
  readonly protocol: number;
  readonly scope: number;
  /** RouteType, and others that no table of ours has. */
  readonly type: number;
  /** Lower wins among routes to one prefix. */
  readonly metric: number;
  readonly preferredSource: string | null;
  /** None for blackholes and their like, several for a multipath route. */
  readonly nextHops: readonly NextHop[];
}

/** A unicast route of ours in the main table; metric null = the family's default. */
export interface RouteTarget {
  readonly prefix: string;
  readonly linkIndex: number;
  readonly gateway: string | null;
  /** The gateway is taken to be on the link, whatever the addresses say. */
  readonly isOnLink: boolean;
  readonly metric: number | null;
  /** Who made it; default {@link HOPSACK_ROUTE_PROTOCOL}. */
  readonly protocol?: number;
}

/** What identifies a blackhole of the main table that is to go. */
export interface BlackholeRemovalTarget {
  readonly prefix: string;
  readonly metric: number;
  readonly protocol: number;
}

/** What identifies a unicast route of the main table that is to go. */
export interface RouteRemovalTarget extends Omit<RouteTarget, "isOnLink"> {
  readonly protocol: number;
}

const RTA = {
  destination: 1,
  source: 2,
  link: 4,
  gateway: 5,
  metric: 6,
  preferredSource: 7,
  metrics: 8,
  multipath: 9,
  table: 15,
  via: 18,
};
const RTAX_MTU = 2;
const RTM_F_CLONED = 0x200;
const RTNH_F_ONLINK = 0x4;

/** rtmsg: family, destination length, source length, tos, table, protocol, scope, type, u32 flags. */
const BODY_BYTES = 12;
/** rtnexthop: u16 length, flags, hops, i32 link index; attributes follow. */
const NEXT_HOP_BYTES = 8;

/** A dump of the main table, both families. */
export function encodeRouteDump(sequence: number): Uint8Array {
  const flags = MessageFlag.request | MessageFlag.dump;
  const table = { type: RTA.table, value: u32(MAIN_TABLE) };
  return encodeMessage({ type: MessageType.getRoute, flags, sequence }, new Uint8Array(BODY_BYTES), [table]);
}

/** Asks which route a packet to `address` would take; `source` is an address of this host, which may matter. */
export function encodeRouteQuery(sequence: number, address: string, source: string | null = null): Uint8Array {
  const bytes = addressBytes(address);
  const body = new Uint8Array(BODY_BYTES);
  body[0] = familyNumber(bytes.length === 4 ? 4 : 6);
  body[1] = 8 * bytes.length;
  const flags = MessageFlag.request | MessageFlag.ack;
  const attributes: Attribute[] = [{ type: RTA.destination, value: bytes }];
  if (source !== null) {
    const value = addressBytes(source);
    body[2] = 8 * value.length;
    attributes.push({ type: RTA.source, value });
  }
  return encodeMessage({ type: MessageType.getRoute, flags, sequence }, body, attributes);
}

/** Fails with EEXIST when there is a route of that prefix and metric, whoever made it. */
export function encodeRouteAdd(sequence: number, target: RouteTarget): Uint8Array {
  const flags = MessageFlag.request | MessageFlag.ack | MessageFlag.create | MessageFlag.exclusive;
  return encodeRoute({ type: MessageType.newRoute, flags, sequence }, target, ourRoute(target));
}

/** Takes the place of a route of that prefix and metric, whoever made it. */
export function encodeRouteReplace(sequence: number, target: RouteTarget): Uint8Array {
  const flags = MessageFlag.request | MessageFlag.ack | MessageFlag.create | MessageFlag.replace;
  return encodeRoute({ type: MessageType.newRoute, flags, sequence }, target, ourRoute(target));
}

/** Removes a route only if it has the protocol number. */
export function encodeRouteRemoval(sequence: number, target: RouteRemovalTarget): Uint8Array {
  const flags = MessageFlag.request | MessageFlag.ack;
  const head = { type: MessageType.delRoute, flags, sequence };
  const kind = { type: RouteType.unicast, scope: RouteScope.nowhere, protocol: target.protocol, flags: 0 };
  return encodeRoute(head, target, kind);
}

/** Removes an IPv4 blackhole only if it has the protocol number. */
export function encodeBlackholeRemoval(sequence: number, target: BlackholeRemovalTarget): Uint8Array {
  const flags = MessageFlag.request | MessageFlag.ack;
  const kind = { type: RouteType.blackhole, scope: RouteScope.nowhere, protocol: target.protocol, flags: 0 };
  const { body, destination } = bodyOf(target.prefix, kind);
  const metric = { type: RTA.metric, value: u32(target.metric) };
  return encodeMessage({ type: MessageType.delRoute, flags, sequence }, body, [destination, metric]);
}

/** What else stands in an rtmsg. */
interface RouteKind {
  readonly type: number;
  readonly scope: number;
  readonly protocol: number;
  readonly flags: number;
}

function ourRoute({ gateway, isOnLink, protocol = HOPSACK_ROUTE_PROTOCOL }: RouteTarget): RouteKind {
  const scope = gateway === null ? RouteScope.link : RouteScope.universe;
  return { type: RouteType.unicast, scope, protocol, flags: isOnLink ? RTNH_F_ONLINK : 0 };
}

function encodeRoute(
  head: Parameters<typeof encodeMessage>[0],
  target: Omit<RouteTarget, "isOnLink">,
  kind: RouteKind,
): Uint8Array {
  const { body, destination } = bodyOf(target.prefix, kind);
  const attributes: Attribute[] = [destination, { type: RTA.link, value: u32(target.linkIndex) }];
  if (target.gateway !== null) attributes.push({ type: RTA.gateway, value: addressBytes(target.gateway) });
  if (target.metric !== null) attributes.push({ type: RTA.metric, value: u32(target.metric) });
  return encodeMessage(head, body, attributes);
}

function bodyOf(prefix: string, { type, scope, protocol, flags }: RouteKind) {
  const { family, bytes, length } = addressAndLength(prefix);
  const body = Uint8Array.of(familyNumber(family), length, 0, 0, MAIN_TABLE, protocol, scope, type, ...u32(flags));
  return { body, destination: { type: RTA.destination, value: bytes } };
}

/** The payload of an RTM_NEWROUTE or RTM_DELROUTE; undefined when it is not an IP route, or only a cached one. */
export function parseRoute(payload: Uint8Array): Route | undefined {
  if (payload.length < BODY_BYTES) return undefined;
  const view = viewOf(payload);
  const family = familyOf(view.getUint8(0));
  const length = view.getUint8(1);
  const isCached = (view.getUint32(8, LITTLE_ENDIAN) & RTM_F_CLONED) !== 0;
  if (family === undefined || length > addressWidth(family) || isCached) return undefined;
  return routeOf(family, length, payload);
}

/** The answer to encodeRouteQuery: always a cached route, with the queried address as prefix. */
export function parseRouteAnswer(payload: Uint8Array): Route | undefined {
  const family = payload.length < BODY_BYTES ? undefined : familyOf(payload[0]);
  return family === undefined ? undefined : routeOf(family, addressWidth(family), payload);
}

/** The answer to encodeRouteQuery as a path; undefined for what leads nowhere, or to a router of the other family. */
export function parsePath(payload: Uint8Array): Path | undefined {
  const route = parseRouteAnswer(payload);
  const [hop] = route?.nextHops ?? [];
  if (route?.type !== RouteType.unicast || hop?.linkIndex == null) return undefined;
  const attributes = parseAttributes(payload.subarray(BODY_BYTES));
  if (attributes.has(RTA.via)) return undefined;
  const metrics = parseAttributes(attributes.get(RTA.metrics) ?? new Uint8Array());
  const neighbor = hop.gateway ?? readAddress(route.family, attributes.get(RTA.destination) ?? new Uint8Array());
  if (neighbor === undefined) return undefined;
  return { linkIndex: hop.linkIndex, neighbor, mtuBytes: readU32(metrics.get(RTAX_MTU)) ?? null };
}

function routeOf(family: IpFamily, length: number, payload: Uint8Array): Route | undefined {
  const view = viewOf(payload);
  const attributes = parseAttributes(payload.subarray(BODY_BYTES));
  const destination = attributes.get(RTA.destination);
  const base = destination === undefined ? formatAddress(family, 0n) : readAddress(family, destination);
  if (base === undefined) return undefined;
  return {
    family,
    prefix: `${base}/${length}`,
    table: readU32(attributes.get(RTA.table)) ?? view.getUint8(4),
    protocol: view.getUint8(5),
    scope: view.getUint8(6),
    type: view.getUint8(7),
    metric: readU32(attributes.get(RTA.metric)) ?? 0,
    preferredSource: readAddress(family, attributes.get(RTA.preferredSource)) ?? null,
    nextHops: readNextHops(family, attributes),
  };
}

function readNextHops(family: IpFamily, attributes: Attributes): NextHop[] {
  const multipath = attributes.get(RTA.multipath);
  if (multipath !== undefined) return readMultipath(family, multipath);
  const linkIndex = readU32(attributes.get(RTA.link)) ?? null;
  const gateway = readGateway(family, attributes);
  return linkIndex === null && gateway === null ? [] : [{ linkIndex, gateway }];
}

function readMultipath(family: IpFamily, bytes: Uint8Array): NextHop[] {
  const nextHops: NextHop[] = [];
  const view = viewOf(bytes);
  let offset = 0;
  while (offset + NEXT_HOP_BYTES <= bytes.length) {
    const length = view.getUint16(offset, LITTLE_ENDIAN);
    if (length < NEXT_HOP_BYTES || offset + length > bytes.length) break;
    const attributes = parseAttributes(bytes.subarray(offset + NEXT_HOP_BYTES, offset + length));
    const linkIndex = view.getInt32(offset + 4, LITTLE_ENDIAN);
    nextHops.push({ linkIndex, gateway: readGateway(family, attributes) });
    offset += aligned(length);
  }
  return nextHops;
}

/** RTA_VIA is a gateway of the other family: u16 family, then the address (RFC 5549). */
function readGateway(family: IpFamily, attributes: Attributes): string | null {
  const via = attributes.get(RTA.via);
  if (via === undefined || via.length < 2) return readAddress(family, attributes.get(RTA.gateway)) ?? null;
  const viaFamily = familyOf(viewOf(via).getUint16(0, LITTLE_ENDIAN));
  return viaFamily === undefined ? null : (readAddress(viaFamily, via.subarray(2)) ?? null);
}
