// Makes a BgpPlan true in a BIRD of our own, and keeps that running: the package's service is left alone. BIRD outlives this process, so
// that a killed hopsackd costs no route; the next one goes on with it. Called by daemon/forwarding.ts.
import { existsSync } from "node:fs";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { HopsackError, messageOf } from "../errors.js";
import { replaceFile } from "../lease/replace-file.js";
import { type Prefix, parsePrefix } from "../net/prefix.js";
import type { BgpPlan } from "../plan/plan.js";
import { birdConfig, networkOfConfig } from "./config.js";
import { ControlSocket } from "./control-socket.js";
import {
  type BirdPaths,
  birdProcess,
  endNow,
  listeningTables,
  requireBird,
  requirePortFree,
  startBird,
} from "./program.js";
import { type BgpSession, sessionsIn } from "./sessions.js";

/** sizeof(sockaddr_un.sun_path) - 1 */
const SOCKET_PATH_LIMIT_BYTES = 107;
/** The configuration may hold passwords. */
const CONFIG_MODE = 0o600;
const START_LIMIT_MS = 5000;
const END_LIMIT_MS = 300;
const POLL_MS = 5;
const LOOK_INTERVAL_MS = 1000;
/** One that ends sooner than this after its start is not started again at once. */
const SHORTEST_LIFE_MS = 1000;
const LOG_TAIL_LINES = 3;

export interface BirdOptions {
  readonly paths: BirdPaths;
  /** Removes from the kernel what a BIRD set within `network`; with `keep` only blackholes that are not this one. */
  readonly removeRoutes: (network: Prefix, keep: Blackhole | null) => void;
  /** BIRD ended, and nobody asked it to; follow() starts it again. */
  readonly onEnd: () => void;
}

export interface Blackhole {
  readonly prefix: string;
  readonly metric: number;
}

export interface BirdReport {
  /** `2.0.12`; null while it does not run. */
  readonly version: string | null;
  readonly pid: number | null;
  readonly asNumber: number;
  readonly sessions: readonly BgpSession[];
  /** When what is planned changed last: until BGP has told everybody, routes may be missing. Milliseconds since the epoch. */
  readonly changedAt: number;
}

export class Bird {
  readonly #options: BirdOptions;
  #control: ControlSocket | null = null;
  /** What is in force, and the configuration made of it. */
  #inForce: { readonly plan: BgpPlan; readonly text: string } | null = null;
  #pid: number | null = null;
  #startedAt = Number.NEGATIVE_INFINITY;
  #changedAt = 0;
  #sessions: readonly BgpSession[] = [];
  #interval: NodeJS.Timeout | undefined;
  /** Ends when everything begun so far has ended. */
  #work: Promise<unknown> = Promise.resolve();

  constructor(options: BirdOptions) {
    this.#options = options;
  }

