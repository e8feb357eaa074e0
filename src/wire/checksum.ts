// The Internet checksum (RFC 1071) and the checksums of UDP, TCP and ICMP over it, for checking what was captured.
import { decodeIpv4 } from "./ipv4.js";
import { decodeIpv6 } from "./ipv6.js";

export const IPPROTO_ICMP = 1;
/** An IPv4 packet in an IPv4 packet (RFC 2003). */
export const IPPROTO_IPIP = 4;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_ICMPV6 = 58;

/** "none": UDP over IPv4 without a checksum · "unknown": a fragment, not captured whole, or another protocol. */
export type ChecksumVerdict = "correct" | "wrong" | "none" | "unknown";

/** Sum of big-endian 16-bit words, an odd last byte padded with zero; not folded. At most 64 KB, so it stays exact. */
export function sumWords(bytes: Uint8Array): number {
  let sum = 0;
  for (let offset = 0; offset + 1 < bytes.length; offset += 2) {
    sum += ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
  }
  return bytes.length % 2 === 0 ? sum : sum + ((bytes[bytes.length - 1] ?? 0) << 8);
}

/** One's complement sum of 16 bits. A correct checksum makes the sum over everything it covers 0xffff. */
export function foldSum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  return folded;
}

/** Checks the UDP, TCP, ICMP or ICMPv6 checksum of a whole IP packet. */
export function checkTransportChecksum(packet: Uint8Array): ChecksumVerdict {
  const v4 = decodeIpv4(packet);
  if (v4 !== undefined) {
    const isWhole = v4.payload.length === v4.totalLength - v4.headerBytes;
    if (!isWhole || v4.moreFragments || v4.fragmentOffset !== 0) return "unknown";
    return checkOver(packet.subarray(12, 20), v4.protocol, v4.payload, true);
  }
  const v6 = decodeIpv6(packet);
  if (v6 === undefined || v6.payload.length !== v6.payloadLength) return "unknown";
  return checkOver(packet.subarray(8, 40), v6.nextHeader, v6.payload, false);
}

function checkOver(addresses: Uint8Array, protocol: number, payload: Uint8Array, isIpv4: boolean): ChecksumVerdict {
  if (payload.length < 8) return "unknown";
  const pseudoHeader = sumWords(addresses) + protocol + payload.length;
  switch (protocol) {
    case IPPROTO_ICMP:
      return verdict(sumWords(payload));
    case IPPROTO_UDP:
      if (payload[6] === 0 && payload[7] === 0) return isIpv4 ? "none" : "wrong";
      return verdict(pseudoHeader + sumWords(payload));
    case IPPROTO_TCP:
    case IPPROTO_ICMPV6:
      return verdict(pseudoHeader + sumWords(payload));
    default:
      return "unknown";
  }
}

function verdict(sum: number): ChecksumVerdict {
  return foldSum(sum) === 0xffff ? "correct" : "wrong";
}
