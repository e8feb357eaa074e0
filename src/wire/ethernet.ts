// Ethernet II headers (IEEE 802.3), without VLAN tags. Never throws on bytes from outside.
import { formatMac } from "../net/mac.js";

export const ETHERNET_HEADER_BYTES = 14;
export const ETHER_TYPE_IPV4 = 0x0800;
export const ETHER_TYPE_ARP = 0x0806;
export const ETHER_TYPE_IPV6 = 0x86dd;

export interface EthernetFrame {
  /** Lower-case MAC addresses, `52:54:00:12:34:56`. */
  readonly destination: string;
  readonly source: string;
  readonly etherType: number;
  /** A view on the frame, not a copy. */
  readonly payload: Uint8Array;
}

/** The frame's header, or undefined when `frame` is shorter than one. */
export function decodeEthernet(frame: Uint8Array): EthernetFrame | undefined {
  if (frame.length < ETHERNET_HEADER_BYTES) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  return {
    destination: formatMac(frame.subarray(0, 6)),
    source: formatMac(frame.subarray(6, 12)),
    etherType: view.getUint16(12),
    payload: frame.subarray(ETHERNET_HEADER_BYTES),
  };
}

/** The 14 bytes in front of a payload. @param destination, source six bytes each */
export function encodeEthernetHeader(destination: Uint8Array, source: Uint8Array, etherType: number): Uint8Array {
  return Uint8Array.of(...destination, ...source, etherType >>> 8, etherType & 0xff);
}
