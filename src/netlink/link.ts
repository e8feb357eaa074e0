// RTM_*LINK messages (linux/if_link.h) ⇄ Link. Pure.
import {
  AddressFamily,
  type Attribute,
  encodeMessage,
  LITTLE_ENDIAN,
  MessageFlag,
  MessageType,
  parseAttributes,
  readText,
  readU32,
  u32,
  viewOf,
} from "./message.js";

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
  /** `tun`, `veth`, `bridge`, `vxlan` …; null for hardware and loopback. */
  readonly kind: string | null;
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
}

const IFLA = { address: 1, name: 3, mtu: 4, master: 10, txQueueLength: 13, info: 18, stats64: 23 };
const IFLA_INFO_KIND = 1;
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

export function encodeLinkChange(sequence: number, index: number, settings: LinkSettings): Uint8Array {
  const attributes: Attribute[] = [];
  const add = (type: number, value: number | null): void => {
    if (value !== null) attributes.push({ type, value: u32(value) });
  };
  add(IFLA.mtu, settings.mtuBytes);
  add(IFLA.txQueueLength, settings.txQueueLength);
  const flags = MessageFlag.request | MessageFlag.ack;
  return encodeMessage({ type: MessageType.setLink, flags, sequence }, linkBody(index, settings.isUp), attributes);
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
  const info = attributes.get(IFLA.info);
  return {
    index: view.getInt32(4, LITTLE_ENDIAN),
    name,
    mtuBytes: readU32(attributes.get(IFLA.mtu)) ?? 0,
    isUp: (flags & IFF.up) !== 0,
    isRunning: (flags & IFF.running) !== 0,
    isLoopback: (flags & IFF.loopback) !== 0,
    kind: (info === undefined ? undefined : readText(parseAttributes(info).get(IFLA_INFO_KIND))) ?? null,
    hardwareAddress: readHardwareAddress(attributes.get(IFLA.address)),
    masterIndex: readU32(attributes.get(IFLA.master)) ?? null,
    txQueueLength: readU32(attributes.get(IFLA.txQueueLength)) ?? 0,
    stats: readStats(attributes.get(IFLA.stats64)),
  };
}

function readHardwareAddress(bytes: Uint8Array | undefined): string | null {
  if (bytes === undefined || bytes.length === 0) return null;
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
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
