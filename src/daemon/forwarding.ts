// Leases in, plan out, plan applied: device, kernel state, forwarding table and subnet.env, in the order in which packets
// need them. Never tries again: daemon.ts does, by calling apply() once more.
import { isDeepStrictEqual } from "node:util";
import type { Backend, BackendInput, Underlay } from "../backend/backend.js";
import { guarded } from "../backend/guard.js";
import { usesIpv6Underlay } from "../backend/vxlan.js";
import type { EngineReport } from "../dataplane/accelerator.js";
import type { CommandRunner } from "../kernel/commands.js";
import { type Lease, type LeaseAttrs, subnetsOf } from "../lease/lease.js";
import { type NetworkConfig, networksOf } from "../lease/network-config.js";
import { formatPrefix, type Prefix } from "../net/prefix.js";
import { linkPort } from "../plan/link-port.js";
import type { Plan } from "../plan/plan.js";
import { ConflictNote } from "./conflict-note.js";
import { EngineNote } from "./engine-note.js";
import { fouObjection, reportFou, reportUnusedFou, requireNoFouRival } from "./fou-engine.js";
import { ipipEngineOf, reportIpip, requireNoRival } from "./ipip-engine.js";
import { failure, type Logger } from "./log.js";
import type { DaemonOptions } from "./options.js";
import { PeerChooser } from "./peers.js";
import { openPump, type Predecessor } from "./pump-opening.js";
import type { Service } from "./service.js";
import { type DaemonState, NO_PUMP } from "./state.js";
import { SubnetFile } from "./subnet-file.js";
import type { BirdKeeper, Kernel, PlanKeeper, RunningPump, World } from "./world.js";

const NAMED_FAILURES_LIMIT = 10;

export interface ForwardingParts {
  readonly options: DaemonOptions;
  readonly world: World;
  readonly log: Logger;
  readonly state: DaemonState;
  readonly service: Service;
  readonly kernel: Kernel;
  readonly commands: CommandRunner;
  readonly bird: BirdKeeper;
  readonly openPlanKeeper: (networks: readonly Prefix[]) => PlanKeeper;
}

/** What forwarding is made for; may change while the daemon runs. */
export interface Setting {
  readonly config: NetworkConfig;
  readonly underlay: Underlay;
}

/** What the pump is given. */
interface Table {
  readonly routes: Plan["pumpRoutes"];
  readonly ownSubnets: readonly Prefix[];
}

export class Forwarding {
  readonly #parts: ForwardingParts;
  #backendInput: BackendInput;
  #backend: Backend;
  #planKeeper: PlanKeeper;
  #isReachKnown = true;
  #pump: RunningPump | null = null;
  /** Until this process carries the packets. */
  #predecessor: Predecessor | null = null;
  /** The lease that this host speaks for. */
  #own: Lease | null = null;
  #isStarted = false;
  #isForwardingOn = false;
  #hasLeft = false;
  /** What is in force, to leave alone what did not change. */
  #kernelPlan: Omit<Plan, "pumpRoutes" | "commands" | "bgp"> | null = null;
  #table: Table | null = null;
  readonly #engineNote = new EngineNote();
  readonly #conflictNote = new ConflictNote();
  readonly #subnetFile: SubnetFile;
  /** Remembers what it found out; good for one own lease and one backend. */
  #choice: { readonly own: Lease; readonly backend: Backend; readonly chooser: PeerChooser } | null = null;

  /** Changes nothing in the kernel yet. @throws BAD_CONFIG, BAD_OPTION, NETWORK_OVERLAP */
  constructor(parts: ForwardingParts, setting: Setting, ownSubnets: readonly Prefix[]) {
    this.#parts = parts;
    this.#subnetFile = new SubnetFile(parts.options, parts.log);
    this.#backendInput = this.#inputOf(setting);
    this.#backend = this.check(setting, ownSubnets);
    this.#planKeeper = parts.openPlanKeeper(networksOf(setting.config));
    parts.state.readGuard = () => this.#planKeeper.readGuard();
    this.#showSetting();
  }

  get setting(): Setting {
    const { config, underlay } = this.#backendInput;
    return { config, underlay };
  }

  /** What the own lease tells the others. */
  leaseAttrs(): LeaseAttrs {
    return this.#backend.leaseAttrs(this.#parts.options.nodeName);
  }

