// Whose processor time a measurement took, from /proc. What is read here is the whole machine's: close everything else.
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { HopsackError } from "../errors.js";

/** /proc counts in hundredths of a second on every machine (USER_HZ, include/asm-generic/param.h). */
const TICKS_PER_SECOND = 100;

const QUIET_MS = 1000;
const QUIET_TICKS = 2;
const QUIET_LIMIT_MS = 60_000;

/** A process to account for by itself. */
export interface Account {
  readonly name: string;
  readonly pid: number;
}

/** Ticks, all since boot or since the process began. */
interface Ticks {
  readonly machine: number;
  readonly own: number;
  /** Programs we started and that have ended. */
  readonly ended: number;
  readonly daemons: ReadonlyMap<string, { readonly pid: number; readonly ticks: number }>;
}

/**
 * Begins to count; the returned function gives seconds since then. `daemons` are read again at the end, since one may have
 * been restarted. Everything else that we started, and that has ended by then, counts as `tools`.
 */
export function openAccounts(tools: string, daemons: () => readonly Account[]): () => Record<string, number> {
  const before = readTicks(daemons());
  return () => balance(tools, before, readTicks(daemons()));
}

/** Resolves when the daemons did next to nothing for a second. @throws TOOL_FAILED when they never rest */
export async function awaitQuiet(daemons: () => readonly Account[], signal: AbortSignal): Promise<void> {
  const total = (): number => daemons().reduce((sum, { pid }) => sum + processTicks(pid), 0);
  const deadline = performance.now() + QUIET_LIMIT_MS;
  for (let before = total(); ; ) {
    await delay(QUIET_MS, undefined, { signal });
    const now = total();
    if (now - before <= QUIET_TICKS) return;
    if (performance.now() > deadline) {
      const problem = `the daemons still work ${QUIET_LIMIT_MS / 1000} seconds after the last change`;
      throw new HopsackError("TOOL_FAILED", `${problem}; hopsack status of the lab's hosts may say why`);
    }
    before = now;
  }
}

function readTicks(daemons: readonly Account[]): Ticks {
  const own = parseProcessStat(readFileSync("/proc/self/stat", "utf8"));
  const ticks = daemons.map(({ name, pid }) => [name, { pid, ticks: processTicks(pid) }] as const);
  const machine = parseMachineStat(readFileSync("/proc/stat", "utf8"));
  return { machine, own: own.ticks, ended: own.endedChildren, daemons: new Map(ticks) };
}

function balance(tools: string, before: Ticks, after: Ticks): Record<string, number> {
  const spent = new Map([[tools, after.ended - before.ended]]);
  for (const [name, { pid, ticks }] of after.daemons) {
    const first = before.daemons.get(name);
    spent.set(name, first?.pid === pid ? ticks - first.ticks : ticks);
  }
  const known = [...spent.values()].reduce((sum, ticks) => sum + ticks, after.own - before.own);
  spent.set("kernel", Math.max(0, after.machine - before.machine - known));
  return Object.fromEntries([...spent].map(([name, ticks]) => [name, ticks / TICKS_PER_SECOND]));
}

function processTicks(pid: number): number {
  try {
    return parseProcessStat(readFileSync(`/proc/${pid}/stat`, "utf8")).ticks;
  } catch {
    return 0; // it has just been ended
  }
}

/** Fields 14 to 17 of /proc/PID/stat: all threads' user and system time, and that of children waited for. */
export function parseProcessStat(text: string): { readonly ticks: number; readonly endedChildren: number } {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" "); // the name may hold blanks and brackets
  const field = (number: number): number => Number(fields[number - 3]);
  return { ticks: field(14) + field(15), endedChildren: field(16) + field(17) };
}

/** Time that some processor was busy: user, nice, system, irq and softirq of /proc/stat's first line. */
export function parseMachineStat(text: string): number {
  const [, user, nice, system, , , irq, softirq] = (text.split("\n")[0] ?? "").split(/\s+/).map(Number);
  return [user, nice, system, irq, softirq].reduce<number>((sum, ticks) => sum + (ticks ?? 0), 0);
}
