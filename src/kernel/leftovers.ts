// What a hopsackd that was killed left in the kernel, and on demand what a flanneld left: found by its marks and names, nothing
// else is looked at. Each is removed by itself. Called by cli/cleanup.ts only.
import { HopsackError } from "../errors.js";
import { covers, type Prefix, parsePrefix } from "../net/prefix.js";
import { type Change, objectOf } from "../netlink/change.js";
import type { Link } from "../netlink/link.js";
import { HOPSACK_ROUTE_PROTOCOL, type Route, RouteType } from "../netlink/route.js";
import { fouRemoval, hasFouDevice, ownFouPorts } from "../plan/diff-fou-ports.js";
import { isMadeKind } from "../plan/diff-links.js";
import { birdRouteRemovals } from "./bird-routes.js";
import { deviceAlias } from "./device-alias.js";
import { ForwardRules } from "./forward-rules.js";
import { leftFilters } from "./link-programs.js";
import { isMergingEnd } from "./merging-pair.js";
import { changeRules, listRules, type NftPurpose } from "./nft.js";
import { guardTableName, tableName } from "./own-table.js";
import type { Rtnetlink } from "./rtnetlink.js";

export interface Leftover {
  readonly kind:
    | "process"
    | "route"
    | "device"
    | "FOU"
    | "tc filter"
    | "qdisc"
    | "nftables table"
    | "forward rule"
    | "iptables chain"
    | "file";
  /** As the usual tools show it: `10.244.2.0/24 via 192.168.50.11 dev eth0`. */
  readonly what: string;
  /** @throws KERNEL_REFUSED, NOT_PERMITTED, TOOL_FAILED, FILE_UNWRITABLE */
  remove(): void | Promise<void>;
}

export interface LeftoverQuery {
  readonly rtnetlink: Pick<Rtnetlink, "links" | "routes" | "filters" | "fouPorts" | "apply">;
  /** The instance: the name given by --device. */
  readonly deviceName: string;
  /** Where its routes are; none when that is not known, and then all with our mark are its own. */
  readonly networks: readonly Prefix[];
  /** Within which the routes of a BIRD are its own; null: it left none. */
  readonly birdNetwork: Prefix | null;
  /** flannel's too. */
  readonly hasFlannel: boolean;
  /** Of families and names, e.g. `inet hopsack_policy`: whatever instance they are of. */
  readonly hostTables: readonly string[];
}

const PURPOSE: NftPurpose = {
  what: "the rules that were left",
  flag: "hopsack cleanup",
  wayOut: "remove them with iptables",
};
const FLANNEL_VXLAN = /^flannel(-v6)?\.\d+$/;
const FLANNEL_TABLES = ["ip flannel-ipv4", "ip6 flannel-ipv6"];

/** In the order in which they are to go. @throws KERNEL_REFUSED when the kernel cannot be asked */
export async function kernelLeftovers(query: LeftoverQuery): Promise<Leftover[]> {
  const links = query.rtnetlink.links();
  const routes = query.rtnetlink.routes();
  const devices = links.filter((link) => isLeftDevice(link, routes, query));
  const named = [tableName(query.deviceName), guardTableName(query.deviceName)].map((name) => `inet ${name}`);
  const own = [...named, ...query.hostTables];
  const tables = [...own, ...(query.hasFlannel ? FLANNEL_TABLES : [])];
  return [
    ...leftRoutes(routes, links, devices, query).map((change) => kernelLeftover("route", change, query)),
    ...(query.birdNetwork === null ? [] : birdRouteRemovals({ routes, links }, query.birdNetwork, null)).map((change) =>
      kernelLeftover("route", change, query),
    ),
    ...leftFouPorts(links, query).map((change) => kernelLeftover("FOU", change, query)),
    ...devices.map(({ index, name }) =>
      kernelLeftover("device", { kind: "remove-link", linkIndex: index, linkName: name }, query),
    ),
    ...links
      .flatMap((link) => leftFilters(query.rtnetlink, query.deviceName, { linkIndex: link.index, linkName: link.name }))
      .map((change) => kernelLeftover(change.kind === "remove-clsact" ? "qdisc" : "tc filter", change, query)),
    ...(await leftTables(tables)),
    ...(await leftForwardRules(query.deviceName)),
  ];
}

