// A backend is one way of reaching the other hosts: a pure function from leases to a Plan. It opens nothing and knows
// no kernel; new modes are new files beside this one, named in registry.ts.
import type { HeaderCheck, HeaderField } from "../addon.js";
import type { Lease, LeaseAttrs } from "../lease/lease.js";
import type { NetworkConfig } from "../lease/network-config.js";
import type { FouKey } from "../netlink/fou.js";
import type { Plan, ShellCommand } from "../plan/plan.js";
import type { LinkReach } from "./direct-route.js";
import type { HostIdentity } from "./vtep-mac.js";

/** What carries the encapsulated packets. */
export interface Underlay {
  readonly linkName: string;
  readonly linkIndex: number;
  /** The link's own IPv4 address: sockets bind to it. */
  readonly address: string;
  /** What is published for others to send to; differs from `address` behind NAT. */
  readonly publicIp: string;
  /** The same of IPv6; null where the link has no global IPv6 address. Only VXLAN by the kernel uses them. */
  readonly addressV6: string | null;
  readonly publicIpv6: string | null;
  readonly mtuBytes: number;
}

/** What the pump must open for a backend that has a packet street of ours. */
export interface TunnelSocket {
  readonly tunName: string;
  /** What stands right behind the outer IP header: UDP, or (IP protocol 4) the inner packet itself. */
  readonly protocol: "udp" | "ipip";
  /** Of UDP; IP-in-IP has none, and 0 here. */
  readonly port: number;
  /** Whether the outer DSCP is the inner packet's; else 0. Of IP-in-IP only: UDP always sends 0. */
  readonly isDscpInherited: boolean;
  /** Over how many source ports inner flows are spread; 0: everything is sent from `port`. */
  readonly sourcePorts: number;
  readonly innerMtuBytes: number;
  /** What lies in front of the inner packet, and what must be in it. */
  readonly headerBytes: number;
  readonly headerChecks: readonly HeaderCheck[];
  /** Its last 14 bytes are an Ethernet header. */
  readonly endsInEthernet: boolean;
  /** null: in this mode hosts ask each other nothing. */
  readonly questions: Questions | null;
}

/** Datagrams that are not carried but answered. */
export interface Questions {
  /** A question is a datagram in which all fields of one of these hold. */
  readonly patterns: readonly (readonly HeaderField[])[];
  /** What the host that asked gets back, to `port`; null: nothing. */
  answer(own: Lease, datagram: Uint8Array): Uint8Array | null;
}

/** A device of the kernel's, or the pump. */
export type TunnelEngine = "kernel" | "userspace";

export interface BackendInput {
  readonly config: NetworkConfig;
  readonly underlay: Underlay;
  readonly deviceName: string;
  readonly ipMasq: boolean;
  readonly identity: HostIdentity;
  /** Whom the underlay's link reaches without a router. */
  readonly reach: LinkReach;
  /** Which of the two carries VXLAN packets on this host. */
  readonly vxlanEngine: TunnelEngine;
  /** The same of IP-in-IP. */
  readonly ipipEngine: TunnelEngine;
  /** What the IP-in-IP device is called, whoever carries its packets. */
  readonly ipipDevice: string;
  /** Why the kernel's FOU does not carry the packets of mode udp on this host; null: it does. */
  readonly fouObjection: string | null;
  /** What the startCommand of this backend printed; absent before it was run. */
  readonly startOutput?: string;
}

/** What one host alone may have. */
export interface Claim {
  /** `VtepMAC 02:…` */
  readonly what: string;
  /** The option that gives a host another one. */
  readonly flag: string;
}

export interface Backend {
  readonly type: string;
  /** Bytes this mode puts in front of an inner packet, outer IP header included. */
  readonly overheadBytes: number;
  /** Must be run, and its output be in the input, before the own lease is published. */
  readonly startCommand?: ShellCommand | null;
  /** Where BIRD listens in this mode; absent: it is not needed. */
  readonly bgpAddress?: string;
  /** The FOU port that the plan opens; absent: none. */
  readonly fouPort?: FouKey;
  /** What the own lease tells the others. */
  leaseAttrs(node: string): LeaseAttrs;
  /** null: the kernel carries the packets by itself. */
  readonly socket: TunnelSocket | null;
  /** The devices that the plan has: what lies on them is no obstacle. */
  readonly deviceNames: readonly string[];
  /** Why this mode cannot reach a peer of its own type: one sentence with the cure; null when it can. */
  objectionTo(peer: Lease): string | null;
  /**
   * Where the daemon of the host with this lease answers probes: what shows that packets arrive. null: this mode makes nothing of which
   * that could be told.
   */
  probeAddress(lease: Lease): string | null;
  /** What no other peer may claim as well. Only without objection. */
  claimsOf(peer: Lease): readonly Claim[];
  /** @param peers without objection, and no two of them with one claim */
  plan(own: Lease, peers: readonly Lease[]): Plan;
}
