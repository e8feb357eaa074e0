// The answer to GET /status, made from the daemon's state at the moment of asking. Its shape is public: people's scripts
// read it, fields are only ever added.
import type { OffloadSwitches } from "../addon.js";
import type { BgpSession } from "../bird/sessions.js";
import type { EngineReport } from "../dataplane/accelerator.js";
import type { PeerBytes } from "../dataplane/peer-slots.js";
import type { PumpCounters } from "../dataplane/pump.js";
import type { GuardReport } from "../kernel/guard-table.js";
import { describeLease, type Lease } from "../lease/lease.js";
import { formatPrefix } from "../net/prefix.js";
import type { BgpSessionKind } from "../plan/plan.js";
import type { PolicyReport } from "../policy/policy-report.js";
import { PROBE_PORT } from "./probe-socket.js";
import type { Reach, ReachState } from "./reach.js";
import type { DaemonState, LinkVolume, Phase } from "./state.js";

export interface StatusReport {
  readonly version: string;
  readonly node: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
  readonly state: Phase;
  /** Cures included; empty when all is well. */
  readonly warnings: readonly string[];
  readonly network: string | null;
  readonly backend: string | null;
  readonly store: { readonly spec: string; readonly connected: boolean };
  readonly lease: LeaseReport | null;
  readonly underlay: {
    readonly link: string;
    readonly address: string;
    readonly publicIp: string;
    readonly mtuBytes: number;
  } | null;
  readonly device: {
    readonly name: string;
    readonly mtuBytes: number;
    /** Of the tunnel. */
    readonly udpPort: number | null;
    /** What the kernel counts on it. */
    readonly volume: LinkVolume | null;
  } | null;
  /** Where this host answers the probes of its peers; null: nowhere. */
  readonly probes: { readonly address: string; readonly port: number } | null;
  /** Who carries the packets that need no thought, and why; null: the kernel, by its own means. */
  readonly engine: EngineReport | null;
  readonly peers: readonly PeerReport[];
  /** Of mode bgp; null: another mode. */
  readonly bgp: BgpReport | null;
  readonly traffic: TrafficReport | null;
  readonly drops: readonly DropReport[];
  /** Of this host; empty without any, and where nobody asked nft: on the page. */
  readonly policies: readonly PolicyReport[];
  /** Who may send to the tunnel's ports (--guard); null: it is off, and where nobody asked nft: on the page. */
  readonly guard: GuardReport | null;
  readonly offloads: Readonly<Record<keyof OffloadSwitches, boolean>> | null;
}

interface LeaseReport {
  readonly subnet: string;
  readonly subnetV6: string | null;
  readonly publicIp: string;
  /** Where others send what is IPv6; null: to publicIp as well. */
  readonly publicIpv6: string | null;
  /** ISO 8601; null = never. */
  readonly expiresAt: string | null;
}

interface PeerReport {
  readonly subnet: string;
  readonly subnetV6: string | null;
  readonly publicIp: string;
  readonly publicIpv6: string | null;
  readonly node: string | null;
  readonly backendType: string;
  /** Where its daemon answers probes; null: nowhere that is known. */
  readonly probeAddress: string | null;
  /** What the probes say; null: this peer is not probed. */
  readonly reach: ReachReport | null;
  /** Of inner packets, since the peer came into the table; null: not counted, in a mode of the kernel or beyond --metrics-per-peer. */
  readonly bytes: PeerBytes | null;
}

interface BgpReport {
  /** Of BIRD, which this host runs for hopsackd; null while it does not run. */
  readonly version: string | null;
  readonly pid: number | null;
  readonly asNumber: number;
  readonly sessions: readonly BgpSessionReport[];
}

export interface BgpSessionReport {
  readonly peer: string;
  /** In calicoctl's words where it has some: `node-to-node mesh`. */
  readonly type: string;
  readonly asNumber: number;
  readonly state: string;
  /** ISO 8601; null = not known. */
  readonly since: string | null;
  readonly info: string;
  /** What is wrong, with its cure. */
  readonly trouble: string | null;
}

interface ReachReport {
  readonly state: ReachState;
  /** ISO 8601; null = never. */
  readonly lastHeardAt: string | null;
  readonly roundTripMilliseconds: number | null;
  /** From 0 to 1. */
  readonly loss: number | null;
}

/** One direction. `packets` and `bytes` are inner packets, the segments of a super-packet counted singly. */
export interface DirectionReport {
  readonly packets: number;
  readonly bytes: number;
  readonly superPackets: number;
  readonly datagrams: number;
  /** System calls on the TUN, and on the UDP socket. */
  readonly tunCalls: number;
  readonly udpCalls: number;
}

interface CarriedReport {
  readonly packets: number;
  readonly bytes: number;
}

