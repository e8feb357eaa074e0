// Takes a captured frame apart into layers and fields with their byte offsets, as Wireshark's middle pane shows them.
// Knows the tunnels' UDP ports, so that it goes on into the inner packet. Pure; never throws, whatever the bytes.
import { ARP_BYTES, decodeArp } from "./arp.js";
import {
  checkTransportChecksum,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_IPIP,
  IPPROTO_TCP,
  IPPROTO_UDP,
} from "./checksum.js";
import { decodeEthernet, ETHER_TYPE_ARP, ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, ETHERNET_HEADER_BYTES } from "./ethernet.js";
import { decodeIcmp, ICMP_HEADER_BYTES } from "./icmp.js";
import { decodeIpv4 } from "./ipv4.js";
import { decodeIpv6, IPV6_HEADER_BYTES } from "./ipv6.js";
import { decodeTcp } from "./tcp.js";
import { decodeUdp, UDP_HEADER_BYTES } from "./udp.js";
import { decodeVxlan, VXLAN_HEADER_BYTES, VXLAN_VNI_OFFSET } from "./vxlan.js";

export interface Field {
  /** From the beginning of what was captured, in bytes. */
  readonly offset: number;
  readonly length: number;
  readonly label: string;
  readonly value: string;
}

export interface Layer {
  readonly title: string;
  readonly offset: number;
  readonly length: number;
  readonly fields: readonly Field[];
}

/** Tunnels in tunnels: what has more is made to confuse. */
const MAX_LAYERS = 32;

/** UDP destination ports, by what a datagram to them holds. */
export interface TunnelPorts {
  /** Bare IP packets, as in UDP mode. */
  readonly bare: readonly number[];
  readonly vxlan: readonly number[];
}

/** flannel's, and the one that IANA gave to VXLAN. */
export const USUAL_PORTS: TunnelPorts = { bare: [8285], vxlan: [8472, 4789] };

/** Bytes under inspection, and the layers found so far. */
interface Dissection {
  readonly bytes: Uint8Array;
  readonly ports: TunnelPorts;
  readonly layers: Layer[];
}

/** The layers of an Ethernet frame, outermost first; none when it is too short for Ethernet. */
export function dissectFrame(frame: Uint8Array, ports: TunnelPorts): Layer[] {
  const dissection: Dissection = { bytes: frame, ports, layers: [] };
  addEthernet(dissection, frame);
  return dissection.layers;
}

/** The same of what has no Ethernet header, as a TUN device and a cooked capture have it. */
export function dissectPacket(packet: Uint8Array, etherType: number, ports: TunnelPorts): Layer[] {
  const dissection: Dissection = { bytes: packet, ports, layers: [] };
  addNetwork(dissection, etherType, packet);
  return dissection.layers;
}

// Each of the functions that go into a packet tells how many bytes the packet has; 0: it is none.

function addEthernet(dissection: Dissection, frame: Uint8Array): number {
  const ethernet = decodeEthernet(frame);
  if (ethernet === undefined) return 0;
  addLayer(dissection, "Ethernet", frame, ETHERNET_HEADER_BYTES, [
    [0, 6, "destination", ethernet.destination],
    [6, 6, "source", ethernet.source],
    [12, 2, "type", `${etherTypeName(ethernet.etherType)} (${hex(ethernet.etherType, 4)})`],
  ]);
  const inner = addNetwork(dissection, ethernet.etherType, ethernet.payload);
  return inner === 0 ? 0 : ETHERNET_HEADER_BYTES + inner;
}

function addNetwork(dissection: Dissection, etherType: number, bytes: Uint8Array): number {
  if (etherType === ETHER_TYPE_IPV4 || etherType === ETHER_TYPE_IPV6) return addIp(dissection, bytes);
  return etherType === ETHER_TYPE_ARP ? addArp(dissection, bytes) : 0;
}

function addArp(dissection: Dissection, bytes: Uint8Array): number {
  const arp = decodeArp(bytes);
  if (arp === undefined) return 0;
  addLayer(dissection, "ARP", bytes, ARP_BYTES, [
    [6, 2, "operation", arp.operation === 1 ? "request (1)" : `reply (${arp.operation})`],
    [8, 6, "sender MAC", arp.senderMac],
    [14, 4, "sender", arp.senderAddress],
    [24, 4, "target", arp.target],
  ]);
  return ARP_BYTES;
}

