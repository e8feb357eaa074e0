// The VXLAN tunnel ends that leases tell of, in flannel's words: one at the host's IPv4 address (PublicIP, BackendData), and one
// at its IPv6 address where it has one (PublicIPv6, BackendV6Data). Pure. Used by both engines.
import { field, isJsonObject } from "../lease/json-object.js";
import { describeLease, type Lease, type LeaseAttrs } from "../lease/lease.js";
import { isHostIpv6 } from "../net/ipv6.js";
import { isUnicastMac, parseMac } from "../net/mac.js";
import type { Claim } from "./backend.js";

export const VXLAN = "vxlan";
export const DEFAULT_VNI = 1;

/** Where a VXLAN device of a host receives, and that device's MAC. */
export interface TunnelEnd {
  readonly endpoint: string;
  readonly macAddress: string;
}

/** This host's. */
export interface OwnEnds {
  readonly vni: number;
  readonly v4: TunnelEnd;
  /** null: IPv6 subnets travel to the IPv4 end. */
  readonly v6: TunnelEnd | null;
}

/** flannel's lease; who has no IPv6 end has neither of its two parts. */
export function leaseAttrs({ vni, v4, v6 }: OwnEnds, node: string): LeaseAttrs {
  return {
    publicIp: v4.endpoint,
    publicIpv6: v6?.endpoint ?? null,
    backendType: VXLAN,
    backendData: { VNI: vni, VtepMAC: v4.macAddress },
    backendV6Data: v6 === null ? null : { VNI: vni, VtepMAC: v6.macAddress },
    node,
  };
}

/** A peer's end at its IPv4 address; null when its data cannot be used. */
export function endOf({ attrs: { publicIp, backendData } }: Lease): TunnelEnd | null {
  const macAddress = macOf(backendData);
  return macAddress === null ? null : { endpoint: publicIp, macAddress };
}

/** A peer's end at its IPv6 address; null when it has none. */
export function endV6Of({ attrs: { publicIpv6, backendV6Data } }: Lease): TunnelEnd | null {
  const macAddress = macOf(backendV6Data);
  return publicIpv6 === null || macAddress === null ? null : { endpoint: publicIpv6, macAddress };
}

/** A tunnel end's MAC, canonical; null for anything but a unicast one. */
function macOf(data: unknown): string | null {
  const text = isJsonObject(data) ? field(data, "VtepMAC") : undefined;
  const octets = typeof text === "string" ? parseMac(text) : undefined;
  if (typeof text !== "string" || octets === undefined) return null;
  return isUnicastMac(octets) ? text.toLowerCase() : null;
}

/** What no two peers may share. A peer's IPv6 end is no matter to a host that has none. */
export function claimsOf(peer: Lease, own: OwnEnds): Claim[] {
  const claims = [{ what: `VtepMAC ${endOf(peer)?.macAddress}`, flag: "--node-name" }];
  const end = own.v6 === null ? null : endV6Of(peer);
  if (end === null) return claims;
  const mac = { what: `VtepMAC for IPv6 ${end.macAddress}`, flag: "--node-name" };
  return [...claims, mac, { what: `public IPv6 ${end.endpoint}`, flag: "--public-ipv6" }];
}

/** As flannel has it, a lease with one bad end is not used at all: its host does not know that the other one is to do. */
export function objectionTo(peer: Lease, own: OwnEnds): string | null {
  const problem = dataProblem("it", peer.attrs.backendData, own.vni, own.v4.macAddress) ?? problemV6(peer, own);
  return problem === null ? null : `lease ${describeLease(peer)} is not used: ${problem}`;
}

function problemV6({ attrs: { publicIpv6, backendV6Data } }: Lease, { vni, v6 }: OwnEnds): string | null {
  if (v6 === null || publicIpv6 === null) return null;
  if (!isHostIpv6(publicIpv6)) return `it has ${publicIpv6} for its public IPv6; correct or remove it`;
  if (publicIpv6 === v6.endpoint) {
    return `it has this host's public IPv6 ${publicIpv6}; give one of the hosts another --public-ipv6`;
  }
  return dataProblem("its BackendV6Data", backendV6Data, vni, v6.macAddress);
}

function dataProblem(holder: string, data: unknown, vni: number, ownMac: string): string | null {
  const mac = macOf(data);
  if (mac === null) {
    const shown = isJsonObject(data) ? field(data, "VtepMAC") : undefined;
    const what = shown === undefined ? "no VtepMAC" : `the VtepMAC ${JSON.stringify(shown)}, which is no host's MAC`;
    return `${holder} has ${what}; restart that host's daemon, or repair or remove the lease`;
  }
  if (mac === ownMac) return `${holder} has this host's VtepMAC ${mac}; give one of the hosts another --node-name`;
  const peerVni = isJsonObject(data) ? (field(data, "VNI") ?? DEFAULT_VNI) : DEFAULT_VNI;
  if (peerVni === vni) return null;
  return `${holder} has the VNI ${JSON.stringify(peerVni)}, and this host ${vni}; give all hosts one Backend.VNI`;
}
