// Starts the built hopsackd inside the hosts of a lab and waits until it forwards. The lab knows the daemon only by its
// command line, its status socket and its subnet.env.
import { request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { HopsackError } from "../errors.js";
import { builtFile, logTail, readText, startBackground } from "./background.js";
import { toolEnvironment } from "./command.js";
import { type HostSubnet, parseHostSubnet } from "./host-subnet.js";
import { isRunning, type ProcessRecord } from "./process-record.js";
import type { HostPlan, Topology } from "./topology.js";

const READY_LIMIT_MS = 30_000;
const POLL_MS = 20;

/** The built daemon of this package. @throws TOOL_MISSING */
export function builtDaemon(): string {
  return builtFile("cli/hopsackd.js");
}

/** Starts a host's daemon, detached, its output appended to the host's log. */
export async function startDaemon(
  entry: string,
  topology: Topology,
  host: HostPlan,
  extraArgs: readonly string[],
): Promise<ProcessRecord> {
  const command = [process.execPath, entry, ...daemonArgs(topology, host), ...extraArgs];
  const record = await startBackground(host, command, daemonEnvironment());
  if (record === null) throw diedEarly(host);
  return record;
}

function daemonArgs({ spec, storeFolder, etcd }: Topology, host: HostPlan): string[] {
  const endpoints = etcd.map(({ clientUrl }) => clientUrl).join(",");
  return [
    ...(etcd.length === 0 ? ["--store", `file:${storeFolder}`] : ["--etcd-endpoints", endpoints]),
    ...["--iface", "eth0"],
    ...["--node-name", host.name],
    ...["--subnet-file", host.subnetFile],
    ...["--status-socket", host.statusSocket],
    ...spec.daemonArgs,
  ];
}

/** Without the caller's HOPSACKD_ variables: a lab does not depend on who builds it. */
function daemonEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(toolEnvironment()).filter(([name]) => !name.startsWith("HOPSACKD_")));
}

/**
 * Waits until the daemon says it is ready, and reads what subnet it got.
 * @param predecessor answers until it has handed over
 * @throws TOOL_FAILED with the end of its log when it ends, or is not ready in time
 */
export async function awaitReady(
  host: HostPlan,
  daemon: ProcessRecord,
  signal: AbortSignal,
  predecessor: ProcessRecord | null = null,
): Promise<HostSubnet> {
  const deadline = performance.now() + READY_LIMIT_MS;
  while (performance.now() < deadline) {
    const isNext = predecessor === null || !isRunning(predecessor);
    const subnet =
      isNext && (await isReady(host.statusSocket)) ? parseHostSubnet(readText(host.subnetFile)) : undefined;
    if (subnet !== undefined) return subnet;
    if (!isRunning(daemon)) throw diedEarly(host);
    await delay(POLL_MS, undefined, { signal });
  }
  const limit = `${READY_LIMIT_MS / 1000} s`;
  throw new HopsackError("TOOL_FAILED", `hopsackd on ${host.name} was not ready within ${limit}\n${logTail(host)}`);
}

function diedEarly(host: HostPlan): HopsackError {
  return new HopsackError("TOOL_FAILED", `hopsackd on ${host.name} ended before it was ready\n${logTail(host)}`);
}

/** Whether GET /readyz on the status socket answers 200. */
function isReady(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const query = request({ socketPath, path: "/readyz", timeout: 1000 }, (response) => {
      response.resume();
      response.on("close", () => resolve(response.statusCode === 200));
    });
    query.on("timeout", () => query.destroy());
    query.on("error", () => resolve(false));
    query.end();
  });
}
