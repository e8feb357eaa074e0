// The frame of every netlink message: nlmsghdr, attributes, and the kernel's answer with its words (ext-ack). Pure; numbers
// are in this machine's byte order. Parsers return undefined for bytes that are none of that, and never throw.
import { endianness } from "node:os";

export const LITTLE_ENDIAN = endianness() === "LE";

/** linux/netlink.h, linux/rtnetlink.h */
export const MessageType = {
  error: 2,
  done: 3,
  newLink: 16,
  delLink: 17,
  getLink: 18,
  setLink: 19,
  newAddress: 20,
  delAddress: 21,
  getAddress: 22,
  newRoute: 24,
  delRoute: 25,
  getRoute: 26,
  newNeighbor: 28,
  delNeighbor: 29,
  getNeighbor: 30,
  newQdisc: 36,
  delQdisc: 37,
  newFilter: 44,
  delFilter: 45,
  getFilter: 46,
} as const;

export const MessageFlag = {
  request: 0x1,
  ack: 0x4,
  /** In answers of a dump: the table changed meanwhile, the dump is not one state. */
  dumpInterrupted: 0x10,
  /** In requests. */
  replace: 0x100,
  exclusive: 0x200,
  dump: 0x300,
  create: 0x400,
  /** In acknowledgements: the request is quoted without its payload. */
  capped: 0x100,
  /** In acknowledgements: attributes follow. */
  ackAttributes: 0x200,
} as const;

/** AF_UNSPEC, AF_INET, AF_BRIDGE, AF_INET6 */
export const AddressFamily = { unspecified: 0, inet: 2, bridge: 7, inet6: 10 } as const;

const HEADER_BYTES = 16;
const ATTRIBUTE_HEADER_BYTES = 4;
/** Without NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
const ATTRIBUTE_TYPE_MASK = 0x3fff;
const ACK_WORDS = 1; // NLMSGERR_ATTR_MSG
const INT_BYTES = 4;

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** A view into the message's bytes. */
  readonly payload: Uint8Array;
}

export interface Attribute {
  readonly type: number;
  readonly value: Uint8Array;
}

/** Values by type, views into the message; of two of one type the later one. */
export type Attributes = ReadonlyMap<number, Uint8Array>;

/** How a request ended: `errno` 0 is success, `words` the kernel's explanation. */
export interface Ack {
  readonly errno: number;
  readonly words: string | null;
}

/** A complete message, padded to 4 bytes. `body`: the fixed struct of the message type. */
export function encodeMessage(
  head: { readonly type: number; readonly flags: number; readonly sequence: number },
  body: Uint8Array,
  attributes: readonly Attribute[],
): Uint8Array {
  const attributesAt = HEADER_BYTES + aligned(body.length);
  const tail = encodeAttributes(attributes);
  const bytes = new Uint8Array(attributesAt + tail.length);
  const view = viewOf(bytes);
  view.setUint32(0, bytes.length, LITTLE_ENDIAN);
  view.setUint16(4, head.type, LITTLE_ENDIAN);
  view.setUint16(6, head.flags, LITTLE_ENDIAN);
  view.setUint32(8, head.sequence, LITTLE_ENDIAN);
  bytes.set(body, HEADER_BYTES);
  bytes.set(tail, attributesAt);
  return bytes;
}

/** Attributes one after the other, each padded to 4 bytes: the end of a message, or the value of a nested attribute. */
export function encodeAttributes(attributes: readonly Attribute[]): Uint8Array {
  const length = attributes.reduce((sum, { value }) => sum + ATTRIBUTE_HEADER_BYTES + aligned(value.length), 0);
  const bytes = new Uint8Array(length);
  const view = viewOf(bytes);
  let offset = 0;
  for (const { type, value } of attributes) {
    view.setUint16(offset, ATTRIBUTE_HEADER_BYTES + value.length, LITTLE_ENDIAN);
    view.setUint16(offset + 2, type, LITTLE_ENDIAN);
    bytes.set(value, offset + ATTRIBUTE_HEADER_BYTES);
    offset += ATTRIBUTE_HEADER_BYTES + aligned(value.length);
  }
  return bytes;
}

