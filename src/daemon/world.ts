// What the daemon needs from the machine, and nothing more: so that the daemon can be run in tests against a kernel and a
// pump that are not there. The real one is host.ts.
import type { NativeNotifySocket } from "../addon.js";
import type { Backend, BackendInput, Underlay } from "../backend/backend.js";
import type { LinkReach } from "../backend/direct-route.js";
import type { Bird, BirdOptions, Blackhole } from "../bird/bird.js";
import type { ProgramPlaces } from "../dataplane/accelerator.js";
import type { Pump, PumpOptions } from "../dataplane/pump.js";
import type { HopsackError } from "../errors.js";
import type { OverlapInput } from "../kernel/overlap.js";
import type { Reconciler, ReconcilerOptions } from "../kernel/reconciler.js";
import type { Prefix } from "../net/prefix.js";
import type { FouKey } from "../netlink/fou.js";
import type { Path } from "../netlink/route.js";
import type { HostPolicy } from "../policy/host-policy.js";
import type { PolicyPlaces } from "../policy/places.js";
import type { LeaseStore } from "../store/lease-store.js";
import type { OpenStoreOptions } from "../store/registry.js";
import type { Clock } from "./clock.js";
import type { openProbeSocket } from "./probe-socket.js";
import type { SendNotification, ServiceEnvironment } from "./service.js";
import type { LinkVolume } from "./state.js";
import type { UnderlayChoice } from "./underlay.js";

export interface World {
  readonly clock: Clock;
  /** @throws NOT_PERMITTED when this process may not change the network */
  checkPrivileges(): void;
  /** Text of /etc/machine-id; empty where there is none. */
  machineId(): string;
  /** @throws ADDON_MISSING, NOT_PERMITTED, KERNEL_REFUSED */
  openKernel(): Kernel;
  openStore(spec: string, options: OpenStoreOptions): Promise<LeaseStore>;
  createBackend(input: BackendInput): Backend;
  readonly service: ServiceEnvironment;
  readonly sendNotification: SendNotification;
  openNotifySocket(path: string): NativeNotifySocket;
  /** Descriptors that nobody uses; those that are closed already are no fault. */
  closeDescriptors(fds: readonly number[]): void;
  /** @throws NO_TUN, DEVICE_BUSY, NOT_PERMITTED, PORT_TAKEN, HANDOVER_FAILED */
  openPump(options: PumpOptions): RunningPump;
  readonly openProbeSocket: typeof openProbeSocket;
  /** Starts nothing yet. */
  openBird(options: BirdOptions): BirdKeeper;
  openPolicy(places: PolicyPlaces): Pick<HostPolicy, "sync" | "read" | "pods" | "counters">;
  /** Switches forwarding of IP packets on; the settings that it changed: `net.ipv4.ip_forward`. @throws NOT_PERMITTED */
  enableForwarding(hasIpv6: boolean): string[];
  /** Settings of this host that keep packets from flowing now, each a sentence with its cure. */
  hostWarnings(hasIpv6: boolean): string[];
}

export type RunningPump = Pick<
  Pump,
  | "tunName"
  | "tunIfIndex"
  | "engine"
  | "descriptors"
  | "publish"
  | "measurePaths"
  | "start"
  | "endEngine"
  | "stop"
  | "counters"
  | "peerBytes"
>;
export type BirdKeeper = Pick<Bird, "isPresent" | "report" | "check" | "follow" | "leave" | "end">;
export type PlanKeeper = Pick<Reconciler, "setPlan" | "readGuard" | "freeName" | "leave" | "close">;

/** rtnetlink as the daemon uses it. */
export interface Kernel {
  /** @throws NO_INTERFACE, NO_ADDRESS */
  findUnderlay(choice: UnderlayChoice): Underlay;
  findOverlap(input: Omit<OverlapInput, "links" | "addresses" | "routes">): HopsackError | null;
  openReconciler(options: Omit<ReconcilerOptions, "rtnetlink" | "openMonitor" | "onLinkMade">): PlanKeeper;
  /** Calls back when somebody changes nftables tables of this name, or may have; returns how to end that. */
  watchTables(name: string, onChange: () => void): () => void;
  /** Whether it makes devices for IP-in-IP. @throws KERNEL_REFUSED, NOT_PERMITTED */
  hasIpip(): boolean;
  /** Who else takes the IP-in-IP packets that arrive at `address`; `instance` is what our own devices are known by. */
  findIpipRival(address: string, instance: string): HopsackError | null;
  /** Whether it has FOU ports. @throws KERNEL_REFUSED, NOT_PERMITTED */
  hasFou(): boolean;
  /** Whose FOU port is where this one is to be; `instance` is what our own devices are known by. */
  findFouRival(wanted: FouKey, instance: string): HopsackError | null;
  /** Whom this link reaches without a router, as the routes are now. */
  linkReach(linkIndex: number): LinkReach;
  /** The ways from `source`, an address of this host, as the routes are now; null where there is none. @throws KERNEL_REFUSED */
  pathsFrom(source: string, addresses: readonly string[]): (Path | null)[];
  /** Where eBPF programs are attached, and have merged what they unwrapped; `instance` is what ours are known by. */
  programPlaces(instance: string): ProgramPlaces;
  isLinkThere(ifIndex: number): boolean;
  /** What the kernel counts on a device of ours; null when it is not there. */
  linkVolume(name: string): LinkVolume | null;
  /** Removes what a BIRD of ours set within the Network; with `keep` only blackholes that are not this one. */
  removeBirdRoutes(network: Prefix, keep: Blackhole | null): void;
  /** The subnets within the Network that a BIRD set routes to. */
  birdSubnets(network: Prefix): ReadonlySet<string>;
  /** Packets the kernel dropped because the device's transmit queue was full. */
  transmitDrops(ifIndex: number): number;
  close(): void;
}
