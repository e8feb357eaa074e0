// The daemon from its first step to its last: leases in, plan out, plan applied. Everything that is tried again is tried
// again here; status and metrics only read the state that is kept here.
import type { BackendInput } from "../backend/backend.js";
import { HopsackError } from "../errors.js";
import { type Lease, type LeaseAttrs, type LeaseEvent, leaseKey, type TimedLease } from "../lease/lease.js";
import { LeaseTable } from "../lease/lease-table.js";
import type { NetworkConfig } from "../lease/network-config.js";
import type { SubnetPair } from "../lease/subnet-allocator.js";
import { readSubnetEnv } from "../lease/subnet-env.js";
import { formatPrefix, type Prefix } from "../net/prefix.js";
import type { AcquireRequest, LeaseStore } from "../store/lease-store.js";
import { Bell } from "./bell.js";
import { Forwarding, type ForwardingParts } from "./forwarding.js";
import { keepLease } from "./lease-keeper.js";
import { failure, type Logger } from "./log.js";
import type { DaemonOptions } from "./options.js";
import { type DaemonState, initialState, type WarningTopic } from "./state.js";
import { serveStatus } from "./status-server.js";
import { isOutside, isRetryable, Trouble } from "./trouble.js";
import { UndoStack } from "./undo.js";
import { packageVersion } from "./version.js";
import type { Kernel, World } from "./world.js";

/** At most one plan in this time: a thousand changes in a second make twenty plans. */
const APPLY_WINDOW_MS = 50;
/** How long steps and loops may take to notice that it is over, and each step of taking back: less than a second in all. */
const STUCK_LIMIT_MS = 200;
const UNDO_STEP_LIMIT_MS = 600;

/** What every step needs. */
interface Context {
  readonly options: DaemonOptions;
  readonly world: World;
  readonly log: Logger;
  readonly state: DaemonState;
  readonly undo: UndoStack;
  readonly bells: Bells;
}

interface Bells {
  /** Device, lease or peers may not be what the plan in force says. */
  readonly changed: Bell;
  /** The own lease may be gone. */
  readonly doubt: Bell;
}

/**
 * Runs until `signal` aborts, then takes back what it made and resolves.
 * @throws HopsackError when the start fails; nothing is left behind
 */
export async function runDaemon(options: DaemonOptions, world: World, log: Logger, signal: AbortSignal): Promise<void> {
  const startedAt = world.clock.now();
  const fixed = { version: packageVersion(), node: options.nodeName, startedAt, storeSpec: options.store };
  const state = initialState(fixed);
  const bells = { changed: new Bell(), doubt: new Bell() };
  const undo = new UndoStack();
  try {
    const life = start({ options, world, log, state, undo, bells }, signal).then((daemon) => daemon.run(signal));
    await Promise.race([life, patienceAfter(signal)]);
  } catch (error) {
    if (!signal.aborted) throw error; // an aborted wait is how a signal ends everything
  } finally {
    state.phase = "stopping";
    log.info({ reason: signal.aborted ? String(signal.reason) : "failure" }, "stopping");
    await undo.run(UNDO_STEP_LIMIT_MS, (step, error) => log.warn({ step, ...failure(error) }, "stop_step_failed"));
    log.info("stopped");
  }
}

/** Resolves some time after the signal: a store on a dead mount may keep a step from ever ending. */
function patienceAfter(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => setTimeout(resolve, STUCK_LIMIT_MS), { once: true });
  });
}

/** Every step up to the moment when packets can flow. */
async function start(context: Context, signal: AbortSignal): Promise<Daemon> {
  const { options, world, log, state, undo } = context;
  log.info({ version: state.version, node: state.node, store: options.store }, "starting");
  world.checkPrivileges();
  const server = await serveStatus(state, options.statusSocket);
  undo.push("status_socket", () => server.close());

  const kernel = world.openKernel();
  undo.push("kernel", () => kernel.close());
  const underlay = kernel.findUnderlay({ iface: options.iface, publicIp: options.publicIp });
  state.underlay = underlay;
  log.info({ ...underlay }, "underlay_chosen");

  const store = await openStore(context);
  const waiting = new Trouble("store", state, log, world.clock);
  state.phase = "waiting";
  const config = chosenConfig(await waiting.persist(signal, isRetryable, () => store.readConfig()), options);
  state.isStoreConnected = true;
  state.network = networksOf(config).map(formatPrefix).join(", ");
  const { deviceName, ipMasq, nodeName } = options;
  const identity = { machineId: world.machineId(), nodeName };
  const reach = kernel.linkReach(underlay.linkIndex);
  const backendInput = { config, underlay, deviceName, ipMasq, identity, reach };
  const backend = world.createBackend(backendInput);
  state.backendType = backend.type;

  const previous = await previousSubnets(options.subnetFile, log);
  const attrs = backend.leaseAttrs(state.node);
  const known = await waiting.persist(signal, isRetryable, () => store.list());
  checkOverlap(context, kernel, backendInput, backend.deviceNames, ownSubnets(known, attrs, previous));

  const forwarding = openForwarding(context, { kernel, backendInput, backend });
  const request = { config, attrs, previous };
  const lease = await waiting.persist(signal, isRetryable, () => store.acquire(request));
  const daemon = new Daemon(context, store, forwarding, request, lease);
  undo.push("lease", () => daemon.giveUpSubnet());

  await daemon.startForwarding(known);
  state.readHostWarnings = () => world.hostWarnings(config.networkV6 !== null);
  for (const reason of state.readHostWarnings()) log.warn({ reason }, "host_warning");
  state.phase = "ready";
  log.info({ peers: state.peers.length, millisecondsToReady: Math.round(performance.now()) }, "ready");
  return daemon;
}

