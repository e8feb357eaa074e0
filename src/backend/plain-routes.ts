// What modes need whose packets travel as they are, by plain routes from host to host: host-gw and bgp. Pure.
import { HopsackError } from "../errors.js";
import { describeLease, type Lease } from "../lease/lease.js";
import type { BackendInput } from "./backend.js";
import { isOnLink } from "./direct-route.js";

/** @throws BAD_CONFIG for a network with IPv6, BAD_OPTION for a public IP that is not the interface's */
export function requirePlainRoutes(type: string, { config, underlay }: BackendInput): void {
  if (config.networkV6 !== null) {
    const problem = `${type} sends IPv6 to IPv6 addresses of the hosts, and leases have none`;
    throw new HopsackError("BAD_CONFIG", `${problem}; remove EnableIPv6, or set Backend.Type to vxlan or udp`);
  }
  if (underlay.publicIp === underlay.address) return;
  const problem = `the public IP ${underlay.publicIp} is not the address of ${underlay.linkName} (${underlay.address})`;
  const cure = "start without --public-ip, or set Backend.Type to vxlan or udp";
  throw new HopsackError("BAD_OPTION", `${problem}, and ${type} routes to addresses on the link; ${cure}`);
}

/** Why a plain route cannot lead to the peer's host; null when it can. */
export function offLink(type: string, peer: Lease, { underlay, reach }: BackendInput, cure: string): string | null {
  const { publicIp } = peer.attrs;
  if (isOnLink(reach, publicIp)) return null;
  const problem = `it is at ${publicIp}, which is not on the link ${underlay.linkName}, as ${type} needs it`;
  return `lease ${describeLease(peer)} is not used: ${problem}; ${cure}`;
}
