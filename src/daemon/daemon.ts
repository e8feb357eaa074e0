// The daemon from its first step to its last: what is made here is taken back here. Once it holds a lease, running-daemon.ts goes
// on; status and metrics only read the state that is kept here.
import { birdPaths } from "../bird/program.js";
import { CommandRunner, LEAVING_LIMIT_MS } from "../kernel/commands.js";
import { type Lease, type LeaseAttrs, subnetsOf } from "../lease/lease.js";
import type { SubnetPair } from "../lease/subnet-allocator.js";
import { readSubnetEnv } from "../lease/subnet-env.js";
import type { Prefix } from "../net/prefix.js";
import { describeEtcd } from "../store/etcd-settings.js";
import type { LeaseStore } from "../store/lease-store.js";
import { Bell } from "./bell.js";
import type { Context } from "./context.js";
import { Forwarding, type Setting } from "./forwarding.js";
import { Handover, TAKEN_OVER } from "./handover.js";
import { LeaseCache } from "./lease-cache.js";
import { failure, type Logger } from "./log.js";
import { serveMetrics } from "./metrics-server.js";
import type { DaemonOptions } from "./options.js";
import { findOutset } from "./outset.js";
import { PolicyWatch } from "./policy-watch.js";
import type { Predecessor } from "./pump-opening.js";
import { chosenConfig, RunningDaemon } from "./running-daemon.js";
import { pairOf, Service } from "./service.js";
import { initialState, noteStoreLost } from "./state.js";
import { serveStatus } from "./status-server.js";
import { takeOver } from "./takeover.js";
import { isRetryable, Trouble } from "./trouble.js";
import { UndoStack } from "./undo.js";
import { packageVersion } from "./version.js";
import type { Kernel, PlanKeeper, World } from "./world.js";

/** How long steps and loops may take to notice that it is over, and each step of taking back: less than a second in all. */
const STUCK_LIMIT_MS = 200;
const UNDO_STEP_LIMIT_MS = 600;
/** An administrator's commands (extension mode) may take longer; where there are none, this step takes no time. */
const COMMANDS_LIMIT_MS = LEAVING_LIMIT_MS + UNDO_STEP_LIMIT_MS;

/** Reasons to end that mean: another process goes on at once, so leave it what is in force. */
const SUCCESSION: readonly unknown[] = ["SIGUSR2", TAKEN_OVER];

/**
 * Runs until `signal` aborts or another daemon takes over, then takes back what it made and resolves. For a successor (the
 * signal's reason is SIGUSR2) everything stays as it is.
 * @throws HopsackError when the start fails; nothing is left behind
 */
export async function runDaemon(options: DaemonOptions, world: World, log: Logger, signal: AbortSignal): Promise<void> {
  const startedAt = world.clock.now();
  const fixed = {
    version: packageVersion(),
    node: options.nodeName,
    startedAt,
    storeSpec: options.etcd === null ? options.store : describeEtcd(options.etcd),
  };
  const state = initialState(fixed);
  const bells = { changed: new Bell(), doubt: new Bell(), host: new Bell(), config: new Bell() };
  const service = new Service(world.service, world.sendNotification, log);
  const context = {
    options,
    world,
    log,
    state,
    service,
    undo: new UndoStack(),
    leave: new UndoStack(),
    packets: new UndoStack(),
    bells,
  };
  const handover = new Handover(context);
  const over = AbortSignal.any([signal, handover.signal]);
  try {
    const life = start(context, handover, over).then((daemon) => daemon.run(over));
    await Promise.race([life, patienceAfter(over)]);
  } catch (error) {
    if (!over.aborted) throw error; // an aborted wait is how a signal ends everything
  } finally {
    state.phase = "stopping";
    log.info({ reason: over.aborted ? String(over.reason) : "failure" }, "stopping");
    service.stopping();
    const take = (steps: UndoStack) =>
      steps.run(UNDO_STEP_LIMIT_MS, (step, error) => log.warn({ step, ...failure(error) }, "stop_step_failed"));
    if (SUCCESSION.includes(over.reason)) {
      await take(context.leave);
      await handover.letBegin();
      await take(context.packets);
    } else await take(context.undo);
    log.info("stopped");
    handover.over();
  }
}

