// VXLAN (RFC 7348) carried by the kernel's own devices, flannel's wire and flannel's names: `flannel.<VNI>` between IPv4 addresses of
// the hosts, `flannel-v6.<VNI>` between IPv6 ones; for each peer and family one on-link route, one neighbour and one forwarding entry,
// so that nothing is ever learnt or asked for by broadcast. With DirectRouting, peers on our own link are reached by a plain route.
import { HopsackError } from "../errors.js";
import { field } from "../lease/json-object.js";
import { type Lease, subnetsOf } from "../lease/lease.js";
import type { IpFamily } from "../net/prefix.js";
import type { FdbPlan, NeighborPlan, Plan, RoutePlan, VxlanLinkPlan } from "../plan/plan.js";
import type { Backend, BackendInput } from "./backend.js";
import { isOnLink } from "./direct-route.js";
import { baseAddress, deviceAddress, innerMtu, masquerades, peerSubnets } from "./subnets.js";
import {
  claimsOf,
  DEFAULT_VNI,
  endOf,
  endV6Of,
  leaseAttrs,
  type OwnEnds,
  objectionTo,
  type TunnelEnd,
  VXLAN,
} from "./tunnel-ends.js";
import { vtepMac } from "./vtep-mac.js";

/** flannel's, and the kernel's own default; IANA's is 4789. */
const DEFAULT_PORT = 8472;
/** A VNI has 24 bits, but the device's name `flannel.<VNI>` only 15 characters, and `flannel-v6.<VNI>` as well. */
const LARGEST_VNI = 9_999_999;
const LARGEST_VNI_V6 = 9999;
/** Inner Ethernet 14, VXLAN 8, UDP 8, IPv4 20. */
export const OVERHEAD_BYTES = 50;
/** With IPv6 40 instead. */
const OVERHEAD_V6_BYTES = 70;

export interface VxlanOptions {
  readonly vni: number;
  readonly port: number;
  readonly hasDirectRouting: boolean;
  readonly isLearning: boolean;
  readonly isGroupPolicy: boolean;
  readonly mtuBytes: number;
}

/** The devices; null where this host has no IPv6 end. */
interface Links {
  readonly v4: VxlanLinkPlan;
  readonly v6: VxlanLinkPlan | null;
}

/** @throws BAD_CONFIG for options or an underlay MTU that cannot be used */
export function createVxlanBackend(input: BackendInput): Backend {
  const options = readOptions(input);
  const links = linksOf(input, options);
  const all = [links.v4, links.v6].filter((link) => link !== null);
  const nameFor = (family: IpFamily): string => (family === 6 && links.v6 !== null ? links.v6 : links.v4).name;
  return {
    ...vxlanIdentity(endsOf(input, links)),
    type: VXLAN,
    overheadBytes: OVERHEAD_BYTES,
    deviceNames: all.map(({ name }) => name),
    socket: null,
    plan: (own, peers): Plan => ({
      links: all,
      addresses: subnetsOf(own).map((subnet) => ({ link: nameFor(subnet.family), address: deviceAddress(subnet) })),
      ...wayToPeers(input, links, options.hasDirectRouting, own, peers),
      masquerades: masquerades(input, own),
      pumpRoutes: [],
    }),
  };
}

/** Whether an IPv6 address of the underlay would be used. */
export function usesIpv6Underlay({ config, vxlanEngine }: Pick<BackendInput, "config" | "vxlanEngine">): boolean {
  return config.backend.type === VXLAN && vxlanEngine === "kernel" && config.networkV6 !== null;
}

function linksOf(input: BackendInput, options: VxlanOptions): Links {
  const { underlay, identity } = input;
  const { vni, port, isLearning, isGroupPolicy, mtuBytes } = options;
  const common = { kind: "vxlan", vni, port, underlay: underlay.linkName, isLearning, isGroupPolicy } as const;
  const v4: VxlanLinkPlan = {
    ...common,
    name: `flannel.${vni}`,
    mtuBytes: innerMtu(input, mtuBytes, OVERHEAD_BYTES),
    macAddress: vtepMac(identity, vni),
    localAddress: underlay.address,
  };
  if (underlay.addressV6 === null || !usesIpv6Underlay(input) || vni > LARGEST_VNI_V6) return { v4, v6: null };
  const v6: VxlanLinkPlan = {
    ...common,
    name: `flannel-v6.${vni}`,
    mtuBytes: innerMtu(input, mtuBytes, OVERHEAD_V6_BYTES),
    macAddress: vtepMac(identity, vni, 6),
    localAddress: underlay.addressV6,
  };
  return { v4, v6 };
}

