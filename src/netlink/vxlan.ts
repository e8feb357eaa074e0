// What makes a VXLAN device what it is (IFLA_VXLAN_*, linux/if_link.h): attributes of IFLA_INFO_DATA ⇄ VxlanParameters. Pure.
// Called by link.ts.
import { addressBytes } from "../net/prefix.js";
import { readAddress } from "./ip.js";
import {
  type Attribute,
  encodeAttributes,
  parseAttributes,
  readU16BigEndian,
  readU32,
  u16BigEndian,
  u32,
} from "./message.js";

/** All of it is fixed when the device is made, as far as we are concerned. */
export interface VxlanParameters {
  readonly vni: number;
  /** UDP destination port. */
  readonly port: number;
  /** Source address of the outer packets; null = the kernel chooses. */
  readonly localAddress: string | null;
  /** Index of the link that carries the outer packets; null = any. */
  readonly underlayIndex: number | null;
  /** Where frames to unknown addresses go; null = nowhere. */
  readonly remoteAddress: string | null;
  /** The forwarding database learns from arriving frames. */
  readonly isLearning: boolean;
  /** Outer UDP checksums are computed. Without them the receiver cannot merge datagrams. */
  readonly hasUdpChecksum: boolean;
  /** Carries the Group Based Policy extension. */
  readonly isGroupPolicy: boolean;
  /** Driven by another program packet by packet (collect metadata); such a device has no VNI of its own. */
  readonly isExternal: boolean;
}

const IFLA_VXLAN = {
  id: 1,
  group: 2,
  link: 3,
  local: 4,
  learning: 7,
  port: 15,
  group6: 16,
  local6: 17,
  udpChecksum: 18,
  groupPolicy: 23,
  collectMetadata: 25,
};

/** Of a device that is to be made: without remote address, not external. */
export type NewVxlan = Omit<VxlanParameters, "remoteAddress" | "isExternal">;

/** The value of IFLA_INFO_DATA. */
export function encodeVxlan(vxlan: NewVxlan): Uint8Array {
  const attributes: Attribute[] = [
    { type: IFLA_VXLAN.id, value: u32(vxlan.vni) },
    { type: IFLA_VXLAN.port, value: u16BigEndian(vxlan.port) },
    { type: IFLA_VXLAN.learning, value: flag(vxlan.isLearning) },
    { type: IFLA_VXLAN.udpChecksum, value: flag(vxlan.hasUdpChecksum) },
  ];
  if (vxlan.underlayIndex !== null) attributes.push({ type: IFLA_VXLAN.link, value: u32(vxlan.underlayIndex) });
  if (vxlan.localAddress !== null) {
    const value = addressBytes(vxlan.localAddress);
    attributes.push({ type: value.length === 4 ? IFLA_VXLAN.local : IFLA_VXLAN.local6, value });
  }
  if (vxlan.isGroupPolicy) attributes.push({ type: IFLA_VXLAN.groupPolicy, value: new Uint8Array() });
  return encodeAttributes(attributes);
}

/** undefined when a VXLAN device's essentials are missing. */
export function parseVxlan(bytes: Uint8Array): VxlanParameters | undefined {
  const attributes = parseAttributes(bytes);
  const vni = readU32(attributes.get(IFLA_VXLAN.id));
  const port = readU16BigEndian(attributes.get(IFLA_VXLAN.port));
  if (vni === undefined || port === undefined) return undefined;
  const addressOf = (v4: number, v6: number): string | null =>
    readAddress(4, attributes.get(v4)) ?? readAddress(6, attributes.get(v6)) ?? null;
  return {
    vni,
    port,
    localAddress: addressOf(IFLA_VXLAN.local, IFLA_VXLAN.local6),
    underlayIndex: readU32(attributes.get(IFLA_VXLAN.link)) || null,
    remoteAddress: addressOf(IFLA_VXLAN.group, IFLA_VXLAN.group6),
    isLearning: isSet(attributes.get(IFLA_VXLAN.learning)),
    hasUdpChecksum: isSet(attributes.get(IFLA_VXLAN.udpChecksum)),
    isGroupPolicy: attributes.has(IFLA_VXLAN.groupPolicy),
    isExternal: isSet(attributes.get(IFLA_VXLAN.collectMetadata)),
  };
}

function flag(isOn: boolean): Uint8Array {
  return Uint8Array.of(isOn ? 1 : 0);
}

function isSet(bytes: Uint8Array | undefined): boolean {
  return bytes !== undefined && (bytes[0] ?? 0) !== 0;
}