  /**
   * The backend for a setting, if it can be used on this host.
   * @throws BAD_CONFIG, BAD_OPTION, NETWORK_OVERLAP, TOOL_MISSING, PORT_TAKEN
   */
  check(setting: Setting, ownSubnets: readonly Prefix[]): Backend {
    const { world, kernel, options, bird } = this.#parts;
    const { config, underlay } = setting;
    const backend = world.createBackend(this.#inputOf(setting));
    const found = kernel.findOverlap({
      networks: networksOf(config),
      ownSubnets,
      deviceName: options.deviceName,
      deviceNames: backend.deviceNames,
      isBirdOurs: bird.isPresent,
      underlayAddresses: [
        ...[underlay.address, underlay.publicIp],
        ...[underlay.addressV6, underlay.publicIpv6].filter((address) => address !== null),
      ],
    });
    if (found !== null) throw found;
    if (backend.bgpAddress !== undefined) bird.check(backend.bgpAddress);
    requireNoFouRival(kernel, backend, options);
    return backend;
  }

  /** Where the host of this lease is asked whether packets arrive. */
  probeAddress(lease: Lease): string | null {
    return this.#backend.probeAddress(lease);
  }

  /** Whether both ask for the same: an IPv6 address that comes or goes matters to a mode with a tunnel end there only. */
  isSame(a: Setting, b: Setting): boolean {
    const { vxlanEngine } = this.#parts.options;
    const essence = ({ config, underlay }: Setting): Setting => {
      if (usesIpv6Underlay({ config, vxlanEngine })) return { config, underlay };
      return { config, underlay: { ...underlay, addressV6: null, publicIpv6: null } };
    };
    return isDeepStrictEqual(essence(a), essence(b));
  }

  /** Ends what the setting of before needed; the next apply() makes the new one true. Whether it is another one. */
  async adopt(setting: Setting): Promise<boolean> {
    const before = this.setting;
    if (this.isSame(before, setting)) return false;
    this.#backendInput = this.#inputOf(setting);
    this.#backend = this.#parts.world.createBackend(this.#backendInput);
    this.closePump();
    await this.#parts.commands.close();
    this.#isForwardingOn = false;
    const networks = networksOf(setting.config);
    if (!isDeepStrictEqual(networks, networksOf(before.config))) {
      await this.#planKeeper.close();
      this.#planKeeper = this.#parts.openPlanKeeper(networks);
    }
    await this.prepare();
    this.#showSetting();
    return true;
  }

  /** Runs what must be run before the own lease says anything. */
  async prepare(): Promise<void> {
    const { startCommand } = this.#backend;
    if (startCommand === undefined || startCommand === null) return;
    this.#backendInput = { ...this.#backendInput, startOutput: await this.#parts.commands.start(startCommand) };
    this.#backend = this.#parts.world.createBackend(this.#backendInput);
  }

  /** Opens device and socket, or goes on with those of a predecessor, so that a host on which that fails never takes a lease. */
  async open(before: Predecessor | null = null): Promise<void> {
    const { options, log, state, kernel, service, world } = this.#parts;
    const { socket, overheadBytes } = this.#backend;
    if (socket === null) {
      world.closeDescriptors(Object.values(before?.pair ?? {}));
      service.forget();
      await before?.dismiss();
      state.readEngine = reportFou(this.#backend);
      return;
    }
    this.#planKeeper.freeName(socket.tunName);
    const isIpip = socket.protocol === "ipip";
    if (isIpip && before === null) requireNoRival(kernel, this.#backendInput.underlay.address, options);
    const pumpOptions = {
      socket,
      underlay: this.#backendInput.underlay,
      overheadBytes,
      offloads: options.offloads,
      engine: options.engine === "fou" ? "pump" : options.engine,
      places: kernel.programPlaces(options.deviceName),
      findPaths: (addresses: readonly string[]) => kernel.pathsFrom(this.#backendInput.underlay.address, addresses),
      naive: options.naive,
      checkInnerAddresses: options.checkInnerAddresses,
      countedPeers: options.metricsPerPeer,
      answer: (datagram: Uint8Array) =>
        this.#own === null ? null : (socket.questions?.answer(this.#own, datagram) ?? null),
    };
    const { pump, isHandedOver } = await openPump(this.#parts, pumpOptions, before);
    if (isHandedOver) this.#predecessor = before;
    this.#pump = pump;
    service.keep(pump.descriptors());
    state.readDescriptors = () => pump.descriptors();
    state.readCounters = () => pump.counters();
    state.readEngine = () => this.#reportOf(pump);
    state.readPeerBytes = () => pump.peerBytes();
    state.readTunRingFull = () => kernel.transmitDrops(pump.tunIfIndex);
    log.info({ device: pump.tunName, port: socket.port, engine: pump.engine.name }, "device_open");
    this.#engineNote.note(log, options.engine, this.#reportOf(pump));
  }

  #reportOf({ engine }: RunningPump): EngineReport {
    const report = reportUnusedFou(engine, this.#parts.options, this.#backendInput.fouObjection);
    return this.#backend.socket?.protocol === "ipip" ? reportIpip(report, this.#parts.options) : report;
  }

  /**
   * Makes it true that this host holds `own` and reaches the others of `leases`. May be called again after a failure.
   * @returns whether anything had to be changed
   */
  async apply(own: Lease, leases: readonly Lease[]): Promise<boolean> {
    const { log, state } = this.#parts;
    if (this.#hasLeft) return false;
    this.#own = own;
    this.#noteReach();
    const { peers, conflicts } = this.#chooserFor(own).choose(leases);
    this.#conflictNote.note(log, state, conflicts);
    const { pumpRoutes, commands, bgp, ...planned } = this.#backend.plan(own, peers);
    const kernelPlan = this.#parts.options.guard ? guarded(this.#backend, planned, peers) : planned;
    const [link] = kernelPlan.links;
    const mtus = [this.#backendInput.underlay, ...kernelPlan.links].map(({ mtuBytes }) => mtuBytes);

    this.#forgetLostDevice();
    if (this.#pump === null) await this.open();
    const isSuccession = this.#predecessor !== null;
    const table = { routes: pumpRoutes, ownSubnets: subnetsOf(own) };
    if (isSuccession) await this.#goOn(table);
    this.#enableForwarding();
    if (bgp === undefined) await this.#parts.bird.end(); // its routes stand where those of the plan are to be
    const isKernelChanged = !isDeepStrictEqual(kernelPlan, this.#kernelPlan);
    if (isKernelChanged) {
      this.#kernelPlan = null;
      await this.#planKeeper.setPlan(kernelPlan);
      this.#kernelPlan = kernelPlan;
    }
    const isBirdChanged = bgp !== undefined && (await this.#parts.bird.follow(bgp));
    const isTableChanged = this.#publish(table);
    if (this.#pump !== null) this.#engineNote.note(log, this.#parts.options.engine, this.#reportOf(this.#pump));
    this.#startPump();
    const isCommandRun = commands !== undefined && (await this.#parts.commands.follow(commands));
    this.#noteFailures();
    state.peers = peers;
    const udpPort = link === undefined ? null : (linkPort(link) ?? (this.#backend.socket?.port || null)); // IP-in-IP has 0
    state.device = link === undefined ? null : { name: link.name, mtuBytes: link.mtuBytes, udpPort };
    await this.#subnetFile.write(own, this.#backendInput.config, Math.min(...mtus));
    return isSuccession || isKernelChanged || isTableChanged || isCommandRun || isBirdChanged;
  }

  /** Routes of this host changed: the next apply() asks which peers are on our link. */
  distrustReach(): void {
    this.#isReachKnown = false;
  }

  /** The kernel does not hold what it was told: the next apply() tells it again. */
  distrustKernel(): void {
    this.#kernelPlan = null;
  }

  /** Takes back what the kernel was told. */
  closePlan(): Promise<void> {
    return this.#planKeeper.close();
  }

  /** Runs what the extension mode's hosts leave by; a second call does nothing. */
  endCommands(): Promise<void> {
    return this.#parts.commands.close();
  }

  /** Ends BIRD with its routes, if this process had any to do with it. */
  async endBird(): Promise<void> {
    if (this.#parts.bird.report() !== null) await this.#parts.bird.end();
  }

  /** Lets go of everything but the packets; kernel state stays. */
  async leavePlan(): Promise<void> {
    this.#hasLeft = true;
    this.#pump?.endEngine();
    await this.#parts.bird.leave();
    await this.#planKeeper.leave();
  }

  /** Ends the packet threads; a device that somebody else has open too stays. */
  leavePackets(): void {
    this.#pump?.stop();
  }

  /** Ends the packet threads; the device goes with them. */
  closePump(): void {
    if (this.#pump !== null) this.#parts.service.forget();
    this.#pump?.stop();
    this.#pump = null;
    this.#isStarted = false;
    this.#kernelPlan = null;
    this.#table = null;
    Object.assign(this.#parts.state, NO_PUMP, { device: null });
  }

  #noteReach(): void {
    if (this.#isReachKnown) return;
    const { kernel, world } = this.#parts;
    const reach = kernel.linkReach(this.#backendInput.underlay.linkIndex);
    this.#isReachKnown = true;
    this.#pump?.measurePaths();
    if (isDeepStrictEqual(reach, this.#backendInput.reach)) return;
    this.#backendInput = { ...this.#backendInput, reach };
    this.#backend = world.createBackend(this.#backendInput);
  }

  /** Somebody deleted the device: what was in force on it is gone too. */
  #forgetLostDevice(): void {
    const pump = this.#pump;
    if (pump === null || this.#parts.kernel.isLinkThere(pump.tunIfIndex)) return;
    this.#parts.log.warn({ device: pump.tunName }, "device_lost");
    this.closePump();
  }

  #chooserFor(own: Lease): PeerChooser {
    const { config } = this.#backendInput;
    const backend = this.#backend;
    if (this.#choice?.own !== own || this.#choice.backend !== backend) {
      this.#choice = { own, backend, chooser: new PeerChooser(own, { config, backend }) };
    }
    return this.#choice.chooser;
  }

  #inputOf({ config, underlay }: Setting): BackendInput {
    const { options, world, kernel } = this.#parts;
    const { deviceName, ipMasq, nodeName, vxlanEngine, ipipDevice } = options;
    return {
      ...{ config, underlay, deviceName, ipMasq, vxlanEngine, ipipDevice },
      ipipEngine: ipipEngineOf(options, config, kernel),
      fouObjection: fouObjection(options, config, kernel),
      identity: { machineId: world.machineId(), nodeName },
      reach: kernel.linkReach(underlay.linkIndex),
    };
  }

  #showSetting(): void {
    const { state } = this.#parts;
    const { config, underlay } = this.#backendInput;
    state.underlay = underlay;
    state.network = networksOf(config).map(formatPrefix).join(", ");
    state.backendType = this.#backend.type;
  }

  /** Stays on at the end: others may have come to rely on it. Where nobody asked for it, the status says that it is off. */
  #enableForwarding(): void {
    const { options, world, log } = this.#parts;
    if (this.#isForwardingOn || options.ipForward === "off") return;
    this.#isForwardingOn = true;
    try {
      const settings = world.enableForwarding(this.#backendInput.config.networkV6 !== null);
      if (settings.length > 0) log.info({ settings }, "ip_forwarding_switched_on");
    } catch (error) {
      if (options.ipForward === "required") throw error;
      log.warn(failure(error), "ip_forwarding_not_switched_on");
    }
  }

  /** A device that was handed over is as it should be, but for a reader: packets come before everything else. */
  async #goOn(table: Table): Promise<void> {
    this.#publish(table);
    this.#startPump();
    const before = this.#predecessor;
    this.#predecessor = null;
    await before?.dismiss();
  }

  /** Whether it is another table. */
  #publish(table: Table): boolean {
    if (isDeepStrictEqual(table, this.#table)) return false;
    if (this.#pump !== null) {
      const { tallies } = this.#parts.state;
      const startedAt = performance.now();
      this.#pump.publish(table.routes, table.ownSubnets);
      tallies.tablesPublished++;
      tallies.tablesPublishedSeconds += (performance.now() - startedAt) / 1000;
    }
    this.#table = table;
    return true;
  }

  #startPump(): void {
    if (this.#pump === null || this.#isStarted) return;
    this.#pump.start();
    this.#isStarted = true;
  }

  #noteFailures(): void {
    const { commands, state } = this.#parts;
    const named = commands.failures.slice(0, NAMED_FAILURES_LIMIT);
    if (named.length === 0) state.warnings.delete("command");
    else state.warnings.set("command", named.join("; "));
  }
}
