// What a VXLAN tunnel end in user space answers, as the kernel's device would: ARP requests (RFC 826) and neighbour
// solicitations (RFC 4861) for its address. Whoever has it as a static neighbour, as flannel and hopsack set it, never asks.
// Pure; the pump lets only questions of known hosts come here, and not many of them (native/pump/punt_queue.h).
import type { HeaderField } from "../addon.js";
import { type Lease, subnetsOf } from "../lease/lease.js";
import { formatMac } from "../net/mac.js";
import { ARP_REQUEST_START, decodeArpRequest, encodeArpReply } from "../wire/arp.js";
import { IPPROTO_ICMPV6 } from "../wire/checksum.js";
import {
  decodeEthernet,
  ETHER_TYPE_ARP,
  ETHER_TYPE_IPV6,
  ETHERNET_HEADER_BYTES,
  encodeEthernetHeader,
} from "../wire/ethernet.js";
import { IPV6_HEADER_BYTES } from "../wire/ipv6.js";
import {
  decodeNeighborSolicitation,
  encodeNeighborAdvertisement,
  NEIGHBOR_HOP_LIMIT,
  NEIGHBOR_SOLICITATION,
} from "../wire/neighbor-discovery.js";
import { decodeVxlan, encodeVxlanHeader, VXLAN_FLAG_VNI, VXLAN_HEADER_BYTES } from "../wire/vxlan.js";
import type { Questions } from "./backend.js";
import { baseAddress } from "./subnets.js";

/** Our end of the tunnel. */
export interface AnsweringEnd {
  readonly vni: number;
  /** Six bytes. */
  readonly mac: Uint8Array;
}

/** An answer as the payload of a frame, and whom the frame is for. */
interface Answer {
  readonly destination: Uint8Array;
  readonly payload: Uint8Array;
}

const FRAME_PAYLOAD_OFFSET = VXLAN_HEADER_BYTES + ETHERNET_HEADER_BYTES;
const NEXT_HEADER_OFFSET = 6;

export function questionsTo(end: AnsweringEnd): Questions {
  return { patterns: patterns(end.vni), answer: (own, datagram) => answer(end, own, datagram) };
}

/** In each the field first that other packets have least often. */
function patterns(vni: number): HeaderField[][] {
  const network = {
    offset: 0,
    value: encodeVxlanHeader(vni),
    mask: Uint8Array.of(VXLAN_FLAG_VNI, 0, 0, 0, 0xff, 0xff, 0xff, 0),
  };
  const nextHeaderAndHopLimit = Uint8Array.of(IPPROTO_ICMPV6, NEIGHBOR_HOP_LIMIT);
  return [
    [etherType(ETHER_TYPE_ARP), whole(FRAME_PAYLOAD_OFFSET, ARP_REQUEST_START), network],
    [
      whole(FRAME_PAYLOAD_OFFSET + NEXT_HEADER_OFFSET, nextHeaderAndHopLimit),
      whole(FRAME_PAYLOAD_OFFSET + IPV6_HEADER_BYTES, Uint8Array.of(NEIGHBOR_SOLICITATION)),
      etherType(ETHER_TYPE_IPV6),
      network,
    ],
  ];
}

function etherType(type: number): HeaderField {
  return whole(FRAME_PAYLOAD_OFFSET - 2, Uint8Array.of(type >>> 8, type & 0xff));
}

/** All bits of these bytes. */
function whole(offset: number, value: Uint8Array): HeaderField {
  return { offset, value, mask: new Uint8Array(value.length).fill(0xff) };
}

/** The datagram that goes back; null when nobody asked for us, or not in a form that can be answered. */
function answer({ vni, mac }: AnsweringEnd, own: Lease, datagram: Uint8Array): Uint8Array | null {
  const packet = decodeVxlan(datagram);
  const ethernet = packet?.vni === vni ? decodeEthernet(packet.frame) : undefined;
  if (ethernet === undefined || packet === undefined) return null;
  const isMulticast = ((packet.frame[0] ?? 0) & 1) === 1;
  if (!isMulticast && ethernet.destination !== formatMac(mac)) return null;
  const found =
    ethernet.etherType === ETHER_TYPE_ARP
      ? answerArp(ethernet.payload, own, mac)
      : answerSolicitation(ethernet.payload, own, mac, packet.frame.subarray(6, 12));
  if (found === null) return null;
  const header = encodeEthernetHeader(found.destination, mac, ethernet.etherType);
  return Uint8Array.of(...encodeVxlanHeader(vni), ...header, ...found.payload);
}

function answerArp(payload: Uint8Array, own: Lease, mac: Uint8Array): Answer | null {
  const request = decodeArpRequest(payload);
  if (request === undefined || !isOurs(own, request.target)) return null;
  return { destination: request.senderMac, payload: encodeArpReply(request, mac) };
}

/** @param frameSource whom the answer is for when the solicitation does not say */
function answerSolicitation(packet: Uint8Array, own: Lease, mac: Uint8Array, frameSource: Uint8Array): Answer | null {
  const solicitation = decodeNeighborSolicitation(packet);
  if (solicitation === undefined || !isOurs(own, solicitation.target)) return null;
  const destination = solicitation.sourceMac ?? frameSource;
  return { destination, payload: encodeNeighborAdvertisement(solicitation, mac) };
}

/** The tunnel end's address is the base of our subnet; containers behind it are reached by routes, never asked for. */
function isOurs(own: Lease, target: string): boolean {
  return subnetsOf(own).some((subnet) => baseAddress(subnet) === target);
}
