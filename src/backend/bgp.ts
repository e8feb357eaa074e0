// bgp: no tunnel and no device, and no route of ours either. Each host announces its subnet by BGP, and BIRD sets what it hears as
// routes; here is only said with whom it talks. Between hosts the smaller address dials, so that two never meet in the middle.
import { type Lease, plainAttrs } from "../lease/lease.js";
import { parseIpv4 } from "../net/ipv4.js";
import { formatPrefix, type Prefix } from "../net/prefix.js";
import { type BgpPlan, type BgpSessionPlan, EMPTY_PLAN, type Plan } from "../plan/plan.js";
import type { Backend, BackendInput } from "./backend.js";
import { type BgpOptions, readBgpOptions } from "./bgp-options.js";
import { isOnLink } from "./direct-route.js";
import { offLink, requirePlainRoutes } from "./plain-routes.js";
import { masquerades } from "./subnets.js";

const TYPE = "bgp";
/** Behind every other route of the same subnet. */
const BEHIND_METRIC = 32;

/** @throws BAD_CONFIG for options that make no sense or a network with IPv6, BAD_OPTION for a public IP that is not the interface's */
export function createBgpBackend(input: BackendInput): Backend {
  const { underlay } = input;
  const options = readBgpOptions(input.config.backend.options);
  requirePlainRoutes(TYPE, input);
  return {
    type: TYPE,
    overheadBytes: 0,
    deviceNames: [],
    bgpAddress: underlay.address,
    leaseAttrs: (node) => plainAttrs(TYPE, underlay.publicIp, node),
    socket: null,
    objectionTo: (peer) => objectionTo(peer, input, options),
    probeAddress: ({ attrs }) => attrs.publicIp,
    claimsOf: () => [],
    plan: (own, peers): Plan => ({
      ...EMPTY_PLAN,
      masquerades: masquerades(input, own),
      bgp: bgpPlan(input, options, own, peers),
    }),
  };
}

/** A router that is told every subnet carries packets to hosts behind it; without one, a plain route must do. */
function objectionTo(peer: Lease, input: BackendInput, { peers }: BgpOptions): string | null {
  if (peers.length > 0) return null;
  const cure =
    "put both hosts on one link, name the router between them in Backend.Peers, or set Backend.Type to vxlan";
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
  };
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
