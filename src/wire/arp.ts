// ARP for IPv4 over Ethernet (RFC 826): who asks for the MAC of an address, and the answer. Never throws on bytes from
// outside.
//
//   hardware 2 | protocol 2 | their lengths 1, 1 | operation 2 | sender MAC 6, address 4 | target MAC 6, address 4
import { formatIpv4 } from "../net/ipv4.js";
import { formatMac, isUnicastMac } from "../net/mac.js";
import { addressBytes } from "../net/prefix.js";

export const ARP_BYTES = 28;
const ETHERNET_AND_IPV4 = [0, 1, 0x08, 0x00, 6, 4] as const;
const REPLY = [0, 2] as const;
/** What every request begins with. */
export const ARP_REQUEST_START = Uint8Array.of(...ETHERNET_AND_IPV4, 0, 1);

export interface ArpRequest {
  /** Six bytes: a view, not a copy. */
  readonly senderMac: Uint8Array;
  readonly senderAddress: string;
  /** Whose MAC is asked for. */
  readonly target: string;
}

/** What an Ethernet payload asks; undefined when it is no whole request of somebody who can be answered. */
export function decodeArpRequest(payload: Uint8Array): ArpRequest | undefined {
  if (payload.length < ARP_BYTES || ARP_REQUEST_START.some((byte, offset) => payload[offset] !== byte))
    return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const senderMac = payload.subarray(8, 14);
  if (!isUnicastMac(senderMac)) return undefined;
  return { senderMac, senderAddress: formatIpv4(view.getUint32(14)), target: formatIpv4(view.getUint32(24)) };
}

export interface ArpMessage {
  /** 1 asks, 2 answers. */
  readonly operation: number;
  readonly senderMac: string;
  readonly senderAddress: string;
  /** Of a request: whose MAC is asked for. */
  readonly target: string;
}

/** Any ARP message for IPv4 over Ethernet, as somebody who looks on sees it. */
export function decodeArp(payload: Uint8Array): ArpMessage | undefined {
  if (payload.length < ARP_BYTES || ETHERNET_AND_IPV4.some((byte, offset) => payload[offset] !== byte))
    return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  return {
    operation: view.getUint16(6),
    senderMac: formatMac(payload.subarray(8, 14)),
    senderAddress: formatIpv4(view.getUint32(14)),
    target: formatIpv4(view.getUint32(24)),
  };
}

/** The answer that the address asked for is at `mac` (six bytes). */
export function encodeArpReply({ senderMac, senderAddress, target }: ArpRequest, mac: Uint8Array): Uint8Array {
  const [to, from] = [addressBytes(senderAddress), addressBytes(target)];
  return Uint8Array.of(...ETHERNET_AND_IPV4, ...REPLY, ...mac, ...from, ...senderMac, ...to);
}
