// Has nftables tell which rules the marked packet meets on one host: a table of ours marks it for tracing, `nft monitor trace` reports.
// The table has an owner: the kernel removes it with the process that made it, however that ends.
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../errors.js";
import { awaitOutput, startTool } from "../lab/command.js";

const START_LIMIT_MS = 3000;
const IDLE_LIMIT_MS = 2000;
const POLL_MS = 5;
const NETLINK_NETFILTER = 12;
/** NFNLGRP_NFTRACE is the ninth group. */
const TRACE_GROUP = 1 << 8;
const TABLE = `hopsack_trace_${process.pid}`;

export interface RuleVerdict {
  /** `inet filter` */
  readonly table: string;
  readonly chain: string;
  /** null: the policy of the chain. */
  readonly rule: string | null;
  /** `accept`, `drop`, `jump x` … */
  readonly verdict: string;
}

export interface NetfilterWatch {
  /** Why it does not watch; null: it does. */
  readonly fault: string | null;
  /** What the packet met, in order. */
  stop(): Promise<readonly RuleVerdict[]>;
}

/** Never throws: a host without nft is one that cannot be asked. */
export async function watchNetfilter(
  netns: string | null,
  matches: readonly string[],
  signal: AbortSignal,
): Promise<NetfilterWatch> {
  const start = (...args: string[]) => {
    const [program = "", ...rest] = [...(netns === null ? [] : ["ip", "netns", "exec", netns]), "nft", ...args];
    const child = startTool(program, rest, { stdio: ["pipe", "pipe", "pipe"] });
    child.on("error", () => {}); // awaitOutput() tells of it
    child.stdin?.on("error", () => {}); // it may have ended
    return { child, closed: new Promise<void>((resolve) => child.once("close", () => resolve())) };
  };
  const owner = start("-i");
  const monitor = start("monitor", "trace");
  let seen = "";
  monitor.child.stdout?.on("data", (chunk: Buffer) => (seen += chunk.toString()));
  const end = async (): Promise<void> => {
    owner.child.stdin?.end();
    monitor.child.kill("SIGTERM");
    await Promise.all([owner.closed, monitor.closed]);
  };
  try {
    const ready = awaitOutput(owner.child, "chain local", START_LIMIT_MS, signal);
    owner.child.stdin?.write(`${table(matches)}\nlist table inet ${TABLE}\n`);
    await Promise.all([ready, awaitSubscription(monitor.child.pid ?? 0)]);
  } catch (error) {
    owner.child.kill("SIGKILL");
    await end();
    return { fault: messageOf(error), stop: async () => [] };
  }
  const stop = async (): Promise<readonly RuleVerdict[]> => {
    await awaitIdle(monitor.child.pid ?? 0);
    await end();
    return parseTrace(seen);
  };
  return { fault: null, stop };
}

/** One line: nft reads no more at once from a pipe. */
function table(matches: readonly string[]): string {
  const rules = matches.map((match) => `${match} meta nftrace set 1`).join("; ");
  const chain = (name: string, hook: string): string =>
    `chain ${name} { type filter hook ${hook} priority -400; ${rules}; }`;
  return `add table inet ${TABLE} { flags owner; ${chain("arriving", "prerouting")}; ${chain("local", "output")}; }`;
}

async function awaitSubscription(pid: number): Promise<void> {
  if (!(await until(START_LIMIT_MS, () => traceSocketOf(pid) !== null))) {
    throw new Error("nft monitor trace did not begin to listen");
  }
}

/** It has read and printed what the kernel told it: nothing waits in its socket, and it sleeps. */
async function awaitIdle(pid: number): Promise<void> {
  await until(IDLE_LIMIT_MS, () => traceSocketOf(pid)?.waitingBytes === 0 && isAsleep(pid));
}

async function until(limitMs: number, isTrue: () => boolean): Promise<boolean> {
  const deadline = Date.now() + limitMs;
  while (!isTrue()) {
    if (Date.now() > deadline) return false;
    await delay(POLL_MS);
  }
  return true;
}

/** Of /proc/PID/net/netlink: `sk Eth Pid Groups Rmem …`; the port of a process's first socket is its number. */
function traceSocketOf(pid: number): { readonly waitingBytes: number } | null {
  const rows = readProc(pid, "net/netlink")
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  const row = rows.find(
    ([, family, port, groups]) =>
      Number(family) === NETLINK_NETFILTER &&
      Number(port) === pid &&
      (Number.parseInt(groups ?? "0", 16) & TRACE_GROUP) !== 0,
  );
  return row === undefined ? null : { waitingBytes: Number(row[4]) };
}

function isAsleep(pid: number): boolean {
  return /^State:\s+S/m.test(readProc(pid, "status"));
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return ""; // not started yet, or over
  }
}

/** Lines as nft 1.0 writes them; what our own table says is left out. */
export function parseTrace(text: string): RuleVerdict[] {
  return text.split("\n").flatMap((line): RuleVerdict[] => {
    const [, table, chain, rest = ""] = /^trace id \S+ (\S+ \S+) (\S+) (.*)$/.exec(line.trim()) ?? [];
    if (table === undefined || chain === undefined || table.startsWith("inet hopsack_trace_")) return [];
    const [, rule, verdict] = /^rule (.*) \(verdict (.*)\)$/.exec(rest) ?? [];
    if (rule !== undefined && verdict !== undefined) return [{ table, chain, rule, verdict }];
    const [, policy] = /^policy (\S+)$/.exec(rest.trim()) ?? [];
    return policy === undefined ? [] : [{ table, chain, rule: null, verdict: policy }];
  });
}
