// RTM_*LINK messages (linux/if_link.h) ⇄ Link. Pure.
import { formatMac, parseMac } from "../net/mac.js";
import { encodeImpossibleIpip, encodeIpip, type IpipParameters, type NewIpip, parseIpip } from "./ipip.js";
import {
  AddressFamily,
  type Attribute,
  encodeAttributes,
  encodeMessage,
  LITTLE_ENDIAN,
  MessageFlag,
  MessageType,
  parseAttributes,
  readText,
  readU32,
  text,
  u32,
  viewOf,
} from "./message.js";
import { encodeVxlan, type NewVxlan, parseVxlan, type VxlanParameters } from "./vxlan.js";

/** A network device as the kernel shows it. */
export interface Link {
  readonly index: number;
  readonly name: string;
  readonly mtuBytes: number;
  /** Switched on (IFF_UP). */
  readonly isUp: boolean;
  /** Switched on, and with carrier where the device knows it (IFF_RUNNING). */
  readonly isRunning: boolean;
  readonly isLoopback: boolean;
  /** `tun`, `veth`, `bridge`, `vxlan`, `ipip` …; null for hardware and loopback. */
  readonly kind: string | null;
  /** Of a VXLAN device. */
  readonly vxlan: VxlanParameters | null;
  /** Of an ipip device. */
  readonly ipip: IpipParameters | null;
  /** Free text for people and programs (`ip link set … alias`). */
  readonly alias: string | null;
  /** Hardware address in hex with colons; null when the device has none. */
  readonly hardwareAddress: string | null;
  /** Index of the bridge or bond it belongs to. */
  readonly masterIndex: number | null;
  readonly txQueueLength: number;
  /** Counts since the device was made; exact up to 2^53. */
  readonly stats: LinkStats | null;
}

interface LinkStats {
  readonly rxPackets: number;
  readonly txPackets: number;
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly rxDropped: number;
  /** On a TUN device: packets that found its queue full. */
  readonly txDropped: number;
}

/** What to change on a link; null leaves it alone. */
export interface LinkSettings {
  readonly isUp: boolean | null;
  readonly mtuBytes: number | null;
  readonly txQueueLength: number | null;
  readonly name: string | null;
  readonly alias: string | null;
  readonly hardwareAddress: string | null;
}

/** Changes nothing; a base to spread. */
export const NO_SETTINGS: LinkSettings = {
  isUp: null,
  mtuBytes: null,
  txQueueLength: null,
  name: null,
  alias: null,
  hardwareAddress: null,
};

/** A VXLAN device that is to be made. The kernel ignores an alias given at this point. */
export interface NewVxlanLink {
  readonly linkName: string;
  readonly mtuBytes: number;
  readonly hardwareAddress: string;
  readonly vxlan: NewVxlan;
}

/** An ipip device that is to be made, as {@link NewVxlanLink}. */
export interface NewIpipLink {
  readonly linkName: string;
  readonly mtuBytes: number;
  readonly ipip: NewIpip;
}

/** Two joined devices that are to be made. */
export interface NewVethLink {
  readonly linkName: string;
  readonly mtuBytes: number;
  readonly peerName: string;
  /** An open descriptor of the peer's namespace; null: this one. */
  readonly peerNetnsFd: number | null;
  /** Of each end, so that as many processors may carry packets at once; null: as the kernel has it. */
  readonly queues: number | null;
}

const IFLA = {
  address: 1,
  name: 3,
  mtu: 4,
  master: 10,
  txQueueLength: 13,
  info: 18,
  alias: 20,
  stats64: 23,
  netnsFd: 28,
  txQueues: 31,
  rxQueues: 32,
};
const IFLA_INFO = { kind: 1, data: 2 };
/** linux/veth.h: an ifinfomsg and its attributes. */
const VETH_INFO_PEER = 1;
const IFF = { up: 0x1, loopback: 0x8, running: 0x40 };

/** ifinfomsg: family, pad, u16 type, i32 index, u32 flags, u32 change mask. */
const BODY_BYTES = 16;
/** rtnl_link_stats64: eight and more u64. */
const STATS_BYTES = 64;

