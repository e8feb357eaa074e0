// What the running daemon knows about itself. daemon.ts writes it; status.ts and metrics.ts only read it.
import type { HandedOver } from "../addon.js";
import type { Underlay } from "../backend/backend.js";
import type { EngineReport } from "../dataplane/accelerator.js";
import type { PumpCounters } from "../dataplane/pump.js";
import type { Lease, TimedLease } from "../lease/lease.js";

/** `waiting`: for the store, before the first lease. `ready`: packets can flow. */
export type Phase = "starting" | "waiting" | "ready" | "stopping";

/** What a warning is about; a topic has one warning at a time. */
export type WarningTopic = "store" | "lease" | "forwarding" | "conflict" | "underlay" | "config" | "cache" | "command";

/** What happened since the start, for metrics. */
interface Tallies {
  /** What was put back in the kernel, by kind. */
  readonly repairs: Map<string, number>;
  forwardingUpdates: number;
  /** All of them together. */
  forwardingUpdateSeconds: number;
  storeLosses: number;
  /** When the store last told something, milliseconds since the epoch. */
  storeHeardAt: number | null;
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
  device: { readonly name: string; readonly mtuBytes: number } | null;
  /** The leases that the forwarding table was made of. */
  peers: readonly Lease[];
  /** null: no pump runs. */
  readCounters: (() => PumpCounters) | null;
  /** Who carries the packets beside it; null: no pump runs. */
  readEngine: (() => EngineReport) | null;
  /** Device and socket of the pump; null: no pump runs. */
  readDescriptors: (() => HandedOver) | null;
  /** Packets the kernel dropped because the TUN's queue was full. */
  readTunRingFull: (() => number) | null;
  /** What is wrong with the host's own settings at the moment of asking. */
  readHostWarnings: () => readonly string[];
  readonly tallies: Tallies;
  /** What is wrong now and being worked on. */
  readonly warnings: Map<WarningTopic, string>;
}

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
    readCounters: null,
    readEngine: null,
    readDescriptors: null,
    readTunRingFull: null,
    readHostWarnings: () => [],
    tallies: {
      repairs: new Map(),
      forwardingUpdates: 0,
      forwardingUpdateSeconds: 0,
      storeLosses: 0,
      storeHeardAt: null,
    },
    warnings: new Map(),
  };
}
