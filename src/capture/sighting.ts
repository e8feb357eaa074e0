// One packet as it was seen on one device: which way, how it is wrapped, its layers. Pure.
import { COOKED_HEADER_BYTES, type CookedPacket, decodeCooked } from "../wire/cooked.js";
import { dissectPacket, type Layer, type TunnelPorts } from "../wire/dissect.js";
import type { CapturedPacket } from "../wire/pcap.js";
import { parseProbe } from "../wire/probe.js";
import type { Link } from "./host.js";

/** How the packet is wrapped; `plain`: not at all. */
export type Kind = "plain" | "udp" | "vxlan" | "ipip" | "arp" | "other";

export interface Sighting {
  readonly timeSeconds: number;
  readonly device: string;
  readonly direction: CookedPacket["direction"];
  readonly kind: Kind;
  /** From the first IP header on, as it was on the device. */
  readonly lengthBytes: number;
  /** Longer than anything the device's link can carry: what the kernel handles as one. */
  readonly isSuperPacket: boolean;
  /** A view on `packet`: the layers' offsets count from its beginning. */
  readonly bytes: Uint8Array;
  readonly layers: readonly Layer[];
  /** As it was captured. */
  readonly packet: CapturedPacket;
}

/** undefined for what crossed another device, and for what is cut short. */
export function sight(
  packet: CapturedPacket,
  links: ReadonlyMap<number, Link>,
  ports: TunnelPorts,
): Sighting | undefined {
  const cooked = decodeCooked(packet.bytes);
  const link = cooked === undefined ? undefined : links.get(cooked.linkIndex);
  if (cooked === undefined || link === undefined) return undefined;
  const layers = dissectPacket(cooked.payload, cooked.protocol, ports);
  const lengthBytes = packet.originalLength - COOKED_HEADER_BYTES;
  return {
    timeSeconds: packet.timeSeconds,
    device: link.name,
    direction: cooked.direction,
    kind: kindOf(layers),
    lengthBytes,
    isSuperPacket: lengthBytes > link.mtuBytes,
    bytes: cooked.payload,
    layers,
    packet,
  };
}

function kindOf(layers: readonly Layer[]): Kind {
  const titles = layers.map(({ title }) => title);
  if (titles[0] === "ARP") return "arp";
  if (!isIp(titles[0])) return "other";
  if (titles[1] === "UDP" && titles[2] === "VXLAN") return "vxlan";
  if (titles[1] === "UDP" && isIp(titles[2])) return "udp";
  return isIp(titles[1]) ? "ipip" : "plain";
}

function isIp(title: string | undefined): boolean {
  return title === "IPv4" || title === "IPv6";
}

/** The value that a layer has under `label`; empty: it has none. */
export function fieldOf(layer: Layer, label: string): string {
  return layer.fields.find((field) => field.label === label)?.value ?? "";
}

/** Whether it is a question or an answer of the daemons to each other, in whatever it is wrapped. */
export function isProbe({ layers, bytes }: Sighting): boolean {
  const payload = layers.at(-1);
  if (payload?.title !== "Payload" || layers.at(-2)?.title !== "UDP") return false;
  return parseProbe(bytes.subarray(payload.offset, payload.offset + payload.length)) !== undefined;
}

/** Of a packet or of what it carries, at any depth. */
export function hasAddress({ layers }: Sighting, address: string): boolean {
  const labels = ["source", "destination", "sender", "target"];
  return layers.some((layer) => labels.some((label) => fieldOf(layer, label) === address));
}

export function hasPort({ layers }: Sighting, port: number): boolean {
  return layers.some((layer) =>
    ["source port", "destination port"].some((label) => fieldOf(layer, label) === `${port}`),
  );
}
