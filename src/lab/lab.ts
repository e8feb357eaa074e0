// A lab from up to down: N hosts as network namespaces on one bridge, a hopsackd on each, pods that reach each other.
// Called by the cli; every failure and an abort on the way up take back all that was made.
import { mkdirSync, writeFileSync } from "node:fs";
import { HopsackError } from "../errors.js";
import { logTail } from "./background.js";
import { ipBatch, mapBounded, requireTools } from "./command.js";
import { awaitReady, builtDaemon, startDaemon } from "./daemon-process.js";
import { startEtcd } from "./etcd-cluster.js";
import type { HostSubnet } from "./host-subnet.js";
import {
  createLabFolder,
  type HostReport,
  type LabReport,
  type LabState,
  labNames,
  readLabState,
  removeLabFolder,
  writeLabState,
} from "./lab-folder.js";
import { buildHosts, routeSubnets } from "./network.js";
import { requirePermission } from "./permission.js";
import { attachPods, requirePlugins } from "./pods.js";
import {
  endProcesses,
  isRunning,
  killProcesses,
  netnsNames,
  type ProcessRecord,
  processesIn,
  recordProcess,
} from "./process-record.js";
import { pingAllPairs } from "./reachability.js";
import {
  backendOf,
  type HostPlan,
  isNetnsOfLab,
  type LabSpec,
  labFolder,
  NETWORK,
  NETWORK_V6,
  planTopology,
  type Topology,
} from "./topology.js";

const HOSTS_AT_ONCE = 8;
const REACH_LIMIT_MS = 15_000;
const MAX_PAIRS_NAMED = 20;

export interface LabUpOptions {
  readonly signal: AbortSignal;
  /** Called with one short line before each step. */
  readonly progress: (step: string) => void;
  /** The daemon to run; default: the built hopsackd of this package. */
  readonly daemonEntry?: string;
  /** How long the pods may take to reach each other; default 15 s. */
  readonly reachLimitMs?: number;
}

/** A lab that is up, for callers that go on working with it. */
export interface Lab {
  readonly topology: Topology;
  readonly report: LabReport;
}

/** Daemon and subnet of one host, in the order of the topology's hosts. */
interface RunningHost {
  readonly plan: HostPlan;
  readonly daemon: ProcessRecord;
  readonly subnet: HostSubnet;
}

/**
 * Builds a lab and returns when every pod has reached every other.
 * @throws BAD_OPTION, NOT_PERMITTED, TOOL_MISSING, LAB_EXISTS, TOOL_FAILED, LAB_UNREACHABLE; the signal's reason on abort
 */
export async function labUp(spec: LabSpec, options: LabUpOptions): Promise<Lab> {
  const topology = planTopology(spec);
  requirePermission();
  const isBgp = backendOf(spec).Type === "bgp";
  requireTools(["ip", "ping", ...(topology.etcd.length > 0 ? ["etcd"] : []), ...(isBgp ? ["bird"] : [])]);
  requirePlugins(spec);
  const entry = options.daemonEntry ?? builtDaemon();
  const builder = recordProcess(process.pid);
  if (builder === null) throw new HopsackError("TOOL_FAILED", "/proc does not show this process; mount it");
  const state: LabState = { spec, builder, daemons: {}, report: null };
  createLabFolder(state);
  try {
    return await build(topology, state, entry, options);
  } catch (error) {
    await labDown(spec.name);
    throw error;
  }
}

async function build(topology: Topology, first: LabState, entry: string, options: LabUpOptions): Promise<Lab> {
  const { spec, hosts } = topology;
  const { signal, progress } = options;
  progress(`building ${counted(hosts.length, "host")} and ${counted(hosts.length * spec.podsPerHost, "pod")}`);
  await buildHosts(topology, signal);
  const state = await openLeases(topology, first, options);
  progress(`starting hopsackd on ${hosts.map((host) => host.name).join(", ")}`);
  const running = await startDaemons(topology, state, entry, [], signal);
  progress("connecting the pods");
  await mapBounded(running, HOSTS_AT_ONCE, signal, ({ plan, subnet }, either) =>
    attachPods(spec, plan, subnet, either),
  );
  if (backendOf(spec).Type === "alloc") await routeSubnets(running, signal);
  const report = reportOf(topology, running);
  progress("pinging from every pod to every other");
  await requireReachable(topology, running, options.reachLimitMs ?? REACH_LIMIT_MS, signal);
  writeLabState({ ...state, daemons: daemonsOf(running), report });
  return { topology, report };
}

