// RTM_*NEIGH messages (linux/neighbour.h) ⇄ Neighbor and FdbEntry. Pure. One message type, two tables: the neighbours of a link
// (IP address → MAC, AF_INET and AF_INET6), and a VXLAN device's forwarding database (MAC → outer address, AF_BRIDGE).
import { formatMac, parseMac } from "../net/mac.js";
import { addressBytes, type IpFamily } from "../net/prefix.js";
import { familyNumber, familyOf, readAddress } from "./ip.js";
import {
  AddressFamily,
  type Attribute,
  encodeMessage,
  LITTLE_ENDIAN,
  MessageFlag,
  MessageType,
  parseAttributes,
  u32,
  viewOf,
} from "./message.js";

/** An entry of the ARP or neighbour discovery table. */
export interface Neighbor {
  readonly linkIndex: number;
  readonly family: IpFamily;
  readonly address: string;
  /** Six octets with colons; null while it is not known. */
  readonly macAddress: string | null;
  /** Set by hand or by a program; never asked for again. */
  readonly isPermanent: boolean;
}

/** Where a VXLAN device sends the frames of one MAC. */
export interface FdbEntry {
  readonly linkIndex: number;
  readonly macAddress: string;
  readonly endpoint: string | null;
  readonly isPermanent: boolean;
  /** Has a port, VNI or link of its own instead of the device's. */
  readonly isSpecial: boolean;
}

export type NeighborTarget = Pick<Neighbor, "linkIndex" | "address"> & { readonly macAddress: string };
export type FdbTarget = Pick<FdbEntry, "linkIndex" | "macAddress"> & { readonly endpoint: string };

const NDA = { destination: 1, macAddress: 2, port: 6, vni: 7, link: 8 };
const NUD_PERMANENT = 0x80;
const NTF_SELF = 0x02;

/** ndmsg: family, pad, i32 link index, u16 state, flags, type. */
const BODY_BYTES = 12;

/** A dump of one link's neighbours of both families. */
export function encodeNeighborDump(sequence: number, linkIndex: number): Uint8Array {
  return encodeDump(sequence, AddressFamily.unspecified, linkIndex);
}

/** A dump of one link's forwarding database. */
export function encodeFdbDump(sequence: number, linkIndex: number): Uint8Array {
  return encodeDump(sequence, AddressFamily.bridge, linkIndex);
}

function encodeDump(sequence: number, family: number, linkIndex: number): Uint8Array {
  const flags = MessageFlag.request | MessageFlag.dump;
  const attributes = [{ type: NDA.link, value: u32(linkIndex) }];
  const body = neighborBody(family, 0, 0, 0);
  return encodeMessage({ type: MessageType.getNeighbor, flags, sequence }, body, attributes);
}

/** Takes the place of whatever entry the address has. */
export function encodeNeighborSet(sequence: number, target: NeighborTarget): Uint8Array {
  const address = addressBytes(target.address);
  const attributes = [{ type: NDA.destination, value: address }, macAttribute(target.macAddress)];
  const body = neighborBody(familyNumber(address.length === 4 ? 4 : 6), target.linkIndex, NUD_PERMANENT, 0);
  return encodeMessage({ type: MessageType.newNeighbor, flags: SET_FLAGS, sequence }, body, attributes);
}

export function encodeNeighborRemoval(sequence: number, target: Omit<NeighborTarget, "macAddress">): Uint8Array {
  const address = addressBytes(target.address);
  const body = neighborBody(familyNumber(address.length === 4 ? 4 : 6), target.linkIndex, 0, 0);
  const attributes = [{ type: NDA.destination, value: address }];
  return encodeMessage({ type: MessageType.delNeighbor, flags: REMOVAL_FLAGS, sequence }, body, attributes);
}

