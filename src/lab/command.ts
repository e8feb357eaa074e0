// Runs the outside programs of the lab (ip, ping, iperf3, tcpdump). The only file of src/lab that starts a short-lived
// process. Each gets a session of its own, so Ctrl-C reaches the lab alone and its cleaning up is not cut short.
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { errnoOf, HopsackError, messageOf } from "../errors.js";

/** Debian keeps ip and tcpdump where an ordinary user's PATH does not look. */
const SYSTEM_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_OUTPUT_CHARS = 4_000_000;

/** Debian's package of each program we name in an error. */
const PACKAGES: Readonly<Record<string, string>> = {
  ip: "iproute2",
  ping: "iputils-ping",
  bird: "bird2",
  etcd: "etcd-server",
  iperf3: "iperf3",
  nft: "nftables",
  tcpdump: "tcpdump",
  unshare: "util-linux",
};

export interface RunOptions {
  /** Written to the program's standard input. */
  readonly input?: string;
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number;
}

export interface Outcome {
  /** Exit status; null when a signal ended the program. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The environment of every program the lab starts: ours, with the system folders in PATH, texts in English. */
export function toolEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: searchFolders().join(":"), LC_ALL: "C" };
}

/** @throws TOOL_MISSING naming every program of `programs` that is not installed */
export function requireTools(programs: readonly string[]): void {
  const missing = programs.filter((program) => !searchFolders().some((folder) => isExecutable(`${folder}/${program}`)));
  if (missing.length > 0) throw toolMissing(missing);
}

/**
 * What the program wrote to standard output.
 * @throws TOOL_MISSING, TOOL_FAILED with the program's own words; the signal's reason when it aborts
 */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const outcome = await attempt(program, args, options);
  if (outcome.status === 0) return outcome.stdout;
  const words = outcome.stderr.trim() || outcome.stdout.trim() || `exit status ${outcome.status ?? "none, killed"}`;
  throw new HopsackError("TOOL_FAILED", `${[program, ...args].join(" ")} failed: ${words}`);
}

/** Like run(), for programs whose failure is an answer. Ends the program after `timeoutMs` (default 30 s). */
export function attempt(program: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const { signal, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    if (signal?.aborted) return reject(signal.reason);
    const child = startTool(program, args, { stdio: "pipe" });
    const end = () => child.kill("SIGKILL");
    const timer = setTimeout(end, timeoutMs);
    signal?.addEventListener("abort", end, { once: true });
    const output = { stdout: "", stderr: "" };
    const collect = (name: "stdout" | "stderr") => (chunk: string) => {
      if (output[name].length < MAX_OUTPUT_CHARS) output[name] += chunk;
    };
    child.stdout?.setEncoding("utf8").on("data", collect("stdout"));
    child.stderr?.setEncoding("utf8").on("data", collect("stderr"));
    child.stdin?.on("error", () => {}); // it may end without reading its input
    child.stdin?.end(options.input ?? "");
    const settle = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
    };
    child.on("error", (error) => {
      settle();
      reject(startFailure(program, error));
    });
    child.on("close", (status) => {
      settle();
      if (signal?.aborted) return reject(signal.reason);
      resolve({ status, ...output });
    });
  });
}

/** Starts a program in a session of its own, for callers that talk to it while it runs. They own it until it ends. */
export function startTool(program: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  return spawn(program, args, { detached: true, env: toolEnvironment(), ...options });
}

/** The HopsackError for a program that could not be started. */
export function startFailure(program: string, error: Error): HopsackError {
  if (errnoOf(error) === "ENOENT") return toolMissing([program]);
  return new HopsackError("TOOL_FAILED", `${program} cannot be started: ${messageOf(error)}`, { cause: error });
}

/** Resolves when the program has written `text` to either stream. @throws TOOL_FAILED when it ends or is silent instead */
export function awaitOutput(child: ChildProcess, text: string, limitMs: number, signal: AbortSignal): Promise<void> {
  let seen = "";
  const settled = new AbortController(); // takes our listener off the caller's signal, which lives on
  const wait = new Promise<void>((resolve, reject) => {
    const program = child.spawnargs.join(" ");
    const fail = (reason: string) => reject(new HopsackError("TOOL_FAILED", `${program} ${reason}: ${seen.trim()}`));
    const timer = setTimeout(() => fail(`did not say "${text}" within ${limitMs} ms`), limitMs);
    settled.signal.addEventListener("abort", () => clearTimeout(timer));
    const look = (chunk: Buffer) => {
      seen += chunk.toString("latin1");
      if (seen.includes(text)) resolve();
    };
    child.stdout?.on("data", look);
    child.stderr?.on("data", look);
    child.once("error", (error) => reject(startFailure(child.spawnfile, error)));
    child.once("close", () => fail("ended"));
    signal.addEventListener("abort", () => reject(signal.reason), { signal: settled.signal });
  });
  return wait.finally(() => settled.abort());
}

/** Runs `lines` through one `ip -batch`, in network namespace `netns` (null: the current one). */
export async function ipBatch(netns: string | null, lines: readonly string[], signal?: AbortSignal): Promise<void> {
  if (lines.length === 0) return;
  const where = netns === null ? [] : ["-n", netns];
  await run("ip", [...where, "-batch", "-"], { input: `${lines.join("\n")}\n`, signal });
}

/**
 * Calls `work` for every item, at most `limit` at a time; results in the items' order. A failure aborts the others'
 * signal, and is thrown when all have ended: nothing of it goes on behind the caller's back.
 */
export async function mapBounded<T, R>(
  items: readonly T[],
  limit: number,
  signal: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<R>,
): Promise<R[]> {
  const failure = new AbortController();
  const either = AbortSignal.any([signal, failure.signal]);
  const results: R[] = [];
  const entries = items.entries(); // shared: every worker takes the next one
  const worker = async () => {
    for (const [index, item] of entries) {
      either.throwIfAborted();
      results[index] = await work(item, either);
    }
  };
  const workers = Array.from({ length: Math.min(limit, items.length) }, () =>
    worker().catch((error: unknown) => failure.abort(error)),
  );
  await Promise.all(workers);
  either.throwIfAborted();
  return results;
}

function searchFolders(): string[] {
  const folders = (process.env.PATH ?? "/usr/bin:/bin").split(":").filter(Boolean);
  return [...folders, ...SYSTEM_FOLDERS.filter((folder) => !folders.includes(folder))];
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function toolMissing(programs: readonly string[]): HopsackError {
  const packages = programs.map((program) => PACKAGES[program] ?? program);
  const subject = programs.length === 1 ? `${programs[0]} is` : `${programs.join(", ")} are`;
  return new HopsackError("TOOL_MISSING", `${subject} not installed; install: apt-get install ${packages.join(" ")}`);
}
