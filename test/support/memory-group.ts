// A control group with a limit of memory, and processes in it: version 2, or the memory controller of version 1 where that is the one in use.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";
import { messageOf } from "../../src/errors.js";
import { run, until } from "./netns.js";

const PREFIX = "hopsack-test-";
const EATER = "x = []\nwhile True: x.append(bytearray(1 << 20))";

/** Of oom_score_adj: this process goes before all others. A lower one than zero is for root of the machine alone. */
const HIGHEST_SCORE = "1000";

interface Files {
  readonly mount: string;
  readonly limit: string;
  /** Without it what is too much goes to the disk; not there where there is no swap. */
  readonly swapLimit: string;
  /** Holds a line `oom_kill N`. */
  readonly kills: string;
}

const V1: Files = {
  mount: "mount -t cgroup -o memory none",
  limit: "memory.limit_in_bytes",
  swapLimit: "memory.memsw.limit_in_bytes",
  kills: "memory.oom_control",
};
const V2: Files = {
  mount: "mount -t cgroup2 none",
  limit: "memory.max",
  swapLimit: "memory.swap.max",
  kills: "memory.events",
};

/** All groups, in this mount namespace: /sys is another one in each network namespace. Opened once in a test file. */
export class MemoryGroups {
  readonly #files: Files;
  readonly #root: string;

  private constructor(files: Files, root: string) {
    this.#files = files;
    this.#root = root;
  }

  /** The groups of tests that were killed are removed; a string: why there can be none. */
  static open(): MemoryGroups | string {
    const hierarchy = /^memory\s+(\d+)/m.exec(readFileSync("/proc/cgroups", "utf8"))?.[1] ?? "0";
    const files = hierarchy === "0" ? V2 : V1;
    const root = mkdtempSync("/run/memory-groups-");
    try {
      run(`${files.mount} ${root}`);
      for (const name of readdirSync(root).filter((name) => name.startsWith(PREFIX))) removeIfEmpty(join(root, name));
      const probe = mkdtempSync(join(root, PREFIX));
      const isLimited = existsSync(join(probe, files.limit));
      rmdirSync(probe);
      return isLimited ? new MemoryGroups(files, root) : "no memory controller in the topmost control group";
    } catch (error) {
      const [what, why = what] = messageOf(error).split("\n"); // of a command: that it failed, then its own words
      return `no control group can be made: ${why}`;
    }
  }

  /** Removed after the test, with what still runs in it. */
  make(t: Test, megabytes: number): MemoryGroup {
    const folder = mkdtempSync(join(this.#root, PREFIX));
    const bytes = `${megabytes << 20}`;
    writeFileSync(join(folder, this.#files.limit), bytes);
    const swapLimit = join(folder, this.#files.swapLimit);
    if (existsSync(swapLimit)) writeFileSync(swapLimit, this.#files === V1 ? bytes : "0");
    const group = new MemoryGroup(folder, join(folder, this.#files.kills));
    t.teardown(() => group.remove());
    return group;
  }
}

export class MemoryGroup {
  readonly #folder: string;
  readonly #killsFile: string;

  constructor(folder: string, killsFile: string) {
    this.#folder = folder;
    this.#killsFile = killsFile;
  }

  /** Executes what follows it in the group. */
  get wrapper(): string[] {
    return ["sh", "-c", `echo $$ >${this.#folder}/cgroup.procs && exec "$@"`, "sh"];
  }

  /** Starts a process that takes memory until the kernel has ended as many as it must; it is the last to go, or the first. */
  eater(place: "first" | "last"): ChildProcess {
    const [shell = "", ...words] = this.wrapper;
    const choom = place === "first" ? ["choom", "-n", HIGHEST_SCORE, "--"] : [];
    return spawn(shell, [...words, ...choom, "python3", "-c", EATER], { stdio: "ignore" });
  }

  /** How many processes the kernel has ended for lack of memory. */
  get kills(): number {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync(this.#killsFile, "utf8"))?.[1]);
  }

  async remove(): Promise<void> {
    await until("the group is empty", () => {
      const pids = readFileSync(join(this.#folder, "cgroup.procs"), "utf8").split("\n").filter(Boolean);
      for (const pid of pids) process.kill(Number(pid), "SIGKILL");
      return pids.length === 0;
    });
    rmdirSync(this.#folder);
  }
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Another test's, which is running.
  }
}