async function openStore({ options, world, log, undo }: Context): Promise<LeaseStore> {
  const { leaseTtlSeconds, netConfigPath } = options;
  const onWarning = (reason: string): void => log.warn({ reason }, "store_warning");
  const store = await world.openStore(options.store, { leaseTtlSeconds, netConfigPath, onWarning });
  undo.push("store", () => store.close());
  return store;
}

/** The configuration with --backend applied; the configured backend's own options mean nothing to another one. */
function chosenConfig(config: NetworkConfig, { backendType }: DaemonOptions): NetworkConfig {
  const type = backendType?.toLowerCase() ?? config.backend.type;
  return type === config.backend.type ? config : { ...config, backend: { type, options: {} } };
}

async function previousSubnets(path: string, log: Logger): Promise<SubnetPair | null> {
  const { previous, fault } = await readSubnetEnv(path);
  if (fault !== null) log.warn({ reason: fault }, "subnet_file_ignored");
  return previous;
}

/** What this host may use of the Network already: its subnet of before, and those that the store says are its own. */
function ownSubnets(leases: readonly Lease[], own: LeaseAttrs, previous: SubnetPair | null): Prefix[] {
  const mine = leases.filter(({ attrs }) => attrs.publicIp === own.publicIp && attrs.node === own.node);
  const pairs = previous === null ? mine : [previous, ...mine];
  return pairs.flatMap(({ subnet, subnetV6 }) => (subnetV6 === null ? [subnet] : [subnet, subnetV6]));
}

function networksOf(config: NetworkConfig): Prefix[] {
  return config.networkV6 === null ? [config.network] : [config.network, config.networkV6];
}

function checkOverlap(
  { options }: Context,
  kernel: Kernel,
  { config, underlay }: BackendInput,
  deviceNames: readonly string[],
  ownSubnets: readonly Prefix[],
): void {
  const { deviceName } = options;
  const underlayAddresses = [underlay.address, underlay.publicIp];
  const networks = networksOf(config);
  const found = kernel.findOverlap({ networks, ownSubnets, deviceName, deviceNames, underlayAddresses });
  if (found !== null) throw found;
}

/** Device and socket are opened before a lease is taken: where that fails, nobody else has noticed this host. */
function openForwarding(
  { options, world, log, state, undo, bells }: Context,
  parts: Pick<ForwardingParts, "kernel" | "backendInput" | "backend">,
): Forwarding {
  const planKeeper = parts.kernel.openReconciler({
    deviceName: options.deviceName,
    networks: networksOf(parts.backendInput.config),
    onRepair: (kind, what) => log.info({ kind, what }, "repaired"),
    onLinkGone: () => bells.changed.ring(),
    onHostChange: () => bells.changed.ring(),
    onFault: (error) => {
      log.warn(failure(error), "repair_failed");
      forwarding.distrustKernel();
      bells.changed.ring();
    },
  });
  undo.push("kernel_plan", () => planKeeper.close());
  const forwarding = new Forwarding({ options, world, log, state, planKeeper, ...parts });
  undo.push("packets", () => forwarding.close());
  forwarding.open();
  return forwarding;
}

/** The daemon once it holds a lease: three loops that never give up. */
class Daemon {
  readonly #context: Context;
  readonly #store: LeaseStore;
  readonly #forwarding: Forwarding;
  readonly #request: AcquireRequest;
  readonly #table = new LeaseTable();
  #lease: TimedLease;

  constructor(context: Context, store: LeaseStore, forwarding: Forwarding, request: AcquireRequest, lease: TimedLease) {
    this.#context = context;
    this.#store = store;
    this.#forwarding = forwarding;
    this.#request = request;
    this.#lease = lease;
    this.#noteLease("lease_acquired", lease);
  }

