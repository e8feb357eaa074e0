// What makes an ipip device what it is (IFLA_IPTUN_*, linux/if_tunnel.h): attributes of IFLA_INFO_DATA ⇄ IpipParameters. Pure.
// Called by link.ts.
import { addressBytes } from "../net/prefix.js";
import { readAddress } from "./ip.js";
import { encodeAttributes, parseAttributes } from "./message.js";

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
  /** IPv4 in IPv4 and nothing else: no MPLS, no UDP around it, not driven packet by packet by another program. */
  readonly isPlain: boolean;
}

/** Of a device that is to be made: without remote address, plain, TTL and DF as the inner packet has them. */
export type NewIpip = Pick<IpipParameters, "localAddress" | "tos">;

export const INHERIT_TOS = 1;

const IFLA_IPTUN = {
  local: 2,
  remote: 3,
  ttl: 4,
  tos: 5,
  protocol: 9,
  pathMtuDiscovery: 10,
  encapType: 15,
  collectMetadata: 19,
};
const IPPROTO_IPIP = 4;
/** No protocol that such a device carries. */
const UNKNOWN_PROTOCOL = 255;
const NO_ADDRESS = "0.0.0.0";

/** The value of IFLA_INFO_DATA. */
export function encodeIpip({ localAddress, tos }: NewIpip): Uint8Array {
  return encodeAttributes([
    ...(localAddress === null ? [] : [{ type: IFLA_IPTUN.local, value: addressBytes(localAddress) }]),
    { type: IFLA_IPTUN.ttl, value: Uint8Array.of(0) },
    { type: IFLA_IPTUN.tos, value: Uint8Array.of(tos) },
    { type: IFLA_IPTUN.protocol, value: Uint8Array.of(IPPROTO_IPIP) },
    { type: IFLA_IPTUN.pathMtuDiscovery, value: Uint8Array.of(0) },
  ]);
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
  const hasUdpAround = attributes.get(IFLA_IPTUN.encapType)?.some((byte) => byte !== 0) ?? false;
  return {
    localAddress: addressOf(IFLA_IPTUN.local),
    remoteAddress: addressOf(IFLA_IPTUN.remote),
    ttl: byteOf(IFLA_IPTUN.ttl),
    tos: byteOf(IFLA_IPTUN.tos),
    hasPathMtuDiscovery: byteOf(IFLA_IPTUN.pathMtuDiscovery) !== 0,
    isPlain:
      byteOf(IFLA_IPTUN.protocol) === IPPROTO_IPIP && !hasUdpAround && !attributes.has(IFLA_IPTUN.collectMetadata),
  };
}