/** Resolves some time after the signal: a store on a dead mount may keep a step from ever ending. */
function patienceAfter(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => setTimeout(resolve, STUCK_LIMIT_MS), { once: true });
  });
}

/** Every step up to the moment when packets can flow. */
async function start(context: Context, handover: Handover, signal: AbortSignal): Promise<RunningDaemon> {
  const { options, world, log, state, service, undo, bells } = context;
  log.info({ version: state.version, node: state.node, store: state.storeSpec }, "starting");
  world.checkPrivileges();
  if (options.takeover === null) await showStatus(context, handover);
  const kernel = world.openKernel();
  undo.push("kernel", () => kernel.close());
  const findUnderlay = () => kernel.findUnderlay(options);
  const underlay = findUnderlay();
  state.underlay = underlay;
  log.info({ ...underlay }, "underlay_chosen");

  const store = await openStore(context);
  const storeTrouble = new Trouble("store", state, log, world.clock);
  state.phase = "waiting";
  const cache = new LeaseCache(options.leaseCache);
  const kept = await cache.read(store.description, state.node, world.clock.now());
  if (kept.fault !== null) log.warn({ reason: kept.fault }, "lease_cache_ignored");
  const outset = await findOutset(store, kept, storeTrouble, world.clock, signal);
  if (outset.own === null) state.isStoreConnected = true;
  else {
    noteStoreLost(state, world.clock.now());
    log.warn({ leases: outset.known.length, path: options.leaseCache }, "store_away_using_kept_leases");
  }

  const previous = outset.own ?? (await previousSubnets(options.subnetFile, log));
  const config = chosenConfig(outset.config, options.backendType);
  const mine = ownSubnets(outset.known, { publicIp: underlay.publicIp, node: state.node }, previous);
  const forwarding = makeForwarding(context, kernel, { config, underlay }, mine);
  await forwarding.prepare();
  // Device and socket are opened before a lease is taken: where that fails, nobody else has noticed this host.
  if (options.takeover === null) {
    await forwarding.open(endedPredecessor(context));
    await showMetrics(context, underlay.address);
  }
  const request = { config, attrs: forwarding.leaseAttrs(), previous };
  const own = outset.own ?? (await storeTrouble.persist(signal, isRetryable, () => store.acquire(request)));
  if (options.takeover !== null) {
    const predecessor = await takeOver(options.takeover, world, signal);
    undo.push("predecessor", () => predecessor.dismiss());
    await forwarding.open(predecessor);
    await showStatus(context, handover);
    await showMetrics(context, underlay.address);
  }
  if (outset.own !== null) bells.doubt.ring(); // whether it still is ours, the store has to say
  const policy = watchPolicy(context, kernel);
  const daemon = new RunningDaemon({ ...context, store, storeTrouble, cache, forwarding, findUnderlay, policy }, own);
  undo.push("lease", () => daemon.giveUpSubnet());
  undo.push("bird", () => forwarding.endBird()); // before the subnet may be another host's
  undo.push("commands", () => forwarding.endCommands(), COMMANDS_LIMIT_MS); // they end while the subnet is still ours

  await daemon.startForwarding(outset.known);
  state.readDeviceVolume = () => (state.device === null ? null : kernel.linkVolume(state.device.name));
  state.readBirdSubnets = () => kernel.birdSubnets(forwarding.setting.config.network);
  state.readHostWarnings = () => world.hostWarnings(forwarding.setting.config.networkV6 !== null);
  for (const reason of state.readHostWarnings()) log.warn({ reason }, "host_warning");
  state.phase = "ready";
  service.begin(state);
  log.info({ peers: state.peers.length, millisecondsToReady: Math.round(performance.now()) }, "ready");
  return daemon;
}

function watchPolicy({ world, options, state, log }: Context, kernel: Kernel): PolicyWatch {
  const policy = world.openPolicy(options);
  const trouble = new Trouble("policy", state, log, world.clock);
  const watch = new PolicyWatch({ policy, watchTables: kernel.watchTables, clock: world.clock, log, trouble });
  state.readPolicies = () => watch.report();
  return watch;
}

