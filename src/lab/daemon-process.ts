// Starts the built hopsackd inside the hosts of a lab and waits until it forwards. The lab knows the daemon only by its
// command line, its status socket and its subnet.env.
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { HopsackError } from "../errors.js";
import { startFailure, startTool, toolEnvironment } from "./command.js";
import { type HostSubnet, parseHostSubnet } from "./host-subnet.js";
import { isRunning, type ProcessRecord, recordProcess } from "./process-record.js";
import type { HostPlan, Topology } from "./topology.js";

const READY_LIMIT_MS = 30_000;
const POLL_MS = 20;
const LOG_TAIL_LINES = 5;

/** The built daemon of this package, wherever this file was compiled to. @throws TOOL_MISSING when it is not built */
export function builtDaemon(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== "/"; folder = dirname(folder)) {
    const name = readJson(join(folder, "package.json"))?.name;
    if (name === "hopsack") return join(folder, "dist/cli/hopsackd.js");
  }
  throw new HopsackError("TOOL_MISSING", "hopsackd was not found beside the lab; build it with: npm run build");
}

/** Starts a host's daemon, detached, its output appended to the host's log. */
export async function startDaemon(
  entry: string,
  topology: Topology,
  host: HostPlan,
  extraArgs: readonly string[],
): Promise<ProcessRecord> {
  mkdirSync(host.folder, { recursive: true });
  const log = openSync(host.log, "a");
  const args = ["netns", "exec", host.netns, process.execPath, entry, ...daemonArgs(topology, host), ...extraArgs];
  const child = startTool("ip", args, { stdio: ["ignore", log, log], env: daemonEnvironment() });
  closeSync(log);
  await new Promise((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error) => reject(startFailure("ip", error)));
  });
  child.unref();
  const record = child.pid === undefined ? null : recordProcess(child.pid);
  if (record === null) throw diedEarly(host);
  return record;
}

function daemonArgs({ spec, storeFolder }: Topology, host: HostPlan): string[] {
  return [
    ...["--store", `file:${storeFolder}`],
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
 * @throws TOOL_FAILED with the end of its log when it ends, or is not ready in time
 */
export async function awaitReady(host: HostPlan, daemon: ProcessRecord, signal: AbortSignal): Promise<HostSubnet> {
  const deadline = performance.now() + READY_LIMIT_MS;
  while (performance.now() < deadline) {
    const subnet = (await isReady(host.statusSocket)) ? parseHostSubnet(readText(host.subnetFile)) : undefined;
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

/** The last lines of a host's log, headed by its name. */
export function logTail(host: HostPlan): string {
  const lines = readText(host.log).trimEnd().split("\n").slice(-LOG_TAIL_LINES);
  return [`the log of ${host.name} ends with:`, ...lines.map((line) => `  ${line}`)].join("\n");
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

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // not written yet
  }
}

function readJson(path: string): { readonly name?: unknown } | null {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return null;
  }
}
