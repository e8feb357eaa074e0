// Processes the lab may end: known by pid and start time, so that a recycled pid is never hit, or by running inside one of
// the lab's own namespaces. Nothing here looks at names.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

const NETNS_FOLDER = "/run/netns";
const TERM_LIMIT_MS = 3000;
const KILL_LIMIT_MS = 2000;
const POLL_MS = 10;

export interface ProcessRecord {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks since boot. */
  readonly startTime: string;
}

/** The record of a running process, or null when there is none of this pid. */
export function recordProcess(pid: number): ProcessRecord | null {
  const stat = readStat(pid);
  return stat === null || stat.state === "Z" ? null : { pid, startTime: stat.startTime };
}

/** Whether the very process that was recorded still runs. */
export function isRunning(record: ProcessRecord): boolean {
  return recordProcess(record.pid)?.startTime === record.startTime;
}

/** Every process whose network namespace is one of the named ones; never this process. */
export function processesIn(netnsNames: readonly string[]): ProcessRecord[] {
  const inodes = new Set(
    netnsNames.map((name) => inodeOf(`${NETNS_FOLDER}/${name}`)).filter((inode) => inode !== null),
  );
  const pids = readdirSync("/proc")
    .filter((entry) => /^[0-9]+$/.test(entry))
    .map(Number);
  return pids
    .filter((pid) => pid !== process.pid && inodes.has(inodeOf(`/proc/${pid}/ns/net`) ?? ""))
    .map(recordProcess)
    .filter((record) => record !== null);
}

/** Names of the network namespaces that `ip netns` knows. */
export function netnsNames(): string[] {
  try {
    return readdirSync(NETNS_FOLDER);
  } catch {
    return []; // the folder appears with the first namespace
  }
}

/** SIGTERM, a bounded wait, SIGKILL, a bounded wait. Returns those that are still there. */
export async function endProcesses(records: readonly ProcessRecord[]): Promise<ProcessRecord[]> {
  const obstinate = await signalAndWait(records, "SIGTERM", TERM_LIMIT_MS);
  return signalAndWait(obstinate, "SIGKILL", KILL_LIMIT_MS);
}

/** SIGKILL at once, for those that have nothing to put in order. Returns those that are still there. */
export function killProcesses(records: readonly ProcessRecord[]): Promise<ProcessRecord[]> {
  return signalAndWait(records, "SIGKILL", KILL_LIMIT_MS);
}

async function signalAndWait(
  records: readonly ProcessRecord[],
  signal: NodeJS.Signals,
  limitMs: number,
): Promise<ProcessRecord[]> {
  for (const record of records.filter(isRunning)) {
    try {
      process.kill(record.pid, signal);
    } catch {
      // it ended between the look and the signal
    }
  }
  const deadline = performance.now() + limitMs;
  let running = records.filter(isRunning);
  while (running.length > 0 && performance.now() < deadline) {
    await delay(POLL_MS);
    running = running.filter(isRunning);
  }
  return running;
}

function readStat(pid: number): { readonly state: string; readonly startTime: string } | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // the name may hold blanks and brackets
    return { state: fields[0] ?? "", startTime: fields[19] ?? "" };
  } catch {
    return null;
  }
}

function inodeOf(path: string): string | null {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return null;
  }
}
