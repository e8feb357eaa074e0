// IPv6 headers (RFC 8200), without extension headers. Bytes in, values out: never throws, whatever the bytes.
import { formatIpv6 } from "../net/ipv6.js";

export const IPV6_HEADER_BYTES = 40;

export interface Ipv6Packet {
  readonly trafficClass: number;
  readonly flowLabel: number;
  readonly payloadLength: number;
  /** An IPPROTO_* number, or that of an extension header, which is then the beginning of `payload`. */
  readonly nextHeader: number;
  readonly hopLimit: number;
  readonly source: string;
  readonly destination: string;
  /** What follows the header, cut to payloadLength and to what was captured; a view, not a copy. */
  readonly payload: Uint8Array;
}

/** The packet's header, or undefined when `packet` does not begin with a whole IPv6 header. */
export function decodeIpv6(packet: Uint8Array): Ipv6Packet | undefined {
  if (packet.length < IPV6_HEADER_BYTES) return undefined;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const first = view.getUint32(0);
  if (first >>> 28 !== 6) return undefined;
  const payloadLength = view.getUint16(4);
  return {
    trafficClass: (first >>> 20) & 0xff,
    flowLabel: first & 0xfffff,
    payloadLength,
    nextHeader: view.getUint8(6),
    hopLimit: view.getUint8(7),
    source: formatIpv6(readAddress(view, 8)),
    destination: formatIpv6(readAddress(view, 24)),
    payload: packet.subarray(IPV6_HEADER_BYTES, IPV6_HEADER_BYTES + payloadLength),
  };
}

function readAddress(view: DataView, offset: number): bigint {
  return (view.getBigUint64(offset) << 64n) | view.getBigUint64(offset + 8);
}