async function showStatus({ state, options, undo, leave }: Context, handover: Handover): Promise<void> {
  const server = await serveStatus(state, options.statusSocket, handover);
  undo.push("status_socket", () => server.close());
  leave.push("status_socket", () => server.close());
}

async function showMetrics({ state, options, log, undo, leave }: Context, underlayAddress: string): Promise<void> {
  if (options.metricsAddress === null) return;
  const address = options.metricsAddress.address ?? underlayAddress;
  const server = await serveMetrics(state, address, options.metricsAddress.port);
  undo.push("metrics", () => server.close());
  leave.push("metrics", () => server.close());
  log.info({ address, port: server.port }, "metrics_open");
}

/** What the service manager kept for us of a process that has ended; what is no use is closed. */
function endedPredecessor({ world }: Context): Predecessor | null {
  const { pair, unused } = pairOf(world.service.inherited);
  world.closeDescriptors(unused.map(({ fd }) => fd));
  return pair === null ? null : { pair, dismiss: async () => {} };
}

async function openStore({ options, world, log, undo, bells }: Context): Promise<LeaseStore> {
  const { leaseTtlSeconds, netConfigPath } = options;
  const store = await world.openStore(options.store, {
    etcd: options.etcd,
    leaseTtlSeconds,
    netConfigPath,
    onWarning: (reason) => log.warn({ reason }, "store_warning"),
    onConfigChange: () => bells.config.ring(),
  });
  undo.push("store", () => store.close());
  return store;
}

async function previousSubnets(path: string, log: Logger): Promise<SubnetPair | null> {
  const { previous, fault } = await readSubnetEnv(path);
  if (fault !== null) log.warn({ reason: fault }, "subnet_file_ignored");
  return previous;
}

/** What this host may use of the Network already: its subnet of before, and those that the store says are its own. */
function ownSubnets(
  leases: readonly Lease[],
  own: Pick<LeaseAttrs, "publicIp" | "node">,
  previous: SubnetPair | null,
): Prefix[] {
  const mine = leases.filter(({ attrs }) => attrs.publicIp === own.publicIp && (attrs.node ?? own.node) === own.node);
  return (previous === null ? mine : [previous, ...mine]).flatMap(subnetsOf);
}

function makeForwarding(context: Context, kernel: Kernel, setting: Setting, ownSubnets: readonly Prefix[]): Forwarding {
  const { options, world, log, state, service, undo, leave, packets, bells } = context;
  const openPlanKeeper = (networks: readonly Prefix[]): PlanKeeper =>
    kernel.openReconciler({
      deviceName: options.deviceName,
      networks,
      forward: options.ipForward,
      onRepair: (kind, what) => {
        state.tallies.repairs.set(kind, (state.tallies.repairs.get(kind) ?? 0) + 1);
        log.info({ kind, what }, "repaired");
      },
      onLinkGone: () => bells.changed.ring(),
      onHostChange: () => {
        forwarding.distrustReach();
        bells.host.ring();
        bells.changed.ring();
      },
      onFault: (error) => {
        log.warn(failure(error), "repair_failed");
        forwarding.distrustKernel();
        bells.changed.ring();
      },
    });
  const bird = world.openBird({
    paths: birdPaths(options.statusSocket),
    removeRoutes: (network, keep) => kernel.removeBirdRoutes(network, keep),
    onEnd: () => {
      state.tallies.birdEnds++;
      log.warn({ log: birdPaths(options.statusSocket).log }, "bird_ended");
      bells.changed.ring();
    },
  });
  state.readBgp = () => bird.report();
  const commands = new CommandRunner((error) => log.warn(failure(error), "command_failed"));
  const parts = { options, world, log, state, service, kernel, commands, bird, openPlanKeeper };
  const forwarding = new Forwarding(parts, setting, ownSubnets);
  undo.push("kernel_plan", () => forwarding.closePlan());
  undo.push("packets", () => forwarding.closePump());
  undo.push("bird", () => forwarding.endBird());
  undo.push("commands", () => forwarding.endCommands(), COMMANDS_LIMIT_MS);
  leave.push("kernel_plan", () => forwarding.leavePlan());
  packets.push("packets", () => forwarding.leavePackets());
  return forwarding;
}
