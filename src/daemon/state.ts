// What the running daemon knows about itself. daemon.ts writes it; status.ts and metrics.ts only read it.
import type { HandedOver } from "../addon.js";
import type { Underlay } from "../backend/backend.js";
import type { BirdReport } from "../bird/bird.js";
import type { EngineReport } from "../dataplane/accelerator.js";
import type { PeerBytesReading } from "../dataplane/peer-slots.js";
import type { PumpCounters } from "../dataplane/pump.js";
import type { GuardReport } from "../kernel/guard-table.js";
import type { Lease, TimedLease } from "../lease/lease.js";
import type { PolicyReport } from "../policy/policy-report.js";
import type { Reach } from "./reach.js";

/** `waiting`: for the store, before the first lease. `ready`: packets can flow. */
export type Phase = "starting" | "waiting" | "ready" | "stopping";

/** What a warning is about; a topic has one warning at a time. */
export type WarningTopic =
  | "store"
  | "lease"
  | "forwarding"
  | "conflict"
  | "underlay"
  | "config"
  | "cache"
  | "command"
  | "policy"
  | "probe";

/** What happened since the start, for metrics. */
interface Tallies {
  /** What was put back in the kernel, by kind. */
  readonly repairs: Map<string, number>;
  forwardingUpdates: number;
  /** All of them together. */
  forwardingUpdateSeconds: number;
  /** How often the pump got a table, and how long that took. */
  tablesPublished: number;
  tablesPublishedSeconds: number;
  /** How often BIRD ended unasked (bgp mode). */
  birdEnds: number;
  storeLosses: number;
  storeReconnects: number;
  /** When the store last told something, milliseconds since the epoch. */
  storeHeardAt: number | null;
  /** Since when the store does not answer; null: it does, or was not asked yet. */
  storeLostAt: number | null;
}

/** Since a device was made, as the kernel counts: a super-packet is one packet. */
export interface LinkVolume {
  readonly sentPackets: number;
  readonly sentBytes: number;
  readonly receivedPackets: number;
  readonly receivedBytes: number;
}

export interface DaemonState {
  readonly version: string;
  readonly node: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly storeSpec: string;
  phase: Phase;
  isStoreConnected: boolean;
  network: string | null;
  backendType: string | null;
  underlay: Underlay | null;
  lease: TimedLease | null;
  device: { readonly name: string; readonly mtuBytes: number; readonly udpPort: number | null } | null;
  /** The leases that the forwarding table was made of. */
  peers: readonly Lease[];
  /** null: no pump runs. */
  readCounters: (() => PumpCounters) | null;
  /** Who carries the packets beside it; null: no pump runs. */
  readEngine: (() => EngineReport) | null;
  /** null: no pump runs. */
  readPeerBytes: (() => PeerBytesReading) | null;
  /** Device and socket of the pump; null: no pump runs. */
  readDescriptors: (() => HandedOver) | null;
  /** Packets the kernel dropped because the TUN's queue was full. */
  readTunRingFull: (() => number) | null;
  /** What the kernel counts on `device`; null: it has none. */
  readDeviceVolume: () => LinkVolume | null;
  /** What the probes say of one of `peers`; null: it is not probed. */
  readReach: (peer: Lease) => Reach | null;
  /** Where that host answers probes. */
  probeAddressOf: (peer: Lease) => string | null;
  /** Where this host answers probes; null: nowhere. */
  readProbeAddress: () => string | null;
  /** What BIRD says of its sessions; null: this mode has none. */
  readBgp: () => BirdReport | null;
  /** The subnets to which BIRD has set routes. */
  readBirdSubnets: () => ReadonlySet<string>;
  /** What is wrong with the host's own settings at the moment of asking. */
  readHostWarnings: () => readonly string[];
  /** What the policies of this host do, at the moment of asking. */
  readPolicies: () => Promise<readonly PolicyReport[]>;
  /** What the guard has done, at the moment of asking; null: it is off. */
  readGuard: () => Promise<GuardReport | null>;
  readonly tallies: Tallies;
  /** What is wrong now and being worked on. */
  readonly warnings: Map<WarningTopic, string>;
}

/** The store told something. @param now milliseconds since the epoch */
export function noteStoreHeard(state: DaemonState, now: number): void {
  if (state.tallies.storeLostAt !== null) state.tallies.storeReconnects++;
  state.tallies.storeHeardAt = now;
  state.tallies.storeLostAt = null;
  state.isStoreConnected = true;
}

/** The store does not answer. @param now milliseconds since the epoch */
export function noteStoreLost(state: DaemonState, now: number): void {
  if (state.isStoreConnected) state.tallies.storeLosses++;
  state.tallies.storeLostAt ??= now;
  state.isStoreConnected = false;
}

/** What the state says of the pump while none runs. */
export const NO_PUMP = {
  readCounters: null,
  readEngine: null,
  readPeerBytes: null,
  readDescriptors: null,
  readTunRingFull: null,
} as const satisfies Partial<DaemonState>;

export function initialState(fixed: Pick<DaemonState, "version" | "node" | "startedAt" | "storeSpec">): DaemonState {
  return {
    ...fixed,
    phase: "starting",
    isStoreConnected: false,
    network: null,
    backendType: null,
    underlay: null,
    lease: null,
    device: null,
    peers: [],
    ...NO_PUMP,
    readDeviceVolume: () => null,
    readReach: () => null,
    probeAddressOf: () => null,
    readProbeAddress: () => null,
    readBgp: () => null,
    readBirdSubnets: () => new Set(),
    readHostWarnings: () => [],
    readPolicies: async () => [],
    readGuard: async () => null,
    tallies: {
      repairs: new Map(),
      forwardingUpdates: 0,
      forwardingUpdateSeconds: 0,
      tablesPublished: 0,
      tablesPublishedSeconds: 0,
      birdEnds: 0,
      storeLosses: 0,
      storeReconnects: 0,
      storeHeardAt: null,
      storeLostAt: null,
    },
    warnings: new Map(),
  };
}
