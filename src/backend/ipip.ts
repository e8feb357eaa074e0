// ipip: each packet behind one more IPv4 header (RFC 2003), flannel's and Calico's wire, between hosts that routers may lie between.
// With Mode cross-subnet, peers on our own link are reached by a plain route; with Mode never all are, as in host-gw.
import { HopsackError } from "../errors.js";
import { plainAttrs } from "../lease/lease.js";
import { formatPrefix } from "../net/prefix.js";
import { EMPTY_PLAN, type Plan, type RoutePlan } from "../plan/plan.js";
import type { Backend, BackendInput } from "./backend.js";
import { isOnLink } from "./direct-route.js";
import { createHostGwBackend } from "./host-gw.js";
import { IPIP, ipipModeOf, ipipTunnel, OVERHEAD_BYTES } from "./ipip-tunnel.js";
import { baseAddress, masquerades, type PeerSubnet, peerSubnets } from "./subnets.js";

/** @throws BAD_CONFIG for options, a network with IPv6, or an underlay MTU that cannot be used */
export function createIpipBackend(input: BackendInput): Backend {
  const { config, underlay } = input;
  const mode = ipipModeOf(config.backend.options);
  requireIpv4Network(input);
  if (mode === "never") return createHostGwBackend(input, IPIP);
  const tunnel = ipipTunnel(input);
  const device = tunnel.link.name;
  const isDirect = ({ peer }: PeerSubnet) => mode === "cross-subnet" && isOnLink(input.reach, peer.attrs.publicIp);
  const plain = ({ prefix, peer }: PeerSubnet): RoutePlan => {
    return { prefix, link: underlay.linkName, gateway: peer.attrs.publicIp, isOnLink: false };
  };
  const tunnelled = ({ prefix, peer }: PeerSubnet): RoutePlan => {
    return { prefix, link: device, gateway: peer.attrs.publicIp, isOnLink: true };
  };
  const whole: RoutePlan = { prefix: formatPrefix(config.network), link: device, gateway: null, isOnLink: false };
  return {
    type: IPIP,
    overheadBytes: OVERHEAD_BYTES,
    leaseAttrs: (node) => plainAttrs(IPIP, underlay.publicIp, node),
    socket: tunnel.socket,
    deviceNames: [device],
    objectionTo: () => null,
    probeAddress: ({ subnet }) => baseAddress(subnet),
    claimsOf: () => [],
    plan: (own, peers): Plan => {
      const all = peerSubnets(input, own, peers);
      const direct = all.filter(isDirect).map(plain);
      const others = tunnel.socket === null ? all.filter((row) => !isDirect(row)).map(tunnelled) : [whole];
      return {
        ...EMPTY_PLAN,
        links: [tunnel.link],
        addresses: tunnel.addresses(own),
        routes: [...others, ...direct],
        masquerades: masquerades(input, own),
        pumpRoutes: tunnel.pumpRoutes(own, peers),
      };
    },
  };
}

function requireIpv4Network({ config }: BackendInput): void {
  if (config.networkV6 === null) return;
  const problem = "ipip carries IPv4 packets only, and the network has IPv6";
  throw new HopsackError("BAD_CONFIG", `${problem}; remove EnableIPv6, or set Backend.Type to vxlan or udp`);
}