/** `stop`: the daemon ends, then the next one starts; `takeover`: the next one takes its devices and sockets, as with a service's restart. */
export type RestartWay = "stop" | "takeover";

/** Puts another daemon in the place of one host's; it is ready at the end. Gives the lab as it is then. @throws TOOL_FAILED */
export async function restartDaemon(lab: Lab, hostName: string, way: RestartWay, signal: AbortSignal): Promise<Lab> {
  const { topology } = lab;
  const plan = topology.hosts.find(({ name }) => name === hostName);
  const state = readLabState(topology.spec.name);
  const record = state?.daemons[hostName];
  if (plan === undefined || state === null || record === undefined) throw labNotFound(topology.spec.name);
  if (way === "stop") await endProcesses([record]);
  const extraArgs = way === "takeover" ? ["--takeover", plan.statusSocket] : [];
  const daemon = await startDaemon(builtDaemon(), topology, plan, extraArgs);
  const hosts = lab.report.hosts.map((host) => (host.name === hostName ? { ...host, daemonPid: daemon.pid } : host));
  const report = { ...lab.report, hosts };
  writeLabState({ ...state, daemons: { ...state.daemons, [hostName]: daemon }, report });
  await awaitReady(plan, daemon, signal, way === "takeover" ? record : null);
  return { topology, report };
}

/**
 * Ends the daemons and starts them with `extraArgs` added; hosts keep their subnets and pods, so the pods stay connected.
 * @throws LAB_UNREACHABLE, TOOL_FAILED
 */
export async function restartDaemons(lab: Lab, extraArgs: readonly string[], signal: AbortSignal): Promise<Lab> {
  const { topology } = lab;
  const state = readLabState(topology.spec.name);
  if (state === null) throw labNotFound(topology.spec.name);
  await endProcesses(Object.values(state.daemons));
  const running = await startDaemons(topology, state, builtDaemon(), extraArgs, signal);
  const report = reportOf(topology, running);
  const before = lab.report.hosts.map((host) => host.subnet).join(" ");
  const after = report.hosts.map((host) => host.subnet).join(" ");
  if (before !== after) throw new HopsackError("LAB_UNREACHABLE", `subnets changed from ${before} to ${after}`);
  await requireReachable(topology, running, REACH_LIMIT_MS, signal);
  writeLabState({ ...state, daemons: daemonsOf(running), report });
  return { topology, report };
}

/** Where the daemons will find the network configuration: a folder, or an etcd that is started for it. */
async function openLeases(topology: Topology, state: LabState, options: LabUpOptions): Promise<LabState> {
  const { etcd, storeFolder } = topology;
  const text = networkConfig(topology);
  if (etcd.length === 0) {
    mkdirSync(storeFolder, { recursive: true });
    writeFileSync(`${storeFolder}/config.json`, text);
    return state;
  }
  options.progress(etcd.length === 1 ? "starting etcd" : `starting etcd, ${etcd.length} members`);
  let withEtcd = state;
  const onStarted = (members: Readonly<Record<string, ProcessRecord>>): void => {
    withEtcd = { ...state, etcd: { ...members } };
    writeLabState(withEtcd);
  };
  await startEtcd(topology, text, onStarted, options.signal);
  return withEtcd;
}

async function startDaemons(
  topology: Topology,
  state: LabState,
  entry: string,
  extraArgs: readonly string[],
  signal: AbortSignal,
): Promise<RunningHost[]> {
  const daemons: Record<string, ProcessRecord> = {};
  return mapBounded(topology.hosts, HOSTS_AT_ONCE, signal, async (plan, either) => {
    const daemon = await startDaemon(entry, topology, plan, extraArgs);
    daemons[plan.name] = daemon;
    writeLabState({ ...state, daemons, report: null });
    return { plan, daemon, subnet: await awaitReady(plan, daemon, either) };
  });
}

function daemonsOf(running: readonly RunningHost[]): Record<string, ProcessRecord> {
  return Object.fromEntries(running.map(({ plan, daemon }) => [plan.name, daemon]));
}

function networkConfig({ spec }: Topology): string {
  const v6 = spec.hasIpv6 ? { EnableIPv6: true, IPv6Network: NETWORK_V6 } : {};
  return `${JSON.stringify({ Network: spec.network ?? NETWORK, ...v6, Backend: backendOf(spec) }, null, 2)}\n`;
}