function addIp(dissection: Dissection, packet: Uint8Array): number {
  if (dissection.layers.length >= MAX_LAYERS) return 0;
  const v4 = decodeIpv4(packet);
  if (v4 !== undefined) {
    const flags = [v4.dontFragment ? "don't fragment" : "", v4.moreFragments ? "more fragments" : ""].filter(Boolean);
    addLayer(dissection, "IPv4", packet, v4.headerBytes, [
      [0, 1, "version, header", `4, ${v4.headerBytes} bytes (${hex(packet[0] ?? 0, 2)})`],
      [2, 2, "total length", `${v4.totalLength} bytes`],
      [6, 2, "flags", flags.join(", ") || "none"],
      [8, 1, "time to live", `${v4.ttl}`],
      [9, 1, "protocol", protocolName(v4.protocol)],
      [10, 2, "checksum", v4.isHeaderChecksumCorrect ? "correct" : "wrong"],
      [12, 4, "source", v4.source],
      [16, 4, "destination", v4.destination],
    ]);
    if (v4.fragmentOffset === 0) addTransport(dissection, packet, v4.protocol, v4.payload, 4);
    return v4.totalLength;
  }
  const v6 = decodeIpv6(packet);
  if (v6 === undefined) return 0;
  addLayer(dissection, "IPv6", packet, IPV6_HEADER_BYTES, [
    [0, 1, "version", `6 (${hex(packet[0] ?? 0, 2)})`],
    [4, 2, "payload length", `${v6.payloadLength} bytes`],
    [6, 1, "next header", protocolName(v6.nextHeader)],
    [7, 1, "hop limit", `${v6.hopLimit}`],
    [8, 16, "source", v6.source],
    [24, 16, "destination", v6.destination],
  ]);
  addTransport(dissection, packet, v6.nextHeader, v6.payload, 6);
  return IPV6_HEADER_BYTES + v6.payloadLength;
}

