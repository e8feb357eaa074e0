// Whether this host already uses addresses of the Network elsewhere: routing the Network into the overlay would cut it off
// from them, or a more specific route would take packets away from the overlay without a word. Pure.
import { HopsackError } from "../errors.js";
import { addressWidth, covers, formatPrefix, type Prefix, parseAddress, parsePrefix } from "../net/prefix.js";
import type { InterfaceAddress } from "../netlink/addr.js";
import type { Link } from "../netlink/link.js";
import {
  BIRD_ROUTE_PROTOCOL,
  HOPSACK_ROUTE_PROTOCOL,
  POD_ROUTE_PROTOCOL,
  type Route,
  RouteType,
} from "../netlink/route.js";
import { DEFAULT_METRIC } from "../plan/diff-routes.js";
import { deviceAlias } from "./device-alias.js";

export interface OverlapInput {
  /** The Network, and the IPv6 Network. */
  readonly networks: readonly Prefix[];
  /** This host's own subnets: its bridges and containers may use them freely. */
  readonly ownSubnets: readonly Prefix[];
  /** Marks VXLAN devices of ours. */
  readonly deviceName: string;
  /** Of the mode that is starting. */
  readonly deviceNames: readonly string[];
  /** The underlay's own address and the published one. */
  readonly underlayAddresses: readonly string[];
  readonly links: readonly Link[];
  readonly addresses: readonly InterfaceAddress[];
  /** Whether routes of a BIRD are ours: those of this mode, or left by it. */
  readonly isBirdOurs: boolean;
  /** Of the main table. */
  readonly routes: readonly Route[];
}

/**
 * The first overlap as a NETWORK_OVERLAP, or null. Wider routes than the Network are none (the longer prefix wins, as
 * intended), nor are routes with our marks (the reconciler removes stale ones; pods of an
 * earlier lease keep theirs until they go).
 */
export function findOverlap(input: OverlapInput): HopsackError | null {
  return underlayOverlap(input) ?? addressOverlap(input) ?? routeOverlap(input);
}

function underlayOverlap({ networks, underlayAddresses }: OverlapInput): HopsackError | null {
  for (const address of underlayAddresses) {
    const network = networkOf(networks, hostPrefix(address));
    if (network === undefined) continue;
    const what = `holds the address ${address} that carries the overlay's own packets`;
    return overlap(
      network,
      what,
      "choose another Network in the network configuration, or another interface with --iface",
    );
  }
  return null;
}

function addressOverlap(input: OverlapInput): HopsackError | null {
  for (const { address, prefixLength, linkIndex } of input.addresses) {
    const prefix = hostPrefix(address);
    const network = networkOf(input.networks, prefix);
    if (network === undefined || isOwnLink(input, linkIndex) || isOwn(input, prefix)) continue;
    const link = linkName(input.links, linkIndex);
    const text = `${address}/${prefixLength} dev ${link}`;
    const cure = `remove it (ip address delete ${text}), or choose another Network in the network configuration`;
    return overlap(network, `holds the address ${text} that this host already uses`, cure);
  }
  return null;
}

function routeOverlap(input: OverlapInput): HopsackError | null {
  for (const route of input.routes) {
    const prefix = parsePrefix(route.prefix);
    const network = networkOf(input.networks, prefix);
    if (network === undefined || isOwn(input, prefix) || isOurs(input, route) || isFallback(route, network)) continue;
    const text = routeText(input.links, route);
    const cure = `remove it (ip route delete ${text}), or choose another Network in the network configuration`;
    return overlap(network, `loses packets to the route ${text} of this host`, cure);
  }
  return null;
}

function overlap(network: Prefix, what: string, cure: string): HopsackError {
  return new HopsackError("NETWORK_OVERLAP", `the Network ${formatPrefix(network)} ${what}; ${cure}`);
}

function networkOf(networks: readonly Prefix[], prefix: Prefix | undefined): Prefix | undefined {
  return prefix && networks.find((network) => covers(network, prefix));
}

function isOwn({ ownSubnets }: OverlapInput, prefix: Prefix | undefined): boolean {
  return prefix !== undefined && ownSubnets.some((subnet) => covers(subnet, prefix));
}

function isOurs(input: OverlapInput, { protocol, nextHops }: Route): boolean {
  if (protocol === HOPSACK_ROUTE_PROTOCOL || protocol === POD_ROUTE_PROTOCOL) return true;
  if (protocol === BIRD_ROUTE_PROTOCOL && input.isBirdOurs) return true;
  return nextHops.length > 0 && nextHops.every(({ linkIndex }) => isOwnLink(input, linkIndex));
}

/** Of this mode, or left by another one: the reconciler removes it. */
function isOwnLink({ links, deviceName, deviceNames }: OverlapInput, linkIndex: number | null): boolean {
  const link = links.find(({ index }) => index === linkIndex);
  return link !== undefined && (deviceNames.includes(link.name) || link.alias === deviceAlias(deviceName));
}

/** A pool-wide blackhole behind our route, as administrators set it against leaks when the overlay is down. */
function isFallback({ type, prefix, metric, family }: Route, network: Prefix): boolean {
  return type !== RouteType.unicast && prefix === formatPrefix(network) && metric > DEFAULT_METRIC[family];
}

/** As `ip route` writes it, and takes it for deletion. */
function routeText(links: readonly Link[], { type, prefix, nextHops, metric, family }: Route): string {
  const [hop] = nextHops;
  const words = [typeWord(type), prefix];
  if (hop?.gateway && type === RouteType.unicast) words.push("via", hop.gateway);
  if (hop && type === RouteType.unicast) words.push("dev", linkName(links, hop.linkIndex));
  if (metric !== DEFAULT_METRIC[family]) words.push("metric", String(metric));
  return words.filter((word) => word !== "").join(" ");
}

function typeWord(type: number): string {
  const [name] = Object.entries(RouteType).find(([, number]) => number === type) ?? [""];
  return name === "unicast" ? "" : name;
}

function hostPrefix(text: string): Prefix | undefined {
  const address = parseAddress(text);
  return address && { family: address.family, base: address.bits, length: addressWidth(address.family) };
}

function linkName(links: readonly Link[], linkIndex: number | null): string {
  return links.find(({ index }) => index === linkIndex)?.name ?? `link ${linkIndex}`;
}