export interface TrafficReport {
  /** TUN to underlay. */
  readonly sent: DirectionReport;
  /** Underlay to TUN. */
  readonly received: DirectionReport;
  /** What of either direction eBPF programs carried, past the device's own counters; the pump, the rest. */
  readonly carriedByEbpf: { readonly sent: CarriedReport; readonly received: CarriedReport };
  readonly icmpSent: number;
  /** ARP requests and neighbour solicitations of other hosts that the daemon was shown, and its answers. */
  readonly questions: { readonly received: number; readonly answered: number };
  /** How many packets or datagrams share one operation; null before the first one. */
  readonly coalescing: {
    readonly packetsPerTunRead: number | null;
    readonly datagramsPerSend: number | null;
    readonly datagramsPerReceive: number | null;
    readonly packetsPerTunWrite: number | null;
  };
}

export interface DropReport {
  readonly reason: string;
  readonly help: string;
  readonly packets: number;
}

/** A warning is a sentence. */
const NAMED_PEERS_LIMIT = 5;
/** BGP may take so long to tell everybody of a change. */
const ROUTES_PATIENCE_MS = 10_000;
const SESSION_TYPES: Readonly<Record<BgpSessionKind, string>> = {
  mesh: "node-to-node mesh",
  reflector: "route reflector",
  client: "reflector client",
  global: "global",
  node: "node specific",
};
const TUN_RING_FULL = "the TUN device's queue was full: the host sends faster than the pump takes packets";

/** What takes a moment to find out. */
export interface Asked {
  /** As `state.readPolicies` tells them. */
  readonly policies: readonly PolicyReport[];
  /** As `state.readGuard` tells. */
  readonly guard: GuardReport | null;
}

/** @param now milliseconds since the epoch */
export function statusReport(
  state: DaemonState,
  now: number,
  { policies, guard }: Asked = { policies: [], guard: null },
): StatusReport {
  const counters = state.readCounters?.() ?? null;
  return {
    version: state.version,
    node: state.node,
    pid: process.pid,
    uptimeSeconds: Math.floor((now - state.startedAt) / 1000),
    state: state.phase,
    warnings: allWarnings(state),
    network: state.network,
    backend: state.backendType,
    store: { spec: state.storeSpec, connected: state.isStoreConnected },
    lease: state.lease === null ? null : leaseReport(state.lease),
    underlay:
      state.underlay === null
        ? null
        : {
            link: state.underlay.linkName,
            address: state.underlay.address,
            publicIp: state.underlay.publicIp,
            mtuBytes: state.underlay.mtuBytes,
          },
    device: state.device === null ? null : { ...state.device, volume: state.readDeviceVolume() },
    engine: state.readEngine?.() ?? null,
    probes: probeReport(state),
    peers: peerReports(state),
    bgp: bgpReport(state),
    traffic: counters === null ? null : trafficReport(counters),
    drops: dropReports(state, counters),
    policies,
    guard,
    offloads: counters?.offloads ?? null,
  };
}

export function allWarnings(state: DaemonState): string[] {
  return [...state.warnings.values(), ...state.readHostWarnings(), ...reachWarnings(state), ...bgpWarnings(state)];
}

/** Sessions that do not stand, and leases that nobody announces. */
function bgpWarnings({ readBgp, readBirdSubnets, peers }: DaemonState): string[] {
  const bgp = readBgp();
  if (bgp === null) return [];
  const troubled = bgp.sessions.filter(({ trouble }) => trouble !== null);
  const warnings = troubled.slice(0, NAMED_PEERS_LIMIT).map(({ trouble }) => trouble ?? "");
  if (troubled.length > warnings.length) warnings.push(`and ${troubled.length - warnings.length} more BGP sessions`);
  if (Date.now() - bgp.changedAt < ROUTES_PATIENCE_MS) return warnings;
  const routed = readBirdSubnets();
  const isNamed = (peer: Lease): boolean => troubled.some(({ address }) => address === peer.attrs.publicIp);
  const unrouted = peers.filter((peer) => !routed.has(formatPrefix(peer.subnet)) && !isNamed(peer));
  const cure = "see whether hopsackd runs there in mode bgp, and what hopsack status says there";
  return [...warnings, ...peersSentence(unrouted, "no BGP neighbour announces", cure)];
}

/** Who has answered probes and does no longer, and who is heard and does not hear us. Who never answered may be no hopsackd. */
function reachWarnings({ peers, readReach }: DaemonState): string[] {
  const of = (wanted: ReachState) => peers.filter((peer) => readReach(peer)?.state === wanted);
  return [
    ...peersSentence(
      of("lost"),
      "no longer answers probes",
      "see whether that host runs, and what hopsack doctor says here",
    ),
    ...peersSentence(
      of("one-way"),
      "is heard, but answers no probe of ours",
      "see what hopsack doctor says on both hosts",
    ),
  ];
}

function peersSentence(leases: readonly Lease[], problem: string, cure: string): string[] {
  if (leases.length === 0) return [];
  const named = leases.slice(0, NAMED_PEERS_LIMIT).map((peer) => `${describeLease(peer)} at ${peer.attrs.publicIp}`);
  const rest = leases.length - named.length;
  return [`${problem}: ${named.join(", ")}${rest > 0 ? ` and ${rest} more` : ""}; ${cure}`];
}

