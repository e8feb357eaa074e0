// Which interface and which of its addresses carry the encapsulated packets. flannel's choice: --iface by name or address,
// else the interface of the default route; of its IPv4 addresses a global and permanent one first, of its IPv6 addresses a global
// one that lasts.
import type { Underlay } from "../backend/backend.js";
import { HopsackError } from "../errors.js";
import type { Rtnetlink } from "../kernel/rtnetlink.js";
import { formatAddress, parseAddress } from "../net/prefix.js";
import { type InterfaceAddress, RouteScope } from "../netlink/addr.js";
import type { Link } from "../netlink/link.js";
import { type Route, RouteType } from "../netlink/route.js";

/** A host with containers has hundreds of interfaces; a sentence has not. */
const LISTED_LINKS_LIMIT = 10;

interface HostState {
  readonly links: readonly Link[];
  /** IPv4 only. */
  readonly addresses: readonly InterfaceAddress[];
  readonly addressesV6: readonly InterfaceAddress[];
}

export interface UnderlayChoice {
  /** Name or address of the interface, null = the default route's. */
  readonly iface: string | null;
  /** What is published instead of the interface's address; the second has no meaning where there is none to replace. */
  readonly publicIp: string | null;
  readonly publicIpv6: string | null;
}

/** @throws NO_INTERFACE, NO_ADDRESS */
export function findUnderlay(
  rtnetlink: Pick<Rtnetlink, "links" | "addresses" | "routes">,
  choice: UnderlayChoice,
): Underlay {
  const addresses = rtnetlink.addresses();
  const host: HostState = {
    links: rtnetlink.links(),
    addresses: addresses.filter(({ family }) => family === 4),
    addressesV6: addresses.filter(({ family }) => family === 6),
  };
  const link = choice.iface === null ? defaultLink(host, rtnetlink.routes()) : namedLink(host, choice.iface);
  if (!link.isUp) {
    const cure = `switch it on (ip link set ${link.name} up), or choose another one with --iface: ${listing(host)}`;
    throw new HopsackError("NO_INTERFACE", `the interface ${link.name} is down; ${cure}`);
  }
  const address = bestAddress(host, link, choice.iface);
  const addressV6 = bestAddressV6(host, link, choice.iface);
  return {
    linkName: link.name,
    linkIndex: link.index,
    address,
    publicIp: choice.publicIp ?? address,
    addressV6,
    publicIpv6: addressV6 === null ? null : (choice.publicIpv6 ?? addressV6),
    mtuBytes: link.mtuBytes,
  };
}

function namedLink(host: HostState, iface: string): Link {
  const wanted = canonical(iface);
  const isAddress = wanted !== undefined;
  const holder = [...host.addresses, ...host.addressesV6].find(({ address }) => address === wanted);
  const link = host.links.find(({ name, index }) => (isAddress ? index === holder?.linkIndex : name === iface));
  if (link !== undefined) return link;
  const lack = isAddress
    ? `no interface of this host has the address ${iface}`
    : `this host has no interface ${JSON.stringify(iface)}`;
  throw new HopsackError("NO_INTERFACE", `${lack}; choose one with --iface: ${listing(host)}`);
}

/** The way out of the default route with the lowest metric. */
function defaultLink(host: HostState, routes: readonly Route[]): Link {
  const defaults = routes.filter(({ prefix, type }) => prefix === "0.0.0.0/0" && type === RouteType.unicast);
  const [best] = defaults.toSorted((a, b) => a.metric - b.metric);
  const link = host.links.find(({ index }) => index === best?.nextHops[0]?.linkIndex);
  if (link !== undefined) return link;
  const lack = "this host has no IPv4 default route, which would tell the interface that leads to the other hosts";
  throw new HopsackError("NO_INTERFACE", `${lack}; choose one with --iface: ${listing(host)}`);
}

function bestAddress(host: HostState, link: Link, iface: string | null): string {
  const candidates = host.addresses.filter(({ linkIndex }) => linkIndex === link.index);
  const usable = candidates.filter(({ isDeprecated, scope }) => !isDeprecated && scope !== RouteScope.host);
  const chosen = usable.find(({ address }) => address === iface) ?? usable.toSorted((a, b) => rank(a) - rank(b))[0];
  if (chosen !== undefined) return chosen.address;
  const there = candidates.map(({ address, isDeprecated }) => `${address}${isDeprecated ? ", deprecated" : ""}`);
  const lack = `the interface ${link.name} has no usable IPv4 address${there.length === 0 ? "" : ` (only ${there.join("; ")})`}`;
  const cure = `give it one (ip address add ADDRESS/LENGTH dev ${link.name}), or choose another one with --iface: ${listing(host)}`;
  throw new HopsackError("NO_ADDRESS", `${lack}; ${cure}`);
}

/** null where the link has none that others can send to. The kernel lists the newest first: the oldest has proved to last. */
function bestAddressV6(host: HostState, link: Link, iface: string | null): string | null {
  const usable = host.addressesV6
    .filter(({ linkIndex, scope }) => linkIndex === link.index && scope === RouteScope.universe)
    .filter(({ isDeprecated, isTentative }) => !isDeprecated && !isTentative)
    .toReversed();
  const wanted = iface === null ? undefined : canonical(iface);
  const chosen =
    usable.find(({ address }) => address === wanted) ?? usable.toSorted((a, b) => rankV6(a) - rankV6(b))[0];
  return chosen?.address ?? null;
}

function rankV6({ isTemporary, isPermanent }: InterfaceAddress): number {
  return (isTemporary ? 2 : 0) + (isPermanent ? 0 : 1);
}

/** undefined for the name of an interface. */
function canonical(iface: string): string | undefined {
  const address = parseAddress(iface);
  return address && formatAddress(address.family, address.bits);
}

/** The smaller the better. */
function rank({ scope, isPermanent }: InterfaceAddress): number {
  return (scope === RouteScope.universe ? 0 : 2) + (isPermanent ? 0 : 1);
}

/** `eth0 (192.168.50.10), eth1 (down)` */
function listing({ links, addresses }: HostState): string {
  const choices = links.filter(({ isLoopback }) => !isLoopback);
  const words = choices.slice(0, LISTED_LINKS_LIMIT).map(({ name, index, isUp }) => {
    const own = addresses.filter(({ linkIndex }) => linkIndex === index).map(({ address }) => address);
    return `${name} (${isUp ? own.join(", ") || "no IPv4 address" : "down"})`;
  });
  const rest = choices.length - words.length;
  if (words.length === 0) return "there is none but loopback";
  return `${words.join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}