function addTransport(
  dissection: Dissection,
  packet: Uint8Array,
  protocol: number,
  payload: Uint8Array,
  family: 4 | 6,
): void {
  if (protocol === IPPROTO_IPIP) addIp(dissection, payload);
  if (protocol === IPPROTO_UDP) addUdp(dissection, packet, payload);
  if (protocol === IPPROTO_TCP) addTcp(dissection, packet, payload);
  if (protocol === (family === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) addIcmp(dissection, packet, payload, family);
}

function addUdp(dissection: Dissection, packet: Uint8Array, bytes: Uint8Array): void {
  const udp = decodeUdp(bytes);
  if (udp === undefined) return;
  addLayer(dissection, "UDP", bytes, UDP_HEADER_BYTES, [
    [0, 2, "source port", `${udp.sourcePort}`],
    [2, 2, "destination port", `${udp.destinationPort}`],
    [4, 2, "length", `${udp.length} bytes`],
    [6, 2, "checksum", `${hex(udp.checksum, 4)} (${checksumText(packet)})`],
  ]);
  const { bare, vxlan } = dissection.ports;
  const isBare = bare.includes(udp.destinationPort);
  if (!isBare && !vxlan.includes(udp.destinationPort)) {
    addPayload(dissection, udp.payload);
    return;
  }
  const first = isBare ? addIp(dissection, udp.payload) : addVxlan(dissection, udp.payload);
  addFollowing(dissection, udp.payload, first);
}

function addVxlan(dissection: Dissection, payload: Uint8Array): number {
  const vxlan = decodeVxlan(payload);
  if (vxlan === undefined) return 0;
  addLayer(dissection, "VXLAN", payload, VXLAN_HEADER_BYTES, [
    [0, 1, "flags", hex(payload[0] ?? 0, 2)],
    [VXLAN_VNI_OFFSET, 3, "VNI", vxlan.vni === null ? "none: the flag for it is missing" : `${vxlan.vni}`],
  ]);
  const inner = addEthernet(dissection, vxlan.frame);
  return inner === 0 ? 0 : VXLAN_HEADER_BYTES + inner;
}

/** A datagram that the kernel will cut, or has put together, has several packets of one length one behind the other. */
function addFollowing(dissection: Dissection, payload: Uint8Array, first: number): void {
  if (first === 0 || payload.length <= first) return;
  const rest = payload.subarray(first);
  const count = `${Math.ceil(rest.length / first)}`;
  addLayer(dissection, "More datagrams", rest, rest.length, [[0, rest.length, "count", count]]);
}

/** A sender on the same machine leaves the checksum to the network card, which a veth does not have. */
function checksumText(packet: Uint8Array): string {
  const verdict = checkTransportChecksum(packet);
  return verdict === "wrong" ? "left to the network card, or wrong" : verdict;
}

function addTcp(dissection: Dissection, packet: Uint8Array, bytes: Uint8Array): void {
  const tcp = decodeTcp(bytes);
  if (tcp === undefined) return;
  addLayer(dissection, "TCP", bytes, tcp.headerBytes, [
    [0, 2, "source port", `${tcp.sourcePort}`],
    [2, 2, "destination port", `${tcp.destinationPort}`],
    [4, 4, "sequence", `${tcp.sequence}`],
    [8, 4, "acknowledgement", `${tcp.acknowledgement}`],
    [13, 1, "flags", tcp.flags.join(" ") || "none"],
    [14, 2, "window", `${tcp.window}`],
    [16, 2, "checksum", checksumText(packet)],
  ]);
  addPayload(dissection, tcp.payload);
}

function addIcmp(dissection: Dissection, packet: Uint8Array, bytes: Uint8Array, family: 4 | 6): void {
  const icmp = decodeIcmp(bytes, family);
  if (icmp === undefined) return;
  const fields: RawField[] = [
    [0, 2, "type, code", `${icmp.name} (${icmp.type}, ${icmp.code})`],
    [2, 2, "checksum", checkTransportChecksum(packet)],
  ];
  if (icmp.echo !== null) {
    fields.push([4, 2, "identifier", `${icmp.echo.identifier}`], [6, 2, "sequence", `${icmp.echo.sequence}`]);
  }
  if (icmp.quoted !== null) fields.push([ICMP_HEADER_BYTES, icmp.quoted.length, "about", quotedText(icmp.quoted)]);
  addLayer(dissection, family === 4 ? "ICMP" : "ICMPv6", bytes, ICMP_HEADER_BYTES, fields);
  addPayload(dissection, icmp.payload);
}

/** Whose packet an error is about. */
function quotedText(packet: Uint8Array): string {
  const ip = decodeIpv4(packet) ?? decodeIpv6(packet);
  return ip === undefined ? "a packet cut short" : `${ip.source} → ${ip.destination}`;
}

function addPayload(dissection: Dissection, payload: Uint8Array): void {
  if (payload.length > 0) addLayer(dissection, "Payload", payload, payload.length, []);
}

/** Offset in the layer, length, label, value. */
type RawField = readonly [number, number, string, string];

function addLayer(
  dissection: Dissection,
  title: string,
  bytes: Uint8Array,
  length: number,
  fields: readonly RawField[],
): void {
  const offset = bytes.byteOffset - dissection.bytes.byteOffset;
  dissection.layers.push({
    title,
    offset,
    length,
    fields: fields.map(([at, size, label, value]) => ({ offset: offset + at, length: size, label, value })),
  });
}

function etherTypeName(etherType: number): string {
  const names = new Map([
    [ETHER_TYPE_IPV4, "IPv4"],
    [ETHER_TYPE_IPV6, "IPv6"],
    [ETHER_TYPE_ARP, "ARP"],
  ]);
  return names.get(etherType) ?? "other";
}

function protocolName(protocol: number): string {
  const names: Readonly<Record<number, string>> = { 1: "ICMP", 4: "IP-in-IP", 6: "TCP", 17: "UDP", 58: "ICMPv6" };
  const name = names[protocol];
  return name === undefined ? `${protocol}` : `${name} (${protocol})`;
}

function hex(value: number, digits: number): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}