/** A dump of all links. */
export function encodeLinkDump(sequence: number): Uint8Array {
  const flags = MessageFlag.request | MessageFlag.dump;
  return encodeMessage({ type: MessageType.getLink, flags, sequence }, linkBody(0, null), []);
}

/** One link by its name; ENODEV when there is none. */
export function encodeLinkQuery(sequence: number, name: string): Uint8Array {
  const flags = MessageFlag.request | MessageFlag.ack;
  const attributes = [{ type: IFLA.name, value: text(name) }];
  return encodeMessage({ type: MessageType.getLink, flags, sequence }, linkBody(0, null), attributes);
}

export function encodeLinkChange(sequence: number, index: number, settings: LinkSettings): Uint8Array {
  const attributes: Attribute[] = [];
  const add = (type: number, value: number | null): void => {
    if (value !== null) attributes.push({ type, value: u32(value) });
  };
  add(IFLA.mtu, settings.mtuBytes);
  add(IFLA.txQueueLength, settings.txQueueLength);
  if (settings.name !== null) attributes.push({ type: IFLA.name, value: text(settings.name) });
  if (settings.alias !== null) attributes.push({ type: IFLA.alias, value: text(settings.alias) });
  if (settings.hardwareAddress !== null) attributes.push(hardwareAddress(settings.hardwareAddress));
  const flags = MessageFlag.request | MessageFlag.ack;
  return encodeMessage({ type: MessageType.setLink, flags, sequence }, linkBody(index, settings.isUp), attributes);
}

/** Fails with EEXIST when there is a device of that name, or a VXLAN device of that VNI and port. */
export function encodeVxlanLinkAdd(sequence: number, link: NewVxlanLink): Uint8Array {
  const info = encodeAttributes([
    { type: IFLA_INFO.kind, value: text("vxlan") },
    { type: IFLA_INFO.data, value: encodeVxlan(link.vxlan) },
  ]);
  const attributes = [
    { type: IFLA.name, value: text(link.linkName) },
    { type: IFLA.mtu, value: u32(link.mtuBytes) },
    hardwareAddress(link.hardwareAddress),
    { type: IFLA.info, value: info },
  ];
  const flags = MessageFlag.request | MessageFlag.ack | MessageFlag.create | MessageFlag.exclusive;
  return encodeMessage({ type: MessageType.newLink, flags, sequence }, linkBody(0, null), attributes);
}

/** Fails with EEXIST when there is a device of that name, or an ipip device of that local address. */
export function encodeIpipLinkAdd(sequence: number, link: NewIpipLink): Uint8Array {
  const attributes = [
    { type: IFLA.name, value: text(link.linkName) },
    { type: IFLA.mtu, value: u32(link.mtuBytes) },
    { type: IFLA.info, value: ipipInfo(encodeIpip(link.ipip)) },
  ];
  const flags = MessageFlag.request | MessageFlag.ack | MessageFlag.create | MessageFlag.exclusive;
  return encodeMessage({ type: MessageType.newLink, flags, sequence }, linkBody(0, null), attributes);
}

/** Never makes a device: fails with EINVAL where the kernel has ipip, with EOPNOTSUPP where it has not. Loads the module. */
export function encodeIpipProbe(sequence: number): Uint8Array {
  const flags = MessageFlag.request | MessageFlag.ack | MessageFlag.create | MessageFlag.exclusive;
  const info = { type: IFLA.info, value: ipipInfo(encodeImpossibleIpip()) };
  return encodeMessage({ type: MessageType.newLink, flags, sequence }, linkBody(0, null), [info]);
}

function ipipInfo(data: Uint8Array): Uint8Array {
  return encodeAttributes([
    { type: IFLA_INFO.kind, value: text("ipip") },
    { type: IFLA_INFO.data, value: data },
  ]);
}

