// ICMP and ICMPv6 headers (RFC 792, RFC 4443), echo messages in full. Bytes in, values out: never throws.

export const ICMP_HEADER_BYTES = 8;

const ICMP_NAMES: Readonly<Record<number, string>> = {
  0: "Echo reply",
  3: "Destination unreachable",
  8: "Echo request",
  11: "Time exceeded",
};

const ICMPV6_NAMES: Readonly<Record<number, string>> = {
  1: "Destination unreachable",
  2: "Packet too big",
  3: "Time exceeded",
  128: "Echo request",
  129: "Echo reply",
  133: "Router solicitation",
  134: "Router advertisement",
  135: "Neighbour solicitation",
  136: "Neighbour advertisement",
};

export interface IcmpMessage {
  readonly type: number;
  readonly code: number;
  /** What a person calls the type, `Type 42` when it has no name here. */
  readonly name: string;
  /** Identifier and sequence number of echo messages, else null. */
  readonly echo: { readonly identifier: number; readonly sequence: number } | null;
  /** Of an error: the beginning of the packet it is about, a view; else null. */
  readonly quoted: Uint8Array | null;
  readonly payload: Uint8Array;
}

/** The message's header, or undefined when `bytes` does not begin with a whole ICMP header. */
export function decodeIcmp(bytes: Uint8Array, family: 4 | 6): IcmpMessage | undefined {
  if (bytes.length < ICMP_HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const type = view.getUint8(0);
  const isEcho = family === 4 ? type === 0 || type === 8 : type === 128 || type === 129;
  const isError = family === 4 ? [3, 11, 12].includes(type) : type < 128;
  const payload = bytes.subarray(ICMP_HEADER_BYTES);
  return {
    type,
    code: view.getUint8(1),
    name: (family === 4 ? ICMP_NAMES : ICMPV6_NAMES)[type] ?? `Type ${type}`,
    echo: isEcho ? { identifier: view.getUint16(4), sequence: view.getUint16(6) } : null,
    quoted: isError ? payload : null,
    payload,
  };
}
