// IPv4 headers (RFC 791). Bytes in, values out: never throws, whatever the bytes.
import { formatIpv4 } from "../net/ipv4.js";
import { foldSum, sumWords } from "./checksum.js";

const IPV4_MIN_HEADER_BYTES = 20;

export interface Ipv4Packet {
  readonly headerBytes: number;
  readonly totalLength: number;
  readonly identification: number;
  readonly dontFragment: boolean;
  readonly moreFragments: boolean;
  /** In units of 8 bytes. */
  readonly fragmentOffset: number;
  readonly ttl: number;
  /** An IPPROTO_* number. */
  readonly protocol: number;
  readonly isHeaderChecksumCorrect: boolean;
  readonly source: string;
  readonly destination: string;
  /** What follows the header, cut to totalLength and to what was captured; a view, not a copy. */
  readonly payload: Uint8Array;
}

/** The packet's header, or undefined when `packet` does not begin with a whole IPv4 header. */
export function decodeIpv4(packet: Uint8Array): Ipv4Packet | undefined {
  if (packet.length < IPV4_MIN_HEADER_BYTES) return undefined;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const headerBytes = (view.getUint8(0) & 0x0f) * 4;
  const totalLength = view.getUint16(2);
  if (view.getUint8(0) >> 4 !== 4 || headerBytes < IPV4_MIN_HEADER_BYTES) return undefined;
  if (packet.length < headerBytes || totalLength < headerBytes) return undefined;
  const fragment = view.getUint16(6);
  return {
    headerBytes,
    totalLength,
    identification: view.getUint16(4),
    dontFragment: (fragment & 0x4000) !== 0,
    moreFragments: (fragment & 0x2000) !== 0,
    fragmentOffset: fragment & 0x1fff,
    ttl: view.getUint8(8),
    protocol: view.getUint8(9),
    isHeaderChecksumCorrect: foldSum(sumWords(packet.subarray(0, headerBytes))) === 0xffff,
    source: formatIpv4(view.getUint32(12)),
    destination: formatIpv4(view.getUint32(16)),
    payload: packet.subarray(headerBytes, totalLength),
  };
}
