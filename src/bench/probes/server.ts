// The servers that probes talk to: in a lab started for one measurement each, for another machine kept running.
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { HopsackError } from "../../errors.js";
import { startTool } from "../../lab/command.js";
import type { Ends } from "./probe.js";

const LISTEN_LIMIT_MS = 5000;
const POLL_MS = 5;
/** Column "st" of /proc/net/tcp and udp (net/tcp_states.h): TCP_LISTEN, and TCP_CLOSE for an unconnected UDP socket. */
const WAITING = { tcp: "0A", udp: "07" } as const;

export interface Server {
  readonly command: readonly string[];
  readonly transport: "tcp" | "udp";
  readonly port: number;
}

/** `program args …`, in a network namespace where one is named. */
export function commandIn(netns: string | null, command: readonly string[]): readonly [string, ...string[]] {
  const [program = "", ...args] = command;
  return netns === null ? [program, ...args] : ["ip", "netns", "exec", netns, program, ...args];
}

/** Runs `work` while the servers listen in `ends.serverNetns`, and ends them. @throws TOOL_MISSING, TOOL_FAILED */
export async function withServers<T>(
  ends: Ends,
  servers: readonly Server[],
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  if (ends.serverNetns === null) return work();
  const running: ChildProcess[] = [];
  try {
    for (const server of servers) running.push(startServer(ends.serverNetns, server));
    for (const [index, server] of servers.entries()) await awaitListening(running[index], server, signal);
    return await work();
  } finally {
    await Promise.all(running.map(end));
  }
}

/** Starts a server whose output nobody reads. The caller ends it. */
export function startServer(netns: string | null, { command }: Server): ChildProcess {
  const [program, ...args] = commandIn(netns, command);
  const child = startTool(program, args, { stdio: "ignore" });
  child.on("error", () => {}); // awaitListening() tells it
  return child;
}

/** @throws TOOL_FAILED when the server ends, or does not listen in time */
export async function awaitListening(
  child: ChildProcess | undefined,
  { command, transport, port }: Server,
  signal: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + LISTEN_LIMIT_MS;
  while (!hasSocket(child?.pid, transport, port)) {
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) {
      throw new HopsackError("TOOL_FAILED", `${command.join(" ")} ended before it listened on port ${port}`);
    }
    if (performance.now() > deadline) {
      throw new HopsackError("TOOL_FAILED", `${command.join(" ")} does not listen on port ${port}`);
    }
    await delay(POLL_MS, undefined, { signal });
  }
}

function hasSocket(pid: number | undefined, transport: "tcp" | "udp", port: number): boolean {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return [transport, `${transport}6`].some((table) =>
    readTable(`/proc/${pid}/net/${table}`).some(
      ([, address = "", , state]) => address.endsWith(local) && state === WAITING[transport],
    ),
  );
}

function readTable(path: string): string[][] {
  try {
    return readFileSync(path, "utf8")
      .split("\n")
      .map((line) => line.trim().split(/\s+/));
  } catch {
    return []; // the process has ended, or this kernel has no IPv6
  }
}

/** Resolves when it is gone, so that its processor time has been added to our children's. */
export function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("close", () => resolve());
    child.kill("SIGKILL");
  });
}
