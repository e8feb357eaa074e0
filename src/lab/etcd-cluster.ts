// The etcd of a lab that keeps its leases there: one or three members in the bridge's namespace, each with an underlay address
// of its own, so that hosts reach them and nobody outside the lab does.
import { setTimeout as delay } from "node:timers/promises";
import { HopsackError } from "../errors.js";
import { type BackgroundPlan, builtFile, logTail, startBackground } from "./background.js";
import { attempt, toolEnvironment } from "./command.js";
import { isRunning, type ProcessRecord } from "./process-record.js";
import { ETCD_CONFIG_KEY, type EtcdMemberPlan, type Topology } from "./topology.js";

const READY_LIMIT_MS = 30_000;
const POLL_MS = 20;

/**
 * Starts the members, waits until all of them see a leader, and puts the network configuration. `onStarted` gets the processes
 * by member name as soon as they run.
 * @throws TOOL_FAILED with the ends of the logs; the signal's reason on abort
 */
export async function startEtcd(
  topology: Topology,
  configText: string,
  onStarted: (members: Readonly<Record<string, ProcessRecord>>) => void,
  signal: AbortSignal,
): Promise<void> {
  const members: Record<string, ProcessRecord> = {};
  for (const member of topology.etcd) {
    signal.throwIfAborted();
    const background = backgroundOf(topology, member);
    const record = await startBackground(background, ["etcd", ...memberArgs(topology, member)], memberEnvironment());
    if (record === null) throw endedEarly(background);
    members[member.name] = record;
    onStarted(members);
  }
  await seed(topology, members, configText, signal);
}

function memberArgs({ spec, etcd }: Topology, member: EtcdMemberPlan): string[] {
  return [
    ...["--name", member.name],
    ...["--data-dir", member.dataFolder],
    ...["--listen-client-urls", member.clientUrl, "--advertise-client-urls", member.clientUrl],
    ...["--listen-peer-urls", member.peerUrl, "--initial-advertise-peer-urls", member.peerUrl],
    ...["--initial-cluster", etcd.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(",")],
    ...["--initial-cluster-token", spec.name],
    ...["--logger", "zap", "--log-outputs", "stderr"],
  ];
}

/** Without the caller's ETCD_ variables: etcd does not start when one of them contradicts a flag. */
function memberEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(toolEnvironment()).filter(([name]) => !name.startsWith("ETCD_")));
}

async function seed(
  topology: Topology,
  members: Readonly<Record<string, ProcessRecord>>,
  configText: string,
  signal: AbortSignal,
): Promise<void> {
  const { bridgeNetns, etcd } = topology;
  const endpoints = etcd.map(({ clientUrl }) => clientUrl);
  const script = [process.execPath, builtFile("lab/etcd-seed.js"), ETCD_CONFIG_KEY, ...endpoints];
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const seeding = attempt("ip", ["netns", "exec", bridgeNetns, ...script], {
    input: configText,
    signal: either,
    timeoutMs: READY_LIMIT_MS,
  });
  const dying = untilOneEnds(topology, members, either).catch((error: unknown) => over.abort(error));
  const { status, stderr } = await seeding.finally(() => over.abort());
  await dying;
  if (status === 0) return;
  const words = stderr.trim() || `was not ready within ${READY_LIMIT_MS / 1000} s`;
  const tails = etcd.map((member) => logTail(backgroundOf(topology, member)));
  throw new HopsackError("TOOL_FAILED", [`etcd ${words}`, ...tails].join("\n"));
}

/** Resolves when the signal aborts. @throws TOOL_FAILED when a member ends before */
async function untilOneEnds(
  topology: Topology,
  members: Readonly<Record<string, ProcessRecord>>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const ended = topology.etcd.find(({ name }) => members[name] !== undefined && !isRunning(members[name]));
    if (ended !== undefined) throw endedEarly(backgroundOf(topology, ended));
    await delay(POLL_MS);
  }
}

function backgroundOf({ bridgeNetns }: Topology, { name, log }: EtcdMemberPlan): BackgroundPlan {
  return { name: `etcd ${name}`, netns: bridgeNetns, log };
}

function endedEarly(background: BackgroundPlan): HopsackError {
  return new HopsackError("TOOL_FAILED", `${background.name} ended before it was ready\n${logTail(background)}`);
}
