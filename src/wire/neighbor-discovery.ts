// Neighbour solicitations and advertisements (RFC 4861 §4.3, §4.4), each a whole IPv6 packet. Never throws on bytes from
// outside.
//
//   IPv6 40 | type 1 | code 1 | checksum 2 | flags and reserved 4 | target 16 | options: type 1, eights of bytes 1, value
import { formatIpv6 } from "../net/ipv6.js";
import { isUnicastMac } from "../net/mac.js";
import { addressBytes } from "../net/prefix.js";
import { checkTransportChecksum, foldSum, IPPROTO_ICMPV6, sumWords } from "./checksum.js";
import { decodeIpv6, IPV6_HEADER_BYTES } from "./ipv6.js";

export const NEIGHBOR_SOLICITATION = 135;
const NEIGHBOR_ADVERTISEMENT = 136;
/** A router would have lowered it: whoever sent this is on the link. */
export const NEIGHBOR_HOP_LIMIT = 255;
const MESSAGE_BYTES = 24;
const CHECKSUM_OFFSET = 2;
const TARGET_OFFSET = 8;
const SOURCE_LINK_LAYER_ADDRESS = 1;
const TARGET_LINK_LAYER_ADDRESS = 2;
/** R: the target forwards packets. S: it was asked. O: what is known of it is outdated. */
const ROUTER_SOLICITED_OVERRIDE = 0xe0;

export interface NeighborSolicitation {
  /** Who asks: a unicast address. */
  readonly source: string;
  /** The asker's MAC, six bytes; null when it did not say. */
  readonly sourceMac: Uint8Array | null;
  /** Whose MAC is asked for. */
  readonly target: string;
}

/**
 * What an IPv6 packet asks; undefined when it is no valid solicitation (RFC 4861 §7.1.1), or asks only whether an address is
 * taken (its source is `::`).
 */
export function decodeNeighborSolicitation(packet: Uint8Array): NeighborSolicitation | undefined {
  const ip = decodeIpv6(packet);
  if (ip === undefined || ip.nextHeader !== IPPROTO_ICMPV6 || ip.hopLimit !== NEIGHBOR_HOP_LIMIT) return undefined;
  const { payload: message, source } = ip;
  if (message.length < MESSAGE_BYTES || message[0] !== NEIGHBOR_SOLICITATION || message[1] !== 0) return undefined;
  if (source === "::" || packet[8] === 0xff || checkTransportChecksum(packet) !== "correct") return undefined;
  const options = decodeOptions(message.subarray(MESSAGE_BYTES));
  const sourceMac = options?.get(SOURCE_LINK_LAYER_ADDRESS)?.subarray(0, 6) ?? null;
  if (options === undefined || (sourceMac !== null && !isUnicastMac(sourceMac))) return undefined;
  const view = new DataView(message.buffer, message.byteOffset + TARGET_OFFSET, 16);
  return { source, sourceMac, target: formatIpv6((view.getBigUint64(0) << 64n) | view.getBigUint64(8)) };
}

/** The values of options by their type, the first of each; undefined when one has no length, or is cut off. */
function decodeOptions(bytes: Uint8Array): Map<number, Uint8Array> | undefined {
  const options = new Map<number, Uint8Array>();
  let rest = bytes;
  while (rest.length > 0) {
    const [type = 0, eights = 0] = rest;
    if (eights === 0 || rest.length < eights * 8) return undefined;
    if (!options.has(type)) options.set(type, rest.subarray(2, eights * 8));
    rest = rest.subarray(eights * 8);
  }
  return options;
}

/** The answer that the address asked for is at `mac` (six bytes), and forwards packets. */
export function encodeNeighborAdvertisement({ source, target }: NeighborSolicitation, mac: Uint8Array): Uint8Array {
  const addresses = Uint8Array.of(...addressBytes(target), ...addressBytes(source));
  const option = Uint8Array.of(TARGET_LINK_LAYER_ADDRESS, 1, ...mac);
  const flags = Uint8Array.of(ROUTER_SOLICITED_OVERRIDE, 0, 0, 0);
  const message = Uint8Array.of(NEIGHBOR_ADVERTISEMENT, 0, 0, 0, ...flags, ...addressBytes(target), ...option);
  const sum = sumWords(addresses) + IPPROTO_ICMPV6 + message.length + sumWords(message);
  new DataView(message.buffer).setUint16(CHECKSUM_OFFSET, 0xffff - foldSum(sum));
  const header = new Uint8Array(IPV6_HEADER_BYTES);
  header.set([0x60, 0, 0, 0, 0, message.length, IPPROTO_ICMPV6, NEIGHBOR_HOP_LIMIT]);
  header.set(addresses, 8);
  return Uint8Array.of(...header, ...message);
}
