// Leases in, plan out, plan applied: device, kernel state, forwarding table and subnet.env, in the order in which packets
// need them. Never tries again: daemon.ts does, by calling apply() once more.
import { isDeepStrictEqual } from "node:util";
import type { Backend, BackendInput } from "../backend/backend.js";
import type { Lease } from "../lease/lease.js";
import { type SubnetEnvValues, writeSubnetEnv } from "../lease/subnet-env.js";
import type { Plan } from "../plan/plan.js";
import type { Logger } from "./log.js";
import type { DaemonOptions } from "./options.js";
import { choosePeers } from "./peers.js";
import type { DaemonState } from "./state.js";
import type { Kernel, PlanKeeper, RunningPump, World } from "./world.js";

/** A store that another network was poured into has thousands. */
const NAMED_CONFLICTS_LIMIT = 10;

export interface ForwardingParts {
  readonly options: DaemonOptions;
  readonly world: World;
  readonly log: Logger;
  readonly state: DaemonState;
  readonly kernel: Kernel;
  readonly planKeeper: PlanKeeper;
  readonly backendInput: BackendInput;
  readonly backend: Backend;
}

export class Forwarding {
  readonly #parts: ForwardingParts;
  #backendInput: BackendInput;
  #backend: Backend;
  #pump: RunningPump | null = null;
  #isStarted = false;
  /** What is in force, to leave alone what did not change. */
  #kernelPlan: Omit<Plan, "pumpRoutes"> | null = null;
  #pumpRoutes: Plan["pumpRoutes"] | null = null;
  #subnetEnv: SubnetEnvValues | null = null;
  #conflicts: readonly string[] = [];

  constructor(parts: ForwardingParts) {
    this.#parts = parts;
    this.#backendInput = parts.backendInput;
    this.#backend = parts.backend;
  }

  /** Opens device and socket, so that a host on which that fails never takes a lease. */
  open(): void {
    const { world, options, log, state, kernel, planKeeper } = this.#parts;
    const { socket, overheadBytes } = this.#backend;
    if (socket === null) return;
    planKeeper.freeName(socket.tunName);
    const pump = world.openPump({
      socket,
      underlay: this.#backendInput.underlay,
      overheadBytes,
      offloads: options.offloads,
      naive: options.naive,
      checkInnerSource: options.checkInnerSource,
    });
    this.#pump = pump;
    state.readCounters = () => pump.counters();
    state.readTunRingFull = () => kernel.transmitDrops(pump.tunIfIndex);
    log.info({ device: pump.tunName, port: socket.port }, "device_open");
  }

  /**
   * Makes it true that this host holds `own` and reaches the others of `leases`. May be called again after a failure.
   * @returns whether anything had to be changed
   */
  async apply(own: Lease, leases: readonly Lease[]): Promise<boolean> {
    const { state, planKeeper } = this.#parts;
    this.#noteReach();
    const { config } = this.#backendInput;
    const { peers, conflicts } = choosePeers(own, leases, { config, backend: this.#backend });
    this.#noteConflicts(conflicts);
    const { pumpRoutes, ...kernelPlan } = this.#backend.plan(own, peers);
    const [link] = kernelPlan.links;
    const mtuBytes = link?.mtuBytes ?? this.#backendInput.underlay.mtuBytes;

    this.#forgetLostDevice();
    if (this.#pump === null) this.open();
    const isKernelChanged = !isDeepStrictEqual(kernelPlan, this.#kernelPlan);
    if (isKernelChanged) {
      this.#kernelPlan = null;
      await planKeeper.setPlan(kernelPlan);
      this.#kernelPlan = kernelPlan;
    }
    const isTableChanged = !isDeepStrictEqual(pumpRoutes, this.#pumpRoutes);
    if (isTableChanged) {
      this.#pump?.publish(pumpRoutes);
      this.#pumpRoutes = pumpRoutes;
    }
    this.#startPump();
    state.peers = peers;
    state.device = link === undefined ? null : { name: link.name, mtuBytes };
    await this.#writeSubnetEnv(own, mtuBytes);
    return isKernelChanged || isTableChanged;
  }

  /** The kernel does not hold what it was told: the next apply() tells it again. */
  distrustKernel(): void {
    this.#kernelPlan = null;
  }

  /** Ends the packet threads; the device goes with them. */
  close(): void {
    this.#pump?.stop();
    this.#pump = null;
    this.#isStarted = false;
    this.#kernelPlan = null;
    this.#pumpRoutes = null;
    this.#parts.state.readCounters = null;
    this.#parts.state.readTunRingFull = null;
    this.#parts.state.device = null;
  }

  /** Which peers are on our link may have changed with the host's routes. */
  #noteReach(): void {
    const { kernel, world } = this.#parts;
    const reach = kernel.linkReach(this.#backendInput.underlay.linkIndex);
    if (isDeepStrictEqual(reach, this.#backendInput.reach)) return;
    this.#backendInput = { ...this.#backendInput, reach };
    this.#backend = world.createBackend(this.#backendInput);
  }

  /** Somebody deleted the device: what was in force on it is gone too. */
  #forgetLostDevice(): void {
    const pump = this.#pump;
    if (pump === null || this.#parts.kernel.isLinkThere(pump.tunIfIndex)) return;
    this.#parts.log.warn({ device: pump.tunName }, "device_lost");
    this.close();
  }

  #startPump(): void {
    if (this.#pump === null || this.#isStarted) return;
    this.#pump.start();
    this.#isStarted = true;
  }

  /** Written last: who reads it may count on packets flowing. */
  async #writeSubnetEnv(own: Lease, mtuBytes: number): Promise<void> {
    const { options, log } = this.#parts;
    const { config } = this.#backendInput;
    const values: SubnetEnvValues = {
      network: config.network,
      subnet: own.subnet,
      networkV6: own.subnetV6 === null ? null : config.networkV6,
      subnetV6: own.subnetV6,
      mtuBytes,
      ipMasq: options.ipMasq,
    };
    if (isDeepStrictEqual(values, this.#subnetEnv)) return;
    await writeSubnetEnv(options.subnetFile, values);
    this.#subnetEnv = values;
    log.info({ path: options.subnetFile }, "subnet_file_written");
  }

  #noteConflicts(conflicts: readonly string[]): void {
    const { log, state } = this.#parts;
    const named = conflicts.slice(0, NAMED_CONFLICTS_LIMIT);
    for (const reason of named) if (!this.#conflicts.includes(reason)) log.warn({ reason }, "lease_conflict");
    this.#conflicts = named;
    if (conflicts.length > named.length) named.push(`and ${conflicts.length - named.length} more of the kind`);
    if (named.length === 0) state.warnings.delete("conflict");
    else state.warnings.set("conflict", named.join("; "));
  }
}