/** Every reason the pump knows, at zero too, and last the kernel's own drops at the TUN. */
export function dropReports(state: DaemonState, counters: PumpCounters | null): DropReport[] {
  if (counters === null) return [];
  const drops = counters.drops.map(({ name, help, packets }) => ({ reason: name, help, packets }));
  const ringFull = state.readTunRingFull?.() ?? 0;
  return [...drops, { reason: "tun_ring_full", help: TUN_RING_FULL, packets: ringFull }];
}

export function trafficReport({ words, accelerated }: PumpCounters): TrafficReport {
  const word = (name: string): number => words[name] ?? 0;
  return {
    sent: {
      packets: word("tun_rx_packets") + accelerated.sent.packets,
      bytes: word("tun_rx_bytes") + accelerated.sent.bytes,
      superPackets: word("tun_rx_super_packets") + accelerated.sent.superPackets,
      datagrams: word("udp_tx_datagrams") + accelerated.sent.packets,
      tunCalls: word("tun_rx_reads"),
      udpCalls: word("udp_tx_calls"),
    },
    received: {
      packets: word("tun_tx_packets") + accelerated.received.packets,
      bytes: word("tun_tx_bytes") + accelerated.received.bytes,
      superPackets: word("tun_tx_super_packets") + accelerated.received.superPackets,
      datagrams: word("udp_rx_datagrams") + accelerated.received.packets,
      tunCalls: word("tun_tx_writes"),
      udpCalls: word("udp_rx_calls"),
    },
    carriedByEbpf: { sent: carried(accelerated.sent), received: carried(accelerated.received) },
    icmpSent: word("icmp_sent"),
    questions: { received: word("punts"), answered: word("punt_answers") },
    coalescing: {
      packetsPerTunRead: ratio(word("tun_rx_packets"), word("tun_rx_reads")),
      datagramsPerSend: ratio(word("udp_tx_datagrams"), word("udp_tx_sends")),
      datagramsPerReceive: ratio(word("udp_rx_datagrams"), word("udp_rx_receives")),
      packetsPerTunWrite: ratio(word("tun_tx_packets"), word("tun_tx_writes")),
    },
  };
}

function carried({ packets, bytes }: CarriedReport): CarriedReport {
  return { packets, bytes };
}

function leaseReport(lease: Lease): LeaseReport {
  return {
    subnet: formatPrefix(lease.subnet),
    subnetV6: lease.subnetV6 === null ? null : formatPrefix(lease.subnetV6),
    publicIp: lease.attrs.publicIp,
    publicIpv6: lease.attrs.publicIpv6,
    expiresAt: lease.expiresAt === null ? null : new Date(lease.expiresAt).toISOString(),
  };
}

function probeReport({ readProbeAddress }: DaemonState): StatusReport["probes"] {
  const address = readProbeAddress();
  return address === null ? null : { address, port: PROBE_PORT };
}

function peerReports(state: DaemonState): PeerReport[] {
  const counted = state.readPeerBytes?.().peers;
  return state.peers.map((peer) => peerReport(peer, state, counted?.get(peer.attrs.publicIp) ?? null));
}

function peerReport(lease: Lease, { readReach, probeAddressOf }: DaemonState, bytes: PeerBytes | null): PeerReport {
  const reach = readReach(lease);
  return {
    subnet: formatPrefix(lease.subnet),
    subnetV6: lease.subnetV6 === null ? null : formatPrefix(lease.subnetV6),
    publicIp: lease.attrs.publicIp,
    publicIpv6: lease.attrs.publicIpv6,
    node: lease.attrs.node,
    backendType: lease.attrs.backendType,
    probeAddress: probeAddressOf(lease),
    reach: reach === null ? null : reachReport(reach),
    bytes,
  };
}

function bgpReport({ readBgp }: DaemonState): BgpReport | null {
  const bgp = readBgp();
  if (bgp === null) return null;
  const { version, pid, asNumber, sessions } = bgp;
  return { version, pid, asNumber, sessions: sessions.map(sessionReport) };
}

function sessionReport({ kind, address, asNumber, state, since, info, trouble }: BgpSession): BgpSessionReport {
  const sinceText = since === null ? null : new Date(since).toISOString();
  return { peer: address, type: SESSION_TYPES[kind], asNumber, state, since: sinceText, info, trouble };
}

function reachReport({ state, lastHeardAt, roundTripMilliseconds, loss }: Reach): ReachReport {
  return {
    state,
    lastHeardAt: lastHeardAt === null ? null : new Date(lastHeardAt).toISOString(),
    roundTripMilliseconds: roundTripMilliseconds === null ? null : twoDigits(roundTripMilliseconds),
    loss: loss === null ? null : twoDigits(loss),
  };
}

/** Read by people and compared by scripts. */
function ratio(things: number, operations: number): number | null {
  return operations === 0 ? null : twoDigits(things / operations);
}

function twoDigits(value: number): number {
  return Math.round(value * 100) / 100;
}