/** Whether a flannel of its own lives on this host, or did: without our alias on its devices. */
export function hasFlannelDevice(links: readonly Link[]): boolean {
  return links.some((link) => isFlannelName(link) && !isMarked(link));
}

function kernelLeftover(kind: Leftover["kind"], change: Change, { rtnetlink }: LeftoverQuery): Leftover {
  return {
    kind,
    what: objectOf(change),
    remove: () => {
      const [refused] = rtnetlink.apply([change]);
      if (refused !== undefined && refused !== null) throw refused;
    },
  };
}

function isLeftDevice(link: Link, routes: readonly Route[], { deviceName, hasFlannel }: LeftoverQuery): boolean {
  if (isMadeKind(link.kind) && link.alias === deviceAlias(deviceName)) return true;
  if (isMergingEnd(link, deviceName)) return true;
  // A TUN device that a process has open runs, and goes with that process.
  if (link.kind === "tun" && link.isRunning) return false;
  const hasOurRoute = routes.some((route) => isOurs(route) && isOn(route, link));
  if (link.kind === "tun" && link.name === deviceName && hasOurRoute) return true;
  return hasFlannel && isFlannelName(link) && !isMarked(link);
}

/** They are known by their devices, so they go first. */
function leftFouPorts(links: readonly Link[], { rtnetlink, deviceName }: LeftoverQuery): Change[] {
  const alias = deviceAlias(deviceName);
  if (!hasFouDevice(links, alias)) return [];
  return ownFouPorts({ links, fouPorts: rtnetlink.fouPorts() }, alias).map(fouRemoval);
}

function isFlannelName({ name, kind }: Link): boolean {
  if (kind === "vxlan") return FLANNEL_VXLAN.test(name);
  return (kind === "tun" && name === "flannel0") || (kind === "ipip" && name === "flannel.ipip");
}

/** By us, whichever instance. */
function isMarked({ alias }: Link): boolean {
  return alias?.startsWith(deviceAlias("")) ?? false;
}

/** Those on devices that go are left to the kernel; those on a TUN device that stays are of the process that has it open. */
function leftRoutes(
  routes: readonly Route[],
  links: readonly Link[],
  devices: readonly Link[],
  { networks }: LeftoverQuery,
): Change[] {
  const isWithin = (prefix: Prefix | undefined): boolean =>
    prefix !== undefined && (networks.length === 0 || networks.some((network) => covers(network, prefix)));
  return routes.flatMap((route): Change[] => {
    const [hop] = route.nextHops;
    const link = links.find(({ index }) => index === hop?.linkIndex);
    const isOthers = link === undefined || link.kind === "tun" || devices.includes(link) || isMarked(link);
    if (isOthers || !isOurs(route) || !isWithin(parsePrefix(route.prefix))) return [];
    const { prefix, metric, protocol } = route;
    const gateway = hop?.gateway ?? null;
    return [{ kind: "remove-route", prefix, gateway, metric, protocol, linkIndex: link.index, linkName: link.name }];
  });
}

function isOurs({ protocol, type }: Route): boolean {
  return protocol === HOPSACK_ROUTE_PROTOCOL && type === RouteType.unicast;
}

function isOn({ nextHops }: Route, { index }: Link): boolean {
  return nextHops.some(({ linkIndex }) => linkIndex === index);
}

async function leftTables(names: readonly string[]): Promise<Leftover[]> {
  const found: Leftover[] = [];
  for (const name of names) {
    if ((await listing(name)) === null) continue;
    found.push({ kind: "nftables table", what: name, remove: () => changeRules(`delete table ${name}\n`, PURPOSE) });
  }
  return found;
}

/** null where there is none, or no nft: then none of ours can be there. */
async function listing(table: string): Promise<string | null> {
  try {
    return await listRules(["table", ...table.split(" ")], PURPOSE);
  } catch (error) {
    if (error instanceof HopsackError && error.code === "TOOL_MISSING") return null;
    throw error;
  }
}

async function leftForwardRules(deviceName: string): Promise<Leftover[]> {
  const rules = new ForwardRules(deviceName, "off", []);
  return (await rules.list()).map((what) => ({ kind: "forward rule", what, remove: () => rules.remove() }));
}