  /** Whether a BIRD of ours runs, or was left with its routes: then routes of a BIRD within the Network are ours. */
  get isPresent(): boolean {
    return existsSync(this.#options.paths.config);
  }

  /** null: none is to run. */
  report(): BirdReport | null {
    if (this.#inForce === null) return null;
    const { asNumber } = this.#inForce.plan;
    return {
      version: this.#control?.version ?? null,
      pid: this.#pid,
      asNumber,
      sessions: this.#sessions,
      changedAt: this.#changedAt,
    };
  }

  /** Changes nothing. @throws TOOL_MISSING, PORT_TAKEN, BAD_OPTION when no BIRD can run here */
  check(address: string): void {
    const { paths } = this.#options;
    if (Buffer.byteLength(paths.control) > SOCKET_PATH_LIMIT_BYTES) {
      const problem = `BIRD's control socket would be ${paths.control}, which is longer than ${SOCKET_PATH_LIMIT_BYTES} bytes`;
      throw new HopsackError("BAD_OPTION", `${problem}; choose a shorter --status-socket`);
    }
    if (birdProcess(paths) !== null) return; // it runs, and has the port
    requireBird();
    requirePortFree(address, listeningTables());
  }

  /**
   * Resolves when BIRD has taken the plan over. May be called again after a failure.
   * @returns whether anything had to be changed
   * @throws TOOL_FAILED (retryable) with BIRD's own words
   */
  follow(plan: BgpPlan): Promise<boolean> {
    return this.#serially(async () => {
      const text = birdConfig(plan, this.#options.paths.log);
      if (this.#control !== null && this.#inForce?.text === text) return false;
      if (this.#inForce?.text !== text) this.#changedAt = Date.now();
      if (this.#control === null) await this.#begin(text);
      else await this.#reconfigure(this.#control, text);
      this.#inForce = { plan, text };
      const network = parsePrefix(plan.network);
      const keep = { prefix: plan.subnet, metric: plan.blackholeMetric };
      if (network !== undefined) this.#options.removeRoutes(network, keep); // BIRD forgets one whose metric changes
      await this.#look();
      this.#interval ??= setInterval(() => void this.#look().catch(() => {}), LOOK_INTERVAL_MS); // its end is told by onEnd
      return true;
    });
  }

  /** Leaves it running with its routes: another process goes on with it. */
  leave(): Promise<void> {
    return this.#serially(async () => this.#letGo());
  }

  /** Ends it, and takes back its routes and files: those that a process before this one left, too. Never rejects. */
  end(): Promise<void> {
    return this.#serially(async () => {
      if (this.isPresent) await this.#end().catch(() => {}); // what is left is found by the next start
    });
  }

  #letGo(): void {
    clearInterval(this.#interval);
    this.#interval = undefined;
    const control = this.#control;
    this.#control = null;
    this.#inForce = null;
    this.#sessions = [];
    control?.close();
  }

  async #end(): Promise<void> {
    const { paths, removeRoutes } = this.#options;
    const network = parsePrefix(networkOfConfig(await readFile(paths.config, "utf8")) ?? "");
    const pid = birdProcess(paths);
    const control =
      this.#control ?? (pid === null ? null : await ControlSocket.open(paths.control, () => {}).catch(() => null));
    this.#letGo();
    if (pid !== null) await endBird(paths, pid, control);
    if (network !== undefined) removeRoutes(network, null);
    for (const path of birdFiles(paths)) await rm(path, { force: true });
  }

  /** Goes on with the BIRD that runs, else starts one. */
  async #begin(text: string): Promise<void> {
    const { paths } = this.#options;
    const running = birdProcess(paths);
    if (running !== null) {
      try {
        const control = await this.#open();
        await this.#reconfigure(control, text);
        this.#adopt(control, running);
        return;
      } catch {
        endNow(running); // it hangs
      }
    }
    const age = performance.now() - this.#startedAt;
    if (age < SHORTEST_LIFE_MS) throw await this.#failure(`BIRD ended ${Math.round(age)} ms after its start`);
    const isRecovery = this.isPresent;
    await replaceFile(paths.config, text, CONFIG_MODE);
    this.#startedAt = performance.now();
    await startBird(paths, isRecovery);
    this.#adopt(await this.#awaitStart(), birdProcess(paths));
  }

  #adopt(control: ControlSocket, pid: number | null): void {
    this.#control = control;
    this.#pid = pid;
  }

  async #awaitStart(): Promise<ControlSocket> {
    const { paths } = this.#options;
    const deadline = performance.now() + START_LIMIT_MS;
    for (;;) {
      await delay(POLL_MS);
      const control = await this.#open().catch(() => null);
      if (control !== null) return control;
      if (birdProcess(paths) === null) throw await this.#failure("BIRD ended at its start");
      if (performance.now() > deadline) throw await this.#failure(`BIRD does not answer on ${paths.control}`);
    }
  }

  async #open(): Promise<ControlSocket> {
    const control = await ControlSocket.open(this.#options.paths.control, () => {
      if (this.#control !== control) return;
      this.#control = null;
      this.#pid = null;
      this.#sessions = [];
      this.#options.onEnd();
    });
    return control;
  }

  /** All or nothing: a configuration that BIRD does not understand changes nothing. */
  async #reconfigure(control: ControlSocket, text: string): Promise<void> {
    const { config } = this.#options.paths;
    const next = `${config}.new`;
    await writeFile(next, text, { mode: CONFIG_MODE });
    await control.ask(`configure check "${next}"`);
    await rename(next, config);
    await control.ask("configure");
  }

  async #look(): Promise<void> {
    if (this.#control === null || this.#inForce === null) return;
    const { plan } = this.#inForce;
    this.#sessions = sessionsIn(await this.#control.ask("show protocols"), plan, Date.now());
  }

  async #failure(problem: string): Promise<HopsackError> {
    const { log } = this.#options.paths;
    const lines = (await readFile(log, "utf8").catch(messageOf)).trim().split("\n").slice(-LOG_TAIL_LINES);
    const message = `${problem}; ${log} ends with: ${lines.join(" / ")}`;
    return new HopsackError("TOOL_FAILED", message, { retryable: true });
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#work.then(work);
    this.#work = result.catch(() => {}); // whoever called gets the error
    return result;
  }
}

/** Its peers are told; one that does not listen is killed. */
export async function endBird(paths: BirdPaths, pid: number, control: ControlSocket | null): Promise<void> {
  await control?.ask("down").catch(() => {}); // the answer may be cut short
  const deadline = performance.now() + (control === null ? 0 : END_LIMIT_MS);
  while (birdProcess(paths) === pid && performance.now() < deadline) await delay(POLL_MS);
  if (birdProcess(paths) === pid) endNow(pid);
  control?.close();
}

/** What it wrote, and what we wrote for it. */
export function birdFiles({ config, control, pid, log }: BirdPaths): string[] {
  return [config, `${config}.new`, control, pid, log, `${log}.1`];
}