/** Takes the place of whatever entry the MAC has. */
export function encodeFdbSet(sequence: number, target: FdbTarget): Uint8Array {
  const attributes = [macAttribute(target.macAddress), { type: NDA.destination, value: addressBytes(target.endpoint) }];
  const body = neighborBody(AddressFamily.bridge, target.linkIndex, NUD_PERMANENT, NTF_SELF);
  return encodeMessage({ type: MessageType.newNeighbor, flags: SET_FLAGS, sequence }, body, attributes);
}

/** With every outer address the MAC has. */
export function encodeFdbRemoval(sequence: number, target: Omit<FdbTarget, "endpoint">): Uint8Array {
  const body = neighborBody(AddressFamily.bridge, target.linkIndex, 0, NTF_SELF);
  const attributes = [macAttribute(target.macAddress)];
  return encodeMessage({ type: MessageType.delNeighbor, flags: REMOVAL_FLAGS, sequence }, body, attributes);
}

const SET_FLAGS = MessageFlag.request | MessageFlag.ack | MessageFlag.create | MessageFlag.replace;
const REMOVAL_FLAGS = MessageFlag.request | MessageFlag.ack;

function neighborBody(family: number, linkIndex: number, state: number, flags: number): Uint8Array {
  const body = new Uint8Array(BODY_BYTES);
  const view = viewOf(body);
  view.setUint8(0, family);
  view.setInt32(4, linkIndex, LITTLE_ENDIAN);
  view.setUint16(8, state, LITTLE_ENDIAN);
  view.setUint8(10, flags);
  return body;
}

function macAttribute(text: string): Attribute {
  const value = parseMac(text);
  if (value === undefined) throw new TypeError(`not a MAC address: ${JSON.stringify(text)}`);
  return { type: NDA.macAddress, value };
}

/** The payload of an RTM_NEWNEIGH or RTM_DELNEIGH; undefined when it is not of an IP neighbour. */
export function parseNeighbor(payload: Uint8Array): Neighbor | undefined {
  if (payload.length < BODY_BYTES) return undefined;
  const view = viewOf(payload);
  const family = familyOf(view.getUint8(0));
  if (family === undefined) return undefined;
  const attributes = parseAttributes(payload.subarray(BODY_BYTES));
  const address = readAddress(family, attributes.get(NDA.destination));
  if (address === undefined) return undefined;
  const mac = attributes.get(NDA.macAddress);
  return {
    linkIndex: view.getInt32(4, LITTLE_ENDIAN),
    family,
    address,
    macAddress: mac === undefined || mac.length === 0 ? null : formatMac(mac),
    isPermanent: (view.getUint16(8, LITTLE_ENDIAN) & NUD_PERMANENT) !== 0,
  };
}

/** The payload of an RTM_NEWNEIGH or RTM_DELNEIGH; undefined when it is not of a forwarding database. */
export function parseFdbEntry(payload: Uint8Array): FdbEntry | undefined {
  if (payload.length < BODY_BYTES) return undefined;
  const view = viewOf(payload);
  if (view.getUint8(0) !== AddressFamily.bridge) return undefined;
  const attributes = parseAttributes(payload.subarray(BODY_BYTES));
  const mac = attributes.get(NDA.macAddress);
  if (mac === undefined) return undefined;
  const destination = attributes.get(NDA.destination);
  return {
    linkIndex: view.getInt32(4, LITTLE_ENDIAN),
    macAddress: formatMac(mac),
    endpoint: readAddress(4, destination) ?? readAddress(6, destination) ?? null,
    isPermanent: (view.getUint16(8, LITTLE_ENDIAN) & NUD_PERMANENT) !== 0,
    isSpecial: attributes.has(NDA.port) || attributes.has(NDA.vni) || attributes.has(NDA.link),
  };
}

/** The link that an RTM_NEWNEIGH or RTM_DELNEIGH is about: cheap, since a busy host tells of many every second. */
export function linkOfNeighborMessage(payload: Uint8Array): number {
  return payload.length < BODY_BYTES ? 0 : viewOf(payload).getInt32(4, LITTLE_ENDIAN);
}
