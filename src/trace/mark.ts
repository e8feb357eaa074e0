// The one packet that a trace follows: how it is known again in whatever it is wrapped, to a capture and to nftables. Pure.
import { fieldOf, type Sighting } from "../capture/sighting.js";
import type { Layer } from "../wire/dissect.js";

export type MarkProtocol = "icmp" | "tcp" | "udp";

export interface Mark {
  readonly protocol: MarkProtocol;
  readonly source: string;
  readonly destination: string;
  /** Of 16 bits: the identifier of an echo request, else the source port. */
  readonly id: number;
  /** The destination port; null: an echo request. */
  readonly port: number | null;
}

/** `error`: an ICMP error about it, from whoever could not carry it. */
export type Way = "there" | "back" | "error";

const ICMP_ID_OFFSET = 4;
const IPV4_DESTINATION_BITS = 128;
const IPV4_HEADER_BITS = 160;
const ETHERNET_BITS = 112;
const UDP_BITS = 64;
const VXLAN_BITS = 64;

/** Which way the packet goes that was seen; null: it is another one. */
export function wayOf({ layers, bytes }: Sighting, mark: Mark): Way | null {
  for (const [index, layer] of layers.entries()) {
    const ip = layers[index - 1];
    if (ip?.title !== "IPv4") continue;
    if (layer.title === "ICMP" && isAbout(layer, bytes, mark)) return "error";
    const isThere = fieldOf(ip, "source") === mark.source && fieldOf(ip, "destination") === mark.destination;
    const isBack = fieldOf(ip, "source") === mark.destination && fieldOf(ip, "destination") === mark.source;
    if (isThere && carries(layer, mark, "there")) return "there";
    if (isBack && carries(layer, mark, "back")) return "back";
  }
  return null;
}

function carries(layer: Layer, { protocol, id, port }: Mark, way: "there" | "back"): boolean {
  if (layer.title.toLowerCase() !== protocol) return false;
  if (protocol === "icmp") {
    const kind = way === "there" ? "Echo request" : "Echo reply";
    return fieldOf(layer, "type, code").startsWith(kind) && fieldOf(layer, "identifier") === `${id}`;
  }
  const ports = [fieldOf(layer, "source port"), fieldOf(layer, "destination port")];
  const [from, to] = way === "there" ? ports : ports.toReversed();
  return from === `${id}` && to === `${port}`;
}

/** An error quotes the packet's header and at least eight bytes behind it. */
function isAbout(layer: Layer, bytes: Uint8Array, { protocol, source, destination, id }: Mark): boolean {
  const quote = layer.fields.find(({ label }) => label === "about");
  if (quote?.value !== `${source} → ${destination}`) return false;
  const headerBytes = ((bytes[quote.offset] ?? 0) & 0x0f) * 4;
  const at = quote.offset + headerBytes + (protocol === "icmp" ? ICMP_ID_OFFSET : 0);
  return (((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)) === id;
}

/** Matches of nftables for the packet itself, and for it in each wrapping: where its destination and number lie behind the outer header. */
export function nftMatches({ protocol, source, destination, id, port }: Mark): string[] {
  const own =
    protocol === "icmp" ? `icmp id ${id} icmp type echo-request` : `${protocol} sport ${id} ${protocol} dport ${port}`;
  const wrapped = (protocolMatch: string, innerBits: number): string => {
    const idBits = innerBits + IPV4_HEADER_BITS + (protocol === "icmp" ? ICMP_ID_OFFSET * 8 : 0);
    return `${protocolMatch} @th,${innerBits + IPV4_DESTINATION_BITS},32 ${hexAddress(destination)} @th,${idBits},16 ${id}`;
  };
  return [
    `ip saddr ${source} ip daddr ${destination} ${own}`,
    wrapped("ip protocol udp", UDP_BITS),
    wrapped("ip protocol udp", UDP_BITS + VXLAN_BITS + ETHERNET_BITS),
    wrapped("ip protocol 4", 0),
  ];
}

function hexAddress(address: string): string {
  return `0x${address
    .split(".")
    .map((part) => Number(part).toString(16).padStart(2, "0"))
    .join("")}`;
}
