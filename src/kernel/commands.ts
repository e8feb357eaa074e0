// Runs the commands of a plan (extension mode): those of hosts that came, and of hosts that went. A command that fails, or takes
// too long, is reported and never tried again; the others run all the same.
import { spawn } from "node:child_process";
import { isDeepStrictEqual } from "node:util";
import { HopsackError, messageOf } from "../errors.js";
import type { CommandPair, CommandPlan, ShellCommand } from "../plan/plan.js";

const COMMAND_LIMIT_MS = 10_000;
/** For all commands together, when the daemon or the mode ends. */
export const LEAVING_LIMIT_MS = 5000;
const PARALLEL_LIMIT = 8;
const OUTPUT_LIMIT_CHARS = 65_536;
/** A child that the command left in the background keeps the pipe open. */
const PIPE_PATIENCE_MS = 100;

export class CommandRunner {
  readonly #limitMs: number;
  readonly #onFailure: (error: HopsackError) => void;
  #host: CommandPair | null = null;
  #peers: ReadonlyMap<string, CommandPair> = new Map();
  #ending = new AbortController();
  /** By the key of what they were run for. */
  readonly #failures = new Map<string, string>();

  constructor(onFailure: (error: HopsackError) => void, limitMs: number = COMMAND_LIMIT_MS) {
    this.#onFailure = onFailure;
    this.#limitMs = limitMs;
  }

  /** What the last command for this host or a peer complained about. */
  get failures(): readonly string[] {
    return [...this.#failures.values()];
  }

  /** What the command wrote to its standard output; empty when it failed. */
  start(command: ShellCommand): Promise<string> {
    return this.#run("", command, this.#ending.signal);
  }

  /** Runs what changed since the last plan; whether anything did. A changed peer is removed and added. */
  async follow({ host, peers }: CommandPlan): Promise<boolean> {
    const before = this.#peers;
    const isHostNew = !isDeepStrictEqual(host, this.#host);
    const now = new Map(peers.map((peer) => [peer.key, peer]));
    const gone = [...before.values()].filter((peer) => !isDeepStrictEqual(now.get(peer.key), peer));
    const added = [...now.values()].filter((peer) => !isDeepStrictEqual(before.get(peer.key), peer));
    this.#host = host;
    this.#peers = now;
    const { signal } = this.#ending;
    if (isHostNew) await this.#run(host.key, host.enter, signal);
    await this.#leave(gone, signal);
    await inParallel(added, (peer) => this.#run(peer.key, peer.enter, signal));
    return isHostNew || gone.length > 0 || added.length > 0;
  }

  /** Ends what still runs; then the peers go, then this host. Never rejects; afterwards all begins anew. */
  async close(): Promise<void> {
    this.#ending.abort();
    this.#ending = new AbortController();
    const [host, peers] = [this.#host, [...this.#peers.values()]];
    this.#host = null;
    this.#peers = new Map();
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), LEAVING_LIMIT_MS / 2); // as long again for the host's own
    await this.#leave(peers, limit.signal);
    clearTimeout(timer);
    if (host !== null) await this.#run(host.key, host.leave, AbortSignal.timeout(LEAVING_LIMIT_MS / 2));
    this.#failures.clear();
  }

  async #leave(peers: readonly CommandPair[], signal: AbortSignal): Promise<void> {
    await inParallel(peers, async ({ key, leave }) => {
      this.#failures.delete(key);
      await this.#run(key, leave, signal);
    });
  }

  async #run(key: string, command: ShellCommand | null, signal: AbortSignal): Promise<string> {
    if (command === null || signal.aborted) return "";
    try {
      const output = await runShell(command, this.#limitMs, signal);
      this.#failures.delete(key);
      return output;
    } catch (cause) {
      const subject = key === "" ? command.name : `${command.name} for ${key}`;
      const cure = "correct it in the network configuration, or what it needs on this host";
      const error = new HopsackError("TOOL_FAILED", `${subject} failed: ${messageOf(cause)}; ${cure}`, { cause });
      this.#failures.set(key, error.message);
      this.#onFailure(error);
      return "";
    }
  }
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const queue = items.values(); // shared: every worker takes the next one
  const worker = async (): Promise<void> => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL_LIMIT, items.length) }, worker));
}

/** Resolves with stdout. @throws Error that says how it ended */
function runShell(command: ShellCommand, limitMs: number, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    // A process group of its own, so that what hangs below the shell ends with it.
    const child = spawn("/bin/sh", ["-c", command.line], { detached: true, env: environmentOf(command) });
    const output = { stdout: "", stderr: "" };
    const collect = (name: "stdout" | "stderr") => (chunk: string) => {
      if (output[name].length < OUTPUT_LIMIT_CHARS) output[name] += chunk;
    };
    child.stdout.setEncoding("utf8").on("data", collect("stdout"));
    child.stderr.setEncoding("utf8").on("data", collect("stderr"));
    child.stdin.on("error", () => {}); // it may end without reading
    child.stdin.end(command.input);
    let fault: string | null = null;
    const end = (reason: string): void => {
      fault ??= reason;
      endGroup(child.pid);
    };
    const timer = setTimeout(() => end(`not done within ${limitMs} ms`), limitMs);
    const onAbort = (): void => end("cut short by the end of the mode");
    signal.addEventListener("abort", onAbort, { once: true });
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    };
    child.once("error", (error) => {
      settle();
      reject(error);
    });
    child.once("exit", () => {
      settle();
      const patience = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, PIPE_PATIENCE_MS);
      child.once("close", (status, by) => {
        clearTimeout(patience);
        const words = output.stderr.trim().split("\n").at(-1) || `ended by ${by ?? `exit status ${status}`}`;
        if (status === 0 && fault === null) resolve(output.stdout);
        else reject(new Error(fault ?? words));
      });
    });
  });
}

/** Ours, without settings that are for hopsackd alone: there are passwords among them. */
function environmentOf({ environment }: ShellCommand): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("HOPSACKD_"));
  return { ...Object.fromEntries(inherited), ...environment };
}

function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // it has ended in the meantime
  }
}
