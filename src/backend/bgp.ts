// bgp: no route of ours. Each host announces its subnet by BGP, and BIRD sets what it hears as routes; here is only said with whom it
// talks, and with IPIP which of those routes lead into the IP-in-IP device. Without it there is no tunnel and no device. Between
// hosts the smaller address dials, so that two never meet in the middle.
import { type Lease, plainAttrs } from "../lease/lease.js";
import { parseIpv4 } from "../net/ipv4.js";
import { formatPrefix, type Prefix } from "../net/prefix.js";
import { type BgpPlan, type BgpSessionPlan, type BgpTunnelPlan, EMPTY_PLAN, type Plan } from "../plan/plan.js";
import type { Backend, BackendInput } from "./backend.js";
import { type BgpOptions, readBgpOptions } from "./bgp-options.js";
import { isOnLink } from "./direct-route.js";
import { ipipTunnel, OVERHEAD_BYTES } from "./ipip-tunnel.js";
import { offLink, requirePlainRoutes } from "./plain-routes.js";
import { baseAddress, masquerades } from "./subnets.js";

const TYPE = "bgp";
/** Behind every other route of the same subnet. */
const BEHIND_METRIC = 32;

/** @throws BAD_CONFIG for options that make no sense or a network with IPv6, BAD_OPTION for a public IP that is not the interface's */
export function createBgpBackend(input: BackendInput): Backend {
  const { underlay } = input;
  const options = readBgpOptions(input.config.backend.options);
  requirePlainRoutes(TYPE, input);
  const tunnel = options.ipip === "never" ? null : ipipTunnel(input);
  return {
    type: TYPE,
    overheadBytes: tunnel === null ? 0 : OVERHEAD_BYTES,
    deviceNames: tunnel === null ? [] : [tunnel.link.name],
    bgpAddress: underlay.address,
    leaseAttrs: (node) => plainAttrs(TYPE, underlay.publicIp, node),
    socket: tunnel?.socket ?? null,
    objectionTo: (peer) => objectionTo(peer, input, options),
    // Without a device no host has the base address of its subnet.
    probeAddress: ({ attrs, subnet }) => (tunnel === null ? attrs.publicIp : baseAddress(subnet)),
    claimsOf: () => [],
    plan: (own, peers): Plan => ({
      ...EMPTY_PLAN,
      links: tunnel === null ? [] : [tunnel.link],
      addresses: tunnel?.addresses(own) ?? [],
      masquerades: masquerades(input, own),
      pumpRoutes: tunnel?.pumpRoutes(own, peers) ?? [],
      bgp: bgpPlan(input, options, own, peers),
    }),
  };
}

/** A tunnel, or a router that is told every subnet, carries packets to hosts behind it; without them, a plain route must do. */
function objectionTo(peer: Lease, input: BackendInput, { peers, ipip }: BgpOptions): string | null {
  if (peers.length > 0 || ipip !== "never") return null;
  const cure =
    "put both hosts on one link, set Backend.IPIP to CrossSubnet, or name the router between them in Backend.Peers";
  return offLink(TYPE, peer, input, cure);
}

function bgpPlan(input: BackendInput, options: BgpOptions, own: Lease, peers: readonly Lease[]): BgpPlan {
  const { config, underlay, reach } = input;
  return {
    localAddress: underlay.address,
    asNumber: options.asNumber,
    underlay: underlay.linkName,
    network: formatPrefix(config.network),
    subnet: formatPrefix(own.subnet),
    blackholeMetric: blackholeMetric(own.subnet, reach.connected),
    bfd: options.bfd,
    sessions: [...sessionsWithHosts(input, options, peers), ...sessionsOutside(input, options)],
    tunnel: tunnelPlan(input, options),
  };
}

/** Routers of the site are no ends of tunnels. The lengths of the link's prefixes are the kernel's, at this moment. */
function tunnelPlan({ reach, ipipDevice: device }: BackendInput, { ipip, peers }: BgpOptions): BgpTunnelPlan | null {
  if (ipip === "never") return null;
  const routers = peers.map(({ address }) => `${address}/32`);
  if (ipip === "always") return { device, plain: routers, tunnelled: [] };
  const texts = (prefixes: readonly Prefix[]) => prefixes.filter(({ family }) => family === 4).map(formatPrefix);
  return { device, plain: [...routers, ...texts(reach.onLink)], tunnelled: texts(reach.elsewhere) };
}

/** A bridge that has the whole subnet holds metric 0; a blackhole there would be refused, or take its packets. */
function blackholeMetric(subnet: Prefix, connected: readonly Prefix[]): number {
  return connected.map(formatPrefix).includes(formatPrefix(subnet)) ? BEHIND_METRIC : 0;
}

/** All with all; or with the reflectors only, which are all with all among themselves. */
function sessionsWithHosts(
  { underlay, reach }: BackendInput,
  { asNumber, password, routeReflectors }: BgpOptions,
  peers: readonly Lease[],
): BgpSessionPlan[] {
  const isReflector = (address: string): boolean => routeReflectors.includes(address);
  const session = (kind: BgpSessionPlan["kind"], address: string, isPassive: boolean): BgpSessionPlan => ({
    ...{ kind, address, asNumber, password, isPassive },
    isOnLink: isOnLink(reach, address),
  });
  const isDialled = (address: string): boolean => numberOf(underlay.address) > numberOf(address);
  // In one order, whatever the store's: the same sessions are the same configuration.
  const hosts = peers.map(({ attrs }) => attrs.publicIp).toSorted((a, b) => numberOf(a) - numberOf(b));
  if (routeReflectors.length === 0) return hosts.map((address) => session("mesh", address, isDialled(address)));
  const others = routeReflectors.filter((address) => address !== underlay.address);
  if (!isReflector(underlay.address)) return others.map((address) => session("reflector", address, false));
  return [
    ...others.map((address) => session("mesh", address, isDialled(address))),
    ...hosts.filter((address) => !isReflector(address)).map((address) => session("client", address, true)),
  ];
}

function numberOf(address: string): number {
  return parseIpv4(address) ?? 0;
}

function sessionsOutside({ identity, reach }: BackendInput, { peers }: BgpOptions): BgpSessionPlan[] {
  return peers
    .filter(({ node }) => node === null || node === identity.nodeName)
    .map(({ address, asNumber, password, node }) => ({
      ...{ kind: node === null ? "global" : "node", address, asNumber, password },
      isPassive: false,
      isOnLink: isOnLink(reach, address),
    }));
}