  /** The first plan, with every peer that is known already. */
  async startForwarding(leases: readonly Lease[]): Promise<void> {
    this.#table.apply(leases.map((lease) => ({ kind: "added", lease })));
    await this.#forwarding.apply(this.#lease, this.#table.list());
  }

  /** Ends by the signal, or by a bug in one of the loops, which ends all of them. */
  async run(signal: AbortSignal): Promise<void> {
    const ending = new AbortController();
    const both = AbortSignal.any([signal, ending.signal]);
    const loops = [this.#watchLeases(both), this.#holdLease(both), this.#applyChanges(both)];
    try {
      await Promise.all(loops);
    } finally {
      ending.abort();
      await Promise.allSettled(loops);
    }
  }

  /** The packets first: from the release on, the subnet may be another host's. */
  async giveUpSubnet(): Promise<void> {
    this.#forwarding.close();
    if (this.#context.options.keepLease) return;
    await this.#store.release(this.#lease);
    this.#context.log.info({ lease: leaseKey(this.#lease) }, "lease_released");
  }

  /** Learns what the other hosts hold. When the store is gone, what is known stays in force until it comes back. */
  async #watchLeases(signal: AbortSignal): Promise<void> {
    const trouble = this.#trouble("store");
    for (;;) {
      try {
        for await (const batch of this.#store.watch(signal, this.#table.list())) {
          trouble.over();
          this.#context.state.isStoreConnected = true;
          this.#learn(batch);
        }
        signal.throwIfAborted();
        throw new HopsackError("STORE_UNAVAILABLE", `${this.#store.description} ended the watch`, { retryable: true });
      } catch (error) {
        if (signal.aborted || !isOutside(error)) throw error;
        this.#context.state.isStoreConnected = false;
        await trouble.pause(error, signal);
      }
    }
  }

  #learn(batch: readonly LeaseEvent[]): void {
    const changes = this.#table.apply(batch);
    if (!this.#isOwnLeaseKnown()) this.#context.bells.doubt.ring();
    if (changes.length === 0) return;
    this.#context.log.debug({ changes: changes.length, leases: this.#table.size }, "leases_changed");
    this.#context.bells.changed.ring();
  }

  /** Whether the store, as far as we know it, shows our lease as ours. */
  #isOwnLeaseKnown(): boolean {
    const { publicIp, node } = this.#lease.attrs;
    const shown = this.#table.get(leaseKey(this.#lease))?.attrs;
    return shown?.publicIp === publicIp && (shown.node === null || shown.node === node);
  }

  /** Renews the own lease in time; when it is lost, takes another one and moves to it. */
  async #holdLease(signal: AbortSignal): Promise<void> {
    const { options, world, bells, log } = this.#context;
    const trouble = this.#trouble("lease");
    for (;;) {
      const lost = await keepLease({
        lease: this.#lease,
        store: this.#store,
        renewMarginMinutes: options.renewMarginMinutes,
        clock: world.clock,
        doubt: bells.doubt,
        signal,
        onRenewed: (lease) => {
          trouble.over();
          this.#noteLease("lease_renewed", lease);
        },
        onFailure: (error) => trouble.note(error),
      });
      log.warn(failure(lost), "lease_lost");
      const request = { ...this.#request, previous: this.#lease };
      const lease = await trouble.persist(signal, isOutside, () => this.#store.acquire(request));
      this.#noteLease("lease_acquired", lease);
      bells.changed.ring();
    }
  }

  /** Brings device, kernel and forwarding table to what is known now. */
  async #applyChanges(signal: AbortSignal): Promise<void> {
    const { world, bells, log, state } = this.#context;
    const trouble = this.#trouble("forwarding");
    for (;;) {
      await bells.changed.wait(signal);
      const apply = () => this.#forwarding.apply(this.#lease, this.#table.list());
      const isChanged = await trouble.persist(signal, isOutside, apply);
      if (isChanged) log.info({ peers: state.peers.length }, "forwarding_updated");
      await world.clock.sleep(APPLY_WINDOW_MS, signal);
    }
  }

  #noteLease(event: "lease_acquired" | "lease_renewed", lease: TimedLease): void {
    this.#lease = lease;
    this.#context.state.lease = lease;
    const expiresAt = lease.expiresAt === null ? null : new Date(lease.expiresAt).toISOString();
    this.#context.log.info({ lease: leaseKey(lease), publicIp: lease.attrs.publicIp, expiresAt }, event);
  }

  #trouble(topic: WarningTopic): Trouble {
    const { state, log, world } = this.#context;
    return new Trouble(topic, state, log, world.clock);
  }
}
