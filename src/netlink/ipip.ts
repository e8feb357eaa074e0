// What makes an ipip device what it is (IFLA_IPTUN_*, linux/if_tunnel.h): attributes of IFLA_INFO_DATA ⇄ IpipParameters. Pure.
// Called by link.ts.
import { addressBytes } from "../net/prefix.js";
import { readAddress } from "./ip.js";
import {
  type Attribute,
  type Attributes,
  encodeAttributes,
  parseAttributes,
  readU16,
  readU16BigEndian,
  u16,
  u16BigEndian,
} from "./message.js";

/** All of it is fixed when the device is made, as far as we are concerned. */
export interface IpipParameters {
  /** Source address of the outer packets; null = the kernel chooses. */
  readonly localAddress: string | null;
  /** The one host at the other end; null = the gateway of each route. */
  readonly remoteAddress: string | null;
  /** Of outer packets; 0 = the inner packet's. */
  readonly ttl: number;
  /** 0: outer DSCP 0; 1 ({@link INHERIT_TOS}): the inner packet's. ECN is repeated either way. */
  readonly tos: number;
  /** Outer packets are never fragmented; false: as the inner packet says. */
  readonly hasPathMtuDiscovery: boolean;
  /** Outer packets are UDP from and to this port, with a checksum (FOU); null: nothing is between the two IP headers. */
  readonly fouPort: number | null;
  /** IPv4 in IPv4 and nothing else: no MPLS, nothing around it but `fouPort`, not driven packet by packet by another program. */
  readonly isPlain: boolean;
}

/** Of a device that is to be made: without remote address, plain, TTL and DF as the inner packet has them. */
export type NewIpip = Pick<IpipParameters, "localAddress" | "tos" | "fouPort">;

export const INHERIT_TOS = 1;

const IFLA_IPTUN = {
  local: 2,
  remote: 3,
  ttl: 4,
  tos: 5,
  protocol: 9,
  pathMtuDiscovery: 10,
  encapType: 15,
  encapFlags: 16,
  encapSourcePort: 17,
  encapPort: 18,
  collectMetadata: 19,
};
const IPPROTO_IPIP = 4;
/** TUNNEL_ENCAP_* and TUNNEL_ENCAP_FLAG_* (linux/if_tunnel.h). */
const ENCAP = { none: 0, fou: 1 };
const ENCAP_CHECKSUM = 1;
/** No protocol that such a device carries. */
const UNKNOWN_PROTOCOL = 255;
const NO_ADDRESS = "0.0.0.0";

/** The value of IFLA_INFO_DATA. */
export function encodeIpip({ localAddress, tos, fouPort }: NewIpip): Uint8Array {
  return encodeAttributes([
    ...(localAddress === null ? [] : [{ type: IFLA_IPTUN.local, value: addressBytes(localAddress) }]),
    { type: IFLA_IPTUN.ttl, value: Uint8Array.of(0) },
    { type: IFLA_IPTUN.tos, value: Uint8Array.of(tos) },
    { type: IFLA_IPTUN.protocol, value: Uint8Array.of(IPPROTO_IPIP) },
    { type: IFLA_IPTUN.pathMtuDiscovery, value: Uint8Array.of(0) },
    ...(fouPort === null ? [] : fouAttributes(fouPort)),
  ]);
}

function fouAttributes(port: number): Attribute[] {
  return [
    { type: IFLA_IPTUN.encapType, value: u16(ENCAP.fou) },
    { type: IFLA_IPTUN.encapFlags, value: u16(ENCAP_CHECKSUM) },
    { type: IFLA_IPTUN.encapSourcePort, value: u16BigEndian(port) },
    { type: IFLA_IPTUN.encapPort, value: u16BigEndian(port) },
  ];
}

/** What a kernel that has ipip looks at, and refuses. */
export function encodeImpossibleIpip(): Uint8Array {
  return encodeAttributes([{ type: IFLA_IPTUN.protocol, value: Uint8Array.of(UNKNOWN_PROTOCOL) }]);
}

export function parseIpip(bytes: Uint8Array): IpipParameters {
  const attributes = parseAttributes(bytes);
  const byteOf = (type: number): number => attributes.get(type)?.[0] ?? 0;
  const addressOf = (type: number): string | null => {
    const address = readAddress(4, attributes.get(type)) ?? NO_ADDRESS;
    return address === NO_ADDRESS ? null : address;
  };
  const fouPort = readFouPort(attributes);
  const isAsMade = fouPort !== null || (readU16(attributes.get(IFLA_IPTUN.encapType)) ?? ENCAP.none) === ENCAP.none;
  return {
    localAddress: addressOf(IFLA_IPTUN.local),
    remoteAddress: addressOf(IFLA_IPTUN.remote),
    ttl: byteOf(IFLA_IPTUN.ttl),
    tos: byteOf(IFLA_IPTUN.tos),
    hasPathMtuDiscovery: byteOf(IFLA_IPTUN.pathMtuDiscovery) !== 0,
    fouPort,
    isPlain: byteOf(IFLA_IPTUN.protocol) === IPPROTO_IPIP && isAsMade && !attributes.has(IFLA_IPTUN.collectMetadata),
  };
}

/** null where the device has none, or has it otherwise than we make it. */
function readFouPort(attributes: Attributes): number | null {
  const [type, flags] = [IFLA_IPTUN.encapType, IFLA_IPTUN.encapFlags].map((key) => readU16(attributes.get(key)));
  const port = readU16BigEndian(attributes.get(IFLA_IPTUN.encapPort));
  const sourcePort = readU16BigEndian(attributes.get(IFLA_IPTUN.encapSourcePort));
  const isAsMade = type === ENCAP.fou && flags === ENCAP_CHECKSUM && port === sourcePort;
  return isAsMade ? (port ?? null) : null;
}