export function parseMessage(bytes: Uint8Array): NetlinkMessage | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const view = viewOf(bytes);
  const length = view.getUint32(0, LITTLE_ENDIAN);
  if (length < HEADER_BYTES || length > bytes.length) return undefined;
  return {
    type: view.getUint16(4, LITTLE_ENDIAN),
    flags: view.getUint16(6, LITTLE_ENDIAN),
    sequence: view.getUint32(8, LITTLE_ENDIAN),
    payload: bytes.subarray(HEADER_BYTES, length),
  };
}

/** The attributes up to the first that does not fit. */
export function parseAttributes(bytes: Uint8Array): Attributes {
  const attributes = new Map<number, Uint8Array>();
  const view = viewOf(bytes);
  let offset = 0;
  while (offset + ATTRIBUTE_HEADER_BYTES <= bytes.length) {
    const length = view.getUint16(offset, LITTLE_ENDIAN);
    if (length < ATTRIBUTE_HEADER_BYTES || offset + length > bytes.length) break;
    const type = view.getUint16(offset + 2, LITTLE_ENDIAN) & ATTRIBUTE_TYPE_MASK;
    attributes.set(type, bytes.subarray(offset + ATTRIBUTE_HEADER_BYTES, offset + length));
    offset += aligned(length);
  }
  return attributes;
}

/** The end of a request: an acknowledgement, a refusal, or the end of a dump. undefined: some other message. */
export function parseAck({ type, flags, payload }: NetlinkMessage): Ack | undefined {
  if (type !== MessageType.error && type !== MessageType.done) return undefined;
  if (payload.length < INT_BYTES) return type === MessageType.done ? { errno: 0, words: null } : undefined;
  const errno = -viewOf(payload).getInt32(0, LITTLE_ENDIAN);
  if ((flags & MessageFlag.ackAttributes) === 0) return { errno, words: null };
  const quotedBytes = type === MessageType.done ? 0 : quotedLength(payload, flags);
  const attributes = parseAttributes(payload.subarray(INT_BYTES + quotedBytes));
  return { errno, words: readText(attributes.get(ACK_WORDS)) ?? null };
}

/** Bytes of the quoted request, between the error number and the attributes. */
function quotedLength(payload: Uint8Array, flags: number): number {
  if ((flags & MessageFlag.capped) !== 0 || payload.length < 2 * INT_BYTES) return HEADER_BYTES;
  return aligned(viewOf(payload).getUint32(INT_BYTES, LITTLE_ENDIAN));
}

export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(INT_BYTES);
  viewOf(bytes).setUint32(0, value, LITTLE_ENDIAN);
  return bytes;
}

export function readU32(bytes: Uint8Array | undefined): number | undefined {
  return bytes === undefined || bytes.length < INT_BYTES ? undefined : viewOf(bytes).getUint32(0, LITTLE_ENDIAN);
}

export function u16(value: number): Uint8Array {
  const bytes = new Uint8Array(2);
  viewOf(bytes).setUint16(0, value, LITTLE_ENDIAN);
  return bytes;
}

export function readU16(bytes: Uint8Array | undefined): number | undefined {
  return bytes === undefined || bytes.length < 2 ? undefined : viewOf(bytes).getUint16(0, LITTLE_ENDIAN);
}

/** Ports stand in network order, whatever the machine's. */
export function u16BigEndian(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value & 0xff);
}

export function readU16BigEndian(bytes: Uint8Array | undefined): number | undefined {
  return bytes === undefined || bytes.length < 2 ? undefined : viewOf(bytes).getUint16(0);
}

/** With the NUL that the kernel wants. */
export function text(value: string): Uint8Array {
  return new TextEncoder().encode(`${value}\0`);
}

/** Text up to the first NUL, or to the end. */
export function readText(bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Rounded up to the 4 bytes that messages and attributes are aligned to. */
export function aligned(length: number): number {
  return (length + 3) & ~3;
}
