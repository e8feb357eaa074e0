// Does anybody else meddle with the overlay: another mode's leftovers, flannel, a network daemon that takes our device for its own?
import { hasFlannelDevice } from "../kernel/leftovers.js";
import { covers, overlaps, parsePrefix } from "../net/prefix.js";
import { BIRD_ROUTE_PROTOCOL, HOPSACK_ROUTE_PROTOCOL, KERNEL_ROUTE_PROTOCOL, type Route } from "../netlink/route.js";
import { type Check, type Finding, problem, warning } from "./check.js";
import { type Facts, linkOf } from "./facts.js";

/** Somebody else sets the routes there, as intended. */
const FOREIGN_MODES: readonly string[] = ["alloc", "extension"];
const NETWORKD_STATE = "/run/systemd/netif/links/";
const NETWORK_MANAGER_STATE = "/run/NetworkManager/devices/";

export const OTHERS_CHECKS: readonly Check[] = [
  { id: "foreign-routes", question: "Are all routes into the overlay hopsackd's?", find: foreignRoutes },
  {
    id: "flannel-device",
    question: "Are flannel's devices gone?",
    find: ({ links, report }) => {
      const others = links.filter(({ name }) => name !== report?.device?.name);
      if (!hasFlannelDevice(others)) return [];
      return [
        warning(
          "a device of flannel's is here that hopsackd does not use",
          "see what would go with: hopsack cleanup --flannel --dry-run",
        ),
      ];
    },
  },
  { id: "network-daemon", question: "Do network daemons leave the overlay's device alone?", find: networkDaemon },
];

/** A more specific one takes packets away from the overlay without a word. */
function foreignRoutes({ report, routes, links }: Facts): Finding[] {
  if (FOREIGN_MODES.includes(report?.backend ?? "")) return [];
  const networks = (report?.network ?? "")
    .split(", ")
    .map(parsePrefix)
    .filter((prefix) => prefix !== undefined);
  const own = parsePrefix(report?.lease?.subnet ?? "");
  const isForeign = ({ prefix: text, protocol }: Route): boolean => {
    const prefix = parsePrefix(text);
    if (prefix === undefined || protocol === HOPSACK_ROUTE_PROTOCOL) return false;
    if (protocol === BIRD_ROUTE_PROTOCOL && report?.backend === "bgp") return false;
    if (own !== undefined && own.family === prefix.family && overlaps(own, prefix)) return false;
    return networks.some((network) => network.family === prefix.family && covers(network, prefix));
  };
  return routes.filter(isForeign).map((route) => {
    const [hop] = route.nextHops;
    const link = links.find(({ index }) => index === hop?.linkIndex)?.name ?? "nowhere";
    const words = `${route.prefix}${hop?.gateway ? ` via ${hop.gateway}` : ""} dev ${link}`;
    const isAddress = route.protocol === KERNEL_ROUTE_PROTOCOL;
    const what = `the route ${words} is not hopsackd's, and takes packets away from the overlay${isAddress ? `: an address of ${link} makes it` : ", as one that another mode or flannel left"}`;
    return problem(what, isAddress ? `remove that address: ip address show dev ${link}` : `ip route del ${words}`);
  });
}

/** Both keep a file for each link they know, by its index. */
function networkDaemon(facts: Facts): Finding[] {
  const name = facts.report?.device?.name;
  const link = linkOf(facts, name);
  if (link === undefined) return [];
  const found: Finding[] = [];
  if (/^ADMIN_STATE=(?!unmanaged)/m.test(facts.readText(`${NETWORKD_STATE}${link.index}`) ?? "")) {
    found.push(
      warning(
        `systemd-networkd manages ${name}, and may change its address and MAC`,
        `write /etc/systemd/network/10-hopsack.network: [Match] Name=${name} [Link] Unmanaged=yes; then networkctl reload`,
      ),
    );
  }
  if (/^managed=true$/m.test(facts.readText(`${NETWORK_MANAGER_STATE}${link.index}`) ?? "")) {
    found.push(
      warning(
        `NetworkManager manages ${name}, and may change its address and MAC`,
        `write /etc/NetworkManager/conf.d/hopsack.conf: [keyfile] unmanaged-devices=interface-name:${name}; then systemctl reload NetworkManager`,
      ),
    );
  }
  return found;
}
