// host-gw: no tunnel and no device. Each peer's subnet is a plain route to that host, which must be on our own link: a router in
// between would not know the subnet.
import { type Lease, plainAttrs } from "../lease/lease.js";
import { EMPTY_PLAN, type Plan, type RoutePlan } from "../plan/plan.js";
import type { Backend, BackendInput } from "./backend.js";
import { offLink, requirePlainRoutes } from "./plain-routes.js";
import { masquerades, peerSubnets } from "./subnets.js";

const HOST_GW = "host-gw";

/**
 * @param type under which the leases stand: ipip that never tunnels is host-gw by another name
 * @throws BAD_CONFIG for a network with IPv6, BAD_OPTION for a public IP that is not the interface's
 */
export function createHostGwBackend(input: BackendInput, type = HOST_GW): Backend {
  const { underlay } = input;
  requirePlainRoutes(type, input);
  return {
    type,
    overheadBytes: 0,
    deviceNames: [],
    leaseAttrs: (node) => plainAttrs(type, underlay.publicIp, node),
    socket: null,
    objectionTo: (peer) => objectionTo(peer, type, input),
    // No device has the base address here; the way to a subnet is as good as the way to the host it is routed to.
    probeAddress: ({ attrs }) => attrs.publicIp,
    claimsOf: () => [],
    plan: (own, peers): Plan => ({
      ...EMPTY_PLAN,
      routes: peerSubnets(input, own, peers)
        .filter(({ subnet }) => subnet.family === 4)
        .map(({ prefix, peer }): RoutePlan => {
          return { prefix, link: underlay.linkName, gateway: peer.attrs.publicIp, isOnLink: false };
        }),
      masquerades: masquerades(input, own),
    }),
  };
}

function objectionTo(peer: Lease, type: string, input: BackendInput): string | null {
  const cure = "put both hosts on one link, or set Backend.Type to vxlan (with DirectRouting, if you like)";
  return offLink(type, peer, input, cure);
}