/** Fails with EEXIST when either name is taken in its namespace. */
export function encodeVethLinkAdd(sequence: number, link: NewVethLink): Uint8Array {
  const { peerNetnsFd, queues } = link;
  const both: Attribute[] = [{ type: IFLA.mtu, value: u32(link.mtuBytes) }];
  if (queues !== null) both.push(...[IFLA.txQueues, IFLA.rxQueues].map((type) => ({ type, value: u32(queues) })));
  const peer = encodeAttributes([
    { type: IFLA.name, value: text(link.peerName) },
    ...both,
    ...(peerNetnsFd === null ? [] : [{ type: IFLA.netnsFd, value: u32(peerNetnsFd) }]),
  ]);
  const data = encodeAttributes([{ type: VETH_INFO_PEER, value: Buffer.concat([linkBody(0, null), peer]) }]);
  const info = encodeAttributes([
    { type: IFLA_INFO.kind, value: text("veth") },
    { type: IFLA_INFO.data, value: data },
  ]);
  const attributes = [{ type: IFLA.name, value: text(link.linkName) }, ...both, { type: IFLA.info, value: info }];
  const flags = MessageFlag.request | MessageFlag.ack | MessageFlag.create | MessageFlag.exclusive;
  return encodeMessage({ type: MessageType.newLink, flags, sequence }, linkBody(0, null), attributes);
}

export function encodeLinkRemoval(sequence: number, index: number): Uint8Array {
  const flags = MessageFlag.request | MessageFlag.ack;
  return encodeMessage({ type: MessageType.delLink, flags, sequence }, linkBody(index, null), []);
}

function hardwareAddress(mac: string): Attribute {
  const value = parseMac(mac);
  if (value === undefined) throw new TypeError(`not a MAC address: ${JSON.stringify(mac)}`);
  return { type: IFLA.address, value };
}

function linkBody(index: number, isUp: boolean | null): Uint8Array {
  const body = new Uint8Array(BODY_BYTES);
  const view = viewOf(body);
  view.setUint8(0, AddressFamily.unspecified);
  view.setInt32(4, index, LITTLE_ENDIAN);
  view.setUint32(8, isUp === true ? IFF.up : 0, LITTLE_ENDIAN);
  view.setUint32(12, isUp === null ? 0 : IFF.up, LITTLE_ENDIAN);
  return body;
}

/** The payload of an RTM_NEWLINK or RTM_DELLINK; undefined when it is not of a named device. */
export function parseLink(payload: Uint8Array): Link | undefined {
  if (payload.length < BODY_BYTES) return undefined;
  const view = viewOf(payload);
  const flags = view.getUint32(8, LITTLE_ENDIAN);
  const attributes = parseAttributes(payload.subarray(BODY_BYTES));
  const name = readText(attributes.get(IFLA.name));
  if (name === undefined || name === "") return undefined;
  const info = parseAttributes(attributes.get(IFLA.info) ?? new Uint8Array());
  const kind = readText(info.get(IFLA_INFO.kind)) ?? null;
  const data = info.get(IFLA_INFO.data);
  return {
    index: view.getInt32(4, LITTLE_ENDIAN),
    name,
    mtuBytes: readU32(attributes.get(IFLA.mtu)) ?? 0,
    isUp: (flags & IFF.up) !== 0,
    isRunning: (flags & IFF.running) !== 0,
    isLoopback: (flags & IFF.loopback) !== 0,
    kind,
    vxlan: (kind === "vxlan" && data !== undefined ? parseVxlan(data) : undefined) ?? null,
    ipip: kind === "ipip" && data !== undefined ? parseIpip(data) : null,
    alias: readText(attributes.get(IFLA.alias)) || null,
    hardwareAddress: readHardwareAddress(attributes.get(IFLA.address)),
    masterIndex: readU32(attributes.get(IFLA.master)) ?? null,
    txQueueLength: readU32(attributes.get(IFLA.txQueueLength)) ?? 0,
    stats: readStats(attributes.get(IFLA.stats64)),
  };
}

function readHardwareAddress(bytes: Uint8Array | undefined): string | null {
  if (bytes === undefined || bytes.length === 0) return null;
  return formatMac(bytes);
}

function readStats(bytes: Uint8Array | undefined): LinkStats | null {
  if (bytes === undefined || bytes.length < STATS_BYTES) return null;
  const view = viewOf(bytes);
  const word = (index: number): number => Number(view.getBigUint64(8 * index, LITTLE_ENDIAN));
  return {
    rxPackets: word(0),
    txPackets: word(1),
    rxBytes: word(2),
    txBytes: word(3),
    rxDropped: word(6),
    txDropped: word(7),
  };
}