function endsOf({ underlay: { publicIp, publicIpv6 } }: BackendInput, { v4, v6 }: Links): OwnEnds {
  const isDual = v6 !== null && publicIpv6 !== null;
  return {
    vni: v4.vni,
    v4: { endpoint: publicIp, macAddress: v4.macAddress },
    v6: isDual ? { endpoint: publicIpv6, macAddress: v6.macAddress } : null,
  };
}

/** What both engines say of this host, and of others: nobody sees which of them a host without an IPv6 end runs. */
export function vxlanIdentity(
  ends: OwnEnds,
): Pick<Backend, "leaseAttrs" | "objectionTo" | "probeAddress" | "claimsOf"> {
  return {
    leaseAttrs: (node) => leaseAttrs(ends, node),
    objectionTo: (peer) => objectionTo(peer, ends),
    probeAddress: ({ subnet }) => baseAddress(subnet),
    claimsOf: (peer) => claimsOf(peer, ends),
  };
}

/** @throws BAD_CONFIG */
export function readOptions({ config, underlay }: BackendInput): VxlanOptions {
  const { options } = config.backend;
  const mtuBytes = wholeNumber(options, "MTU", underlay.mtuBytes, 1, 65_535);
  if (mtuBytes > underlay.mtuBytes) {
    const problem = `Backend.MTU ${mtuBytes} is more than ${underlay.linkName} carries (${underlay.mtuBytes})`;
    throw new HopsackError("BAD_CONFIG", `${problem}; lower it, remove it, or raise the MTU of ${underlay.linkName}`);
  }
  return {
    vni: wholeNumber(options, "VNI", DEFAULT_VNI, 1, LARGEST_VNI),
    port: wholeNumber(options, "Port", DEFAULT_PORT, 1, 65_535),
    hasDirectRouting: truth(options, "DirectRouting"),
    isLearning: truth(options, "Learning"),
    isGroupPolicy: truth(options, "GBP"),
    mtuBytes,
  };
}

type Options = Readonly<Record<string, unknown>>;

/** 0 is the default, as flannel has it. */
function wholeNumber(options: Options, key: string, fallback: number, least: number, most: number): number {
  const value = field(options, key) ?? 0;
  if (value === 0) return fallback;
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new HopsackError(
    "BAD_CONFIG",
    `Backend.${key} ${JSON.stringify(value)} cannot be used; write a number from ${least} to ${most}, or remove it for ${fallback}`,
  );
}

function truth(options: Options, key: string): boolean {
  const value = field(options, key) ?? false;
  if (typeof value === "boolean") return value;
  throw new HopsackError("BAD_CONFIG", `Backend.${key} ${JSON.stringify(value)} is not a boolean; write true or false`);
}

/** The device that leads to a subnet of a peer, and the peer's end of it; null for a peer whose end cannot be used. */
function wayTo(family: IpFamily, peer: Lease, links: Links): { link: VxlanLinkPlan; end: TunnelEnd } | null {
  const endV6 = family === 6 && links.v6 !== null ? endV6Of(peer) : null;
  if (links.v6 !== null && endV6 !== null) return { link: links.v6, end: endV6 };
  const end = endOf(peer);
  return end === null ? null : { link: links.v4, end };
}

/** IPv6 goes between IPv6 ends where both hosts have one, else between the IPv4 ends: both hosts see it alike. */
function wayToPeers(
  input: BackendInput,
  links: Links,
  hasDirectRouting: boolean,
  own: Lease,
  peers: readonly Lease[],
): Pick<Plan, "routes" | "neighbors" | "fdb"> {
  const routes: RoutePlan[] = [];
  const neighbors: NeighborPlan[] = [];
  const fdb = new Map<string, FdbPlan>();
  for (const { subnet, prefix, peer } of peerSubnets(input, own, peers)) {
    const way = wayTo(subnet.family, peer, links);
    if (way === null) continue;
    const { name: link } = way.link;
    const { endpoint, macAddress } = way.end;
    const isGateway = hasDirectRouting && (subnet.family === 4 || way.link === links.v6);
    if (isGateway && isOnLink(input.reach, endpoint)) {
      routes.push({ prefix, link: input.underlay.linkName, gateway: endpoint, isOnLink: false });
      continue;
    }
    const address = baseAddress(subnet);
    routes.push({ prefix, link, gateway: address, isOnLink: true });
    neighbors.push({ link, address, macAddress });
    fdb.set(`${macAddress} ${link}`, { link, macAddress, endpoint });
  }
  return { routes, neighbors, fdb: [...fdb.values()] };
}
