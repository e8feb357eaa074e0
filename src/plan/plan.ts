// Desired state as data: what must be true on this host so that the leases' subnets can be reached. Made by
// backend/*.ts, made true by kernel/ and dataplane/. Addresses, prefixes and MACs are canonical text.

/** A device of ours; everything on it is ours. */
export type LinkPlan = TunLinkPlan | MadeLinkPlan;

/** Made by the kernel's reconciler. */
export type MadeLinkPlan = VxlanLinkPlan | IpipLinkPlan;

/** Opened by the pump, and gone with it. */
interface TunLinkPlan {
  readonly kind: "tun";
  readonly name: string;
  readonly mtuBytes: number;
  readonly txQueueLength: number | null;
}

export interface VxlanLinkPlan {
  readonly kind: "vxlan";
  readonly name: string;
  readonly mtuBytes: number;
  readonly macAddress: string;
  readonly vni: number;
  readonly port: number;
  /** Source of the outer packets, and the name of the link that carries them. */
  readonly localAddress: string;
  readonly underlay: string;
  readonly isLearning: boolean;
  readonly isGroupPolicy: boolean;
}

/** Sends to the gateway of each route, with TTL and DF of the inner packet. */
export interface IpipLinkPlan {
  readonly kind: "ipip";
  readonly name: string;
  readonly mtuBytes: number;
  /** Source of the outer packets. */
  readonly localAddress: string;
  /** The outer packets have the DSCP of the inner ones; else 0. */
  readonly isDscpInherited: boolean;
  /** They are UDP from and to this port, which is also open for what arrives (FOU); null: IP protocol 4. */
  readonly fouPort: number | null;
}

interface AddressPlan {
  readonly link: string;
  /** Address with prefix length: `10.244.1.0/32`. */
  readonly address: string;
}

/** On a device of ours or on the underlay's link. */
export interface RoutePlan {
  readonly prefix: string;
  readonly link: string;
  readonly gateway: string | null;
  /** The gateway is reached on the link although no address says so. */
  readonly isOnLink: boolean;
}

/** Whom the kernel need not ask for: the MAC of an address on a device of ours. */
export interface NeighborPlan {
  readonly link: string;
  readonly address: string;
  readonly macAddress: string;
}

/** Which host a VXLAN device of ours sends the frames of a MAC to. */
export interface FdbPlan {
  readonly link: string;
  readonly macAddress: string;
  readonly endpoint: string;
}

interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** One row of the pump's forwarding table. */
export interface PumpRoute {
  readonly prefix: string;
  readonly endpoint: Endpoint;
  /** Finished bytes that go between the outer UDP header and the inner packet; none in UDP mode. */
  readonly header: Uint8Array;
}

/** Source addresses of `network` that leave it are masqueraded; the rest of the rules: kernel/masquerade-table.ts. */
export interface MasqueradePlan {
  readonly network: string;
  readonly subnet: string;
}

/** Who may send to UDP ports of this host; the rules: kernel/guard-table.ts. */
export interface GuardPlan {
  /** Ascending. */
  readonly ports: readonly number[];
  /** Addresses of the other hosts, IPv4 and IPv6; sorted. */
  readonly peers: readonly string[];
}

/** A line for /bin/sh, and what it is told. */
export interface ShellCommand {
  /** The configuration's key, for people: `SubnetAddCommand`. */
  readonly name: string;
  readonly line: string;
  /** Beside the daemon's own. */
  readonly environment: Readonly<Record<string, string>>;
  /** Written to its standard input. */
  readonly input: string;
}

/** What is run when something appears in the plan, and when it disappears; null: nothing. */
export interface CommandPair {
  readonly key: string;
  readonly enter: ShellCommand | null;
  readonly leave: ShellCommand | null;
}

export interface CommandPlan {
  /** Enters before the peers do; leaves, when the mode ends, after them. */
  readonly host: CommandPair;
  readonly peers: readonly CommandPair[];
}

export type BfdMode = "off" | "on" | "graceful";

/**
 * `mesh`: a host of ours, all with all. `reflector`, `client`: a route reflector, and a host as the reflector sees it. `global`, `node`:
 * somebody outside, for all hosts or for this one.
 */
export type BgpSessionKind = "mesh" | "reflector" | "client" | "global" | "node";

export interface BgpSessionPlan {
  readonly kind: BgpSessionKind;
  readonly address: string;
  readonly asNumber: number;
  readonly password: string | null;
  /** Waits to be dialled: of two hosts, one. */
  readonly isPassive: boolean;
  /** Reached without a router. */
  readonly isOnLink: boolean;
}

/** What BIRD is to do; made true by bird/bird.ts. */
export interface BgpPlan {
  /** Of this host, on the underlay; also its router ID. */
  readonly localAddress: string;
  readonly asNumber: number;
  /** Name of the link on which next hops are. */
  readonly underlay: string;
  /** Nothing outside it is taken from anybody. */
  readonly network: string;
  /** What this host announces, and keeps as a blackhole under the routes to its pods. */
  readonly subnet: string;
  readonly blackholeMetric: number;
  readonly bfd: BfdMode;
  readonly sessions: readonly BgpSessionPlan[];
  /** null: packets travel as they are. */
  readonly tunnel: BgpTunnelPlan | null;
}

/** Which routes that BIRD hears lead into a tunnel: those to next hops for which the longest of `plain` and `tunnelled` says so, or none. */
export interface BgpTunnelPlan {
  readonly device: string;
  /** Next hops that are reached without it. */
  readonly plain: readonly string[];
  readonly tunnelled: readonly string[];
}

export interface Plan {
  readonly links: readonly LinkPlan[];
  readonly addresses: readonly AddressPlan[];
  readonly routes: readonly RoutePlan[];
  readonly neighbors: readonly NeighborPlan[];
  readonly fdb: readonly FdbPlan[];
  readonly masquerades: readonly MasqueradePlan[];
  /** Absent: anybody may. */
  readonly guard?: GuardPlan;
  readonly pumpRoutes: readonly PumpRoute[];
  /** Of the extension mode only. */
  readonly commands?: CommandPlan;
  /** Of the modes whose routes BIRD sets. */
  readonly bgp?: BgpPlan;
}

/** Nothing at all; modes add what they need. */
export const EMPTY_PLAN: Plan = {
  links: [],
  addresses: [],
  routes: [],
  neighbors: [],
  fdb: [],
  masquerades: [],
  pumpRoutes: [],
};

/** The part that is made true by netlink. */
export type NetlinkPlan = Pick<Plan, "links" | "addresses" | "routes" | "neighbors" | "fdb">;
