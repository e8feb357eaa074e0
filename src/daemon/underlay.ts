// Which interface and which of its addresses carry the encapsulated packets. flannel's choice: --iface by name or address,
// else the interface of the default route; of its IPv4 addresses a global and permanent one first.
import type { Underlay } from "../backend/backend.js";
import { HopsackError } from "../errors.js";
import type { Rtnetlink } from "../kernel/rtnetlink.js";
import { parseIpv4 } from "../net/ipv4.js";
import { type InterfaceAddress, RouteScope } from "../netlink/addr.js";
import type { Link } from "../netlink/link.js";
import { type Route, RouteType } from "../netlink/route.js";

/** A host with containers has hundreds of interfaces; a sentence has not. */
const LISTED_LINKS_LIMIT = 10;

interface HostState {
  readonly links: readonly Link[];
  /** IPv4 only. */
  readonly addresses: readonly InterfaceAddress[];
}

/**
 * @param choice.iface name or IPv4 address of the interface, null = the default route's
 * @param choice.publicIp what is published instead of the interface's address
 * @throws NO_INTERFACE, NO_ADDRESS
 */
export function findUnderlay(
  rtnetlink: Pick<Rtnetlink, "links" | "addresses" | "routes">,
  choice: { readonly iface: string | null; readonly publicIp: string | null },
): Underlay {
  const addresses = rtnetlink.addresses().filter(({ family }) => family === 4);
  const host: HostState = { links: rtnetlink.links(), addresses };
  const link = choice.iface === null ? defaultLink(host, rtnetlink.routes()) : namedLink(host, choice.iface);
  if (!link.isUp) {
    const cure = `switch it on (ip link set ${link.name} up), or choose another one with --iface: ${listing(host)}`;
    throw new HopsackError("NO_INTERFACE", `the interface ${link.name} is down; ${cure}`);
  }
  const address = bestAddress(host, link, choice.iface);
  return {
    linkName: link.name,
    linkIndex: link.index,
    address,
    publicIp: choice.publicIp ?? address,
    mtuBytes: link.mtuBytes,
  };
}

function namedLink(host: HostState, iface: string): Link {
  const isAddress = parseIpv4(iface) !== undefined;
  const holder = host.addresses.find(({ address }) => address === iface);
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
