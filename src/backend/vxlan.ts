// VXLAN (RFC 7348) carried by the kernel's own device, flannel's wire and flannel's names: `flannel.<VNI>`, and for each peer one
// on-link route, one neighbour and one forwarding entry, so that nothing is ever learnt or asked for by broadcast. With
// DirectRouting, peers on our own link are reached by a plain route instead.
import { HopsackError } from "../errors.js";
import { field, isJsonObject } from "../lease/json-object.js";
import { describeLease, type Lease, subnetsOf } from "../lease/lease.js";
import { isUnicastMac, parseMac } from "../net/mac.js";
import type { FdbPlan, NeighborPlan, Plan, RoutePlan, VxlanLinkPlan } from "../plan/plan.js";
import type { Backend, BackendInput } from "./backend.js";
import { isOnLink } from "./direct-route.js";
import { baseAddress, deviceAddress, innerMtu, masquerades, peerSubnets } from "./subnets.js";
import { vtepMac } from "./vtep-mac.js";

export const VXLAN = "vxlan";
const DEFAULT_VNI = 1;
/** flannel's, and the kernel's own default; IANA's is 4789. */
const DEFAULT_PORT = 8472;
/** A VNI has 24 bits, but the device's name `flannel.<VNI>` only 15 characters. */
const LARGEST_VNI = 9_999_999;
/** Inner Ethernet 14, VXLAN 8, UDP 8, IPv4 20. */
export const OVERHEAD_BYTES = 50;

export interface VxlanOptions {
  readonly vni: number;
  readonly port: number;
  readonly hasDirectRouting: boolean;
  readonly isLearning: boolean;
  readonly isGroupPolicy: boolean;
  readonly mtuBytes: number;
}

/** @throws BAD_CONFIG for options or an underlay MTU that cannot be used */
export function createVxlanBackend(input: BackendInput): Backend {
  const { underlay } = input;
  const options = readOptions(input);
  const macAddress = vtepMac(input.identity, options.vni);
  const link: VxlanLinkPlan = {
    kind: "vxlan",
    name: `flannel.${options.vni}`,
    mtuBytes: innerMtu(input, options.mtuBytes, OVERHEAD_BYTES),
    macAddress,
    vni: options.vni,
    port: options.port,
    localAddress: underlay.address,
    underlay: underlay.linkName,
    isLearning: options.isLearning,
    isGroupPolicy: options.isGroupPolicy,
  };
  return {
    ...vxlanIdentity(input, options, macAddress),
    type: VXLAN,
    overheadBytes: OVERHEAD_BYTES,
    deviceNames: [link.name],
    socket: null,
    plan: (own, peers): Plan => ({
      links: [link],
      addresses: subnetsOf(own).map((subnet) => ({ link: link.name, address: deviceAddress(subnet) })),
      ...wayToPeers(input, link.name, options.hasDirectRouting, own, peers),
      masquerades: masquerades(input, own),
      pumpRoutes: [],
    }),
  };
}

/** What both engines say of this host, and of others: nobody sees which of them a host runs. */
export function vxlanIdentity(
  { underlay }: BackendInput,
  options: VxlanOptions,
  macAddress: string,
): Pick<Backend, "leaseAttrs" | "objectionTo" | "claimOf"> {
  return {
    leaseAttrs: (node) => ({
      publicIp: underlay.publicIp,
      publicIpv6: null,
      backendType: VXLAN,
      backendData: { VNI: options.vni, VtepMAC: macAddress },
      backendV6Data: null,
      node,
    }),
    objectionTo: (peer) => objectionTo(peer, options, macAddress),
    claimOf: (peer) => `VtepMAC ${peerMac(peer)}`,
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

function objectionTo(peer: Lease, { vni }: VxlanOptions, ownMac: string): string | null {
  const { backendData } = peer.attrs;
  const problem = (text: string): string => `lease ${describeLease(peer)} is not used: ${text}`;
  const mac = peerMac(peer);
  if (mac === null) {
    const shown = isJsonObject(backendData) ? field(backendData, "VtepMAC") : undefined;
    const what = shown === undefined ? "no VtepMAC" : `the VtepMAC ${JSON.stringify(shown)}, which is no host's MAC`;
    return problem(`it has ${what}; restart that host's daemon, or repair or remove the lease`);
  }
  if (mac === ownMac) return problem(`it has this host's VtepMAC ${mac}; give one of the hosts another --node-name`);
  const peerVni = isJsonObject(backendData) ? (field(backendData, "VNI") ?? DEFAULT_VNI) : DEFAULT_VNI;
  if (peerVni === vni) return null;
  return problem(`it has the VNI ${JSON.stringify(peerVni)}, and this host ${vni}; give all hosts one Backend.VNI`);
}

/** The peer's tunnel end, canonical; null for anything but a unicast MAC. */
export function peerMac({ attrs: { backendData } }: Lease): string | null {
  const text = isJsonObject(backendData) ? field(backendData, "VtepMAC") : undefined;
  const octets = typeof text === "string" ? parseMac(text) : undefined;
  if (typeof text !== "string" || octets === undefined) return null;
  return isUnicastMac(octets) ? text.toLowerCase() : null;
}

/** A flannel host with IPv6 has a second device over an IPv6 underlay, which this host cannot reach. */
export function isReachedHere(peer: Lease, family: 4 | 6): boolean {
  return family === 4 || peer.attrs.publicIpv6 === null;
}

function wayToPeers(
  input: BackendInput,
  link: string,
  hasDirectRouting: boolean,
  own: Lease,
  peers: readonly Lease[],
): Pick<Plan, "routes" | "neighbors" | "fdb"> {
  const routes: RoutePlan[] = [];
  const neighbors: NeighborPlan[] = [];
  const fdb = new Map<string, FdbPlan>();
  for (const { subnet, prefix, peer } of peerSubnets(input, own, peers)) {
    const macAddress = peerMac(peer);
    if (macAddress === null || !isReachedHere(peer, subnet.family)) continue;
    const { publicIp } = peer.attrs;
    if (hasDirectRouting && subnet.family === 4 && isOnLink(input.reach, publicIp)) {
      routes.push({ prefix, link: input.underlay.linkName, gateway: publicIp, isOnLink: false });
      continue;
    }
    const address = baseAddress(subnet);
    routes.push({ prefix, link, gateway: address, isOnLink: true });
    neighbors.push({ link, address, macAddress });
    fdb.set(macAddress, { link, macAddress, endpoint: publicIp });
  }
  return { routes, neighbors, fdb: [...fdb.values()] };
}