function reportOf({ spec, etcd, bridgeNetns }: Topology, running: readonly RunningHost[]): LabReport {
  const hosts = running.map(({ plan, daemon, subnet }): HostReport => {
    const pods = plan.pods.map((pod, index) => ({
      name: pod.name,
      netns: pod.netns,
      address: bare(subnet.v4.podAddress(index)),
    }));
    const { name, netns, underlay, statusSocket, subnetFile, log } = plan;
    return {
      name,
      netns,
      underlay,
      subnet: subnet.v4.subnet,
      daemonPid: daemon.pid,
      statusSocket,
      subnetFile,
      log,
      pods,
    };
  });
  const cluster = { etcd: etcd.map(({ clientUrl }) => clientUrl), etcdNetns: bridgeNetns };
  return { name: spec.name, hosts, ...(etcd.length > 0 ? cluster : {}) };
}

/** @throws LAB_UNREACHABLE naming the pairs that fail, with the log ends of their hosts */
async function requireReachable(
  { hosts }: Topology,
  running: readonly RunningHost[],
  limitMs: number,
  signal: AbortSignal,
): Promise<void> {
  const pods = running.flatMap(({ plan, subnet }) =>
    plan.pods.map((pod, index) => ({
      name: pod.name,
      netns: pod.netns,
      addresses: [subnet.v4, subnet.v6].flatMap((part) => (part === null ? [] : [bare(part.podAddress(index))])),
    })),
  );
  const failed = await pingAllPairs(pods, limitMs, signal);
  if (failed.length === 0) return;
  const named = failed.slice(0, MAX_PAIRS_NAMED).map(({ from, to, address }) => `${from} → ${to} (${address})`);
  const more = failed.length > named.length ? ` and ${failed.length - named.length} more` : "";
  const concerned = hosts.filter((host) => failed.some(({ from, to }) => [from, to].some((pod) => isPodOf(pod, host))));
  throw new HopsackError(
    "LAB_UNREACHABLE",
    [`no answer to pings: ${named.join(", ")}${more}`, ...concerned.map(logTail)].join("\n"),
  );
}

function isPodOf(pod: string, host: HostPlan): boolean {
  return host.pods.some(({ name }) => name === pod);
}

/**
 * Removes all that carries the lab's name: daemons, etcd, every process left in its namespaces, the namespaces, the folder.
 * Whether there was anything.
 * @throws NOT_PERMITTED, TOOL_MISSING, TOOL_FAILED
 */
export async function labDown(name: string): Promise<boolean> {
  labFolder(name); // refuses a bad name
  requirePermission();
  const namespaces = netnsNames().filter((netns) => isNetnsOfLab(netns, name));
  const state = readLabState(name);
  await endProcesses(Object.values(state?.daemons ?? {})); // first: they give their leases back
  await killProcesses(Object.values(state?.etcd ?? {})); // a leader would look for a successor first
  const remaining = await endProcesses(processesIn(namespaces));
  if (remaining.length > 0) {
    const pids = remaining.map(({ pid }) => pid).join(", ");
    throw new HopsackError("TOOL_FAILED", `processes of lab ${name} cannot be ended: ${pids}`);
  }
  await ipBatch(
    null,
    namespaces.map((netns) => `netns del ${netns}`),
  );
  return removeLabFolder(name) || namespaces.length > 0;
}

/** One lab as it is now. */
export interface LabStatus {
  readonly name: string;
  readonly state: LabState | null;
  /** Names of hosts whose daemon runs. */
  readonly runningDaemons: readonly string[];
  /** Names of the etcd members that run. */
  readonly runningEtcd: readonly string[];
}

/** Every lab that has a folder. */
export function labStatuses(): LabStatus[] {
  return labNames().map((name) => {
    const state = readLabState(name);
    const runningOf = (records: Readonly<Record<string, ProcessRecord>> = {}): string[] =>
      Object.keys(records).filter((key) => records[key] !== undefined && isRunning(records[key]));
    return { name, state, runningDaemons: runningOf(state?.daemons), runningEtcd: runningOf(state?.etcd) };
  });
}

/** Labs whose builder died before it removed them, among those whose name begins with `prefix`. */
export function abandonedLabs(prefix: string): string[] {
  return labStatuses()
    .filter(({ name, state }) => name.startsWith(prefix) && (state === null || !isRunning(state.builder)))
    .map(({ name }) => name);
}

/** @throws LAB_NOT_FOUND naming the labs there are */
export function labNotFound(name: string): HopsackError {
  const names = labNames();
  const there = names.length === 0 ? "none is up; build one with: hopsack lab up" : `there are: ${names.join(", ")}`;
  return new HopsackError("LAB_NOT_FOUND", `no lab is named ${name}; ${there}`);
}

function bare(address: string): string {
  return address.replace(/\/.*$/, "");
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
