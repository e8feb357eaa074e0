// Takes a captured frame apart into layers and fields with their byte offsets, as Wireshark's middle pane shows them.
// Knows the tunnel's UDP port, so that it goes on into the inner packet. Pure; never throws, whatever the bytes.
import { checkTransportChecksum, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from "./checksum.js";
import { decodeEthernet, ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, ETHERNET_HEADER_BYTES } from "./ethernet.js";
import { decodeIcmp, ICMP_HEADER_BYTES } from "./icmp.js";
import { decodeIpv4 } from "./ipv4.js";
import { decodeIpv6, IPV6_HEADER_BYTES } from "./ipv6.js";
import { decodeTcp } from "./tcp.js";
import { decodeUdp, UDP_HEADER_BYTES } from "./udp.js";

export interface Field {
  /** From the beginning of the frame, in bytes. */
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

/** A frame under inspection: the layers found so far, and which UDP port carries bare IP packets. */
interface Dissection {
  readonly frame: Uint8Array;
  readonly tunnelPort: number;
  readonly layers: Layer[];
}

/**
 * The layers of an Ethernet frame, outermost first; none when it is too short for Ethernet.
 * @param tunnelPort UDP destination port whose payload is a bare IP packet (UDP mode: 8285)
 */
export function dissectFrame(frame: Uint8Array, tunnelPort: number): Layer[] {
  const ethernet = decodeEthernet(frame);
  if (ethernet === undefined) return [];
  const dissection: Dissection = { frame, tunnelPort, layers: [] };
  addLayer(dissection, "Ethernet", frame, ETHERNET_HEADER_BYTES, [
    [0, 6, "destination", ethernet.destination],
    [6, 6, "source", ethernet.source],
    [12, 2, "type", `${etherTypeName(ethernet.etherType)} (${hex(ethernet.etherType, 4)})`],
  ]);
  if (ethernet.etherType === ETHER_TYPE_IPV4 || ethernet.etherType === ETHER_TYPE_IPV6)
    addIp(dissection, ethernet.payload);
  return dissection.layers;
}

function addIp(dissection: Dissection, packet: Uint8Array): void {
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
    return;
  }
  const v6 = decodeIpv6(packet);
  if (v6 === undefined) return;
  addLayer(dissection, "IPv6", packet, IPV6_HEADER_BYTES, [
    [0, 1, "version", `6 (${hex(packet[0] ?? 0, 2)})`],
    [4, 2, "payload length", `${v6.payloadLength} bytes`],
    [6, 1, "next header", protocolName(v6.nextHeader)],
    [7, 1, "hop limit", `${v6.hopLimit}`],
    [8, 16, "source", v6.source],
    [24, 16, "destination", v6.destination],
  ]);
  addTransport(dissection, packet, v6.nextHeader, v6.payload, 6);
}

function addTransport(
  dissection: Dissection,
  packet: Uint8Array,
  protocol: number,
  payload: Uint8Array,
  family: 4 | 6,
): void {
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
    [6, 2, "checksum", `${hex(udp.checksum, 4)} (${outerChecksumText(packet)})`],
  ]);
  if (udp.destinationPort === dissection.tunnelPort) addIp(dissection, udp.payload);
}

/** A sender on the same machine leaves the outer checksum to the network card, which a veth does not have. */
function outerChecksumText(packet: Uint8Array): string {
  const verdict = checkTransportChecksum(packet);
  return verdict === "wrong" ? "left to the network card" : verdict;
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
    [16, 2, "checksum", checkTransportChecksum(packet)],
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
  addLayer(dissection, family === 4 ? "ICMP" : "ICMPv6", bytes, ICMP_HEADER_BYTES, fields);
  addPayload(dissection, icmp.payload);
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
  const offset = bytes.byteOffset - dissection.frame.byteOffset;
  dissection.layers.push({
    title,
    offset,
    length,
    fields: fields.map(([at, size, label, value]) => ({ offset: offset + at, length: size, label, value })),
  });
}

function etherTypeName(etherType: number): string {
  if (etherType === ETHER_TYPE_IPV4) return "IPv4";
  return etherType === ETHER_TYPE_IPV6 ? "IPv6" : "other";
}

function protocolName(protocol: number): string {
  const names: Readonly<Record<number, string>> = { 1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6" };
  const name = names[protocol];
  return name === undefined ? `${protocol}` : `${name} (${protocol})`;
}

function hex(value: number, digits: number): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}
