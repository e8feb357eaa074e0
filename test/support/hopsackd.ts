// Hosts as network namespaces on one bridge, and real daemons in them. For tests that run inside inOwnNamespace(): names and
// /run are private there, and every process ends with the namespace.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";
import { inOwnNamespace, ipJson, run, until } from "./netns.js";

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));
/** The same files where every user may come by, in this mount namespace: a clone below /root is for root alone. */
const EVERYBODYS_CHECKOUT = "/media";
const DAEMON = join(EVERYBODYS_CHECKOUT, "dist/cli/hopsackd.js");
export const TOOL = join(EVERYBODYS_CHECKOUT, "dist/cli/main.js");
/** tap loads itself into every child Node.js by NODE_OPTIONS: wrong for memory, start-up time and other users. */
export const UNHOOKED = ["/usr/bin/env", "-u", "NODE_OPTIONS"];
/** A cold start with ten thousand leases takes seconds; what follows an outage comes after a pause of up to ten. */
const LOGGED_LIMIT_MS = 40_000;
const ENV = { PATH: process.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin" };

export interface Host {
  /** Of the network namespace and of the node. */
  readonly name: string;
  readonly address: string;
}

export type LogLine = Readonly<Record<string, unknown>> & { readonly event: string };

/** `tests` in namespaces of their own, with the bridge, and the programs where all users find them. */
export function withDaemons(t: Test, fileUrl: string, tests: () => Promise<void>, limitSeconds?: number): void {
  const inside = async (): Promise<void> => {
    run(`mount --bind ${CHECKOUT} ${EVERYBODYS_CHECKOUT}`);
    if (!existsSync(DAEMON)) {
      t.fail(`${CHECKOUT}dist/cli/hopsackd.js is not there; build it with: npm run build`);
      return;
    }
    run("ip link add br0 type bridge");
    run("ip link set br0 up");
    await tests();
  };
  inOwnNamespace(t, fileUrl, inside, limitSeconds);
}

/** `ip …` in the host's namespace. Throws with its stderr when it fails. */
export function ip(host: Host, args: string): string {
  return run(`ip -n ${host.name} ${args}`);
}

/** A namespace without a cable; IPv6 off, so that nothing changes in it by itself. */
export function makeNamespace(name: string): void {
  run(`ip netns add ${name}`);
  const settings = "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv4/ip_forward";
  execFileSync("ip", ["netns", "exec", name, "sh", "-c", settings]);
  run(`ip -n ${name} link set lo up`);
}

/** Its cable is there: from now on eth0 is the underlay. */
export async function bringUp(name: string, address: string, prefixLength = 24): Promise<Host> {
  run(`ip -n ${name} addr add ${address}/${prefixLength} dev eth0`);
  run(`ip -n ${name} link set eth0 up`);
  await until(`eth0 of ${name} is up`, () => isRunning(name));
  return { name, address };
}

/** A tap has no state of its own, but a carrier. */
function isRunning(name: string): boolean {
  const flags = ipJson(`-n ${name} link show eth0`)[0]?.flags;
  return Array.isArray(flags) && flags.includes("UP") && flags.includes("LOWER_UP");
}

/** A namespace with eth0 on a bridge. */
export async function makeHost(
  name: string,
  address: string,
  { bridge = "br0", prefixLength = 24 } = {},
): Promise<Host> {
  makeNamespace(name);
  run(`ip link add v-${name} type veth peer name eth0 netns ${name}`);
  run(`ip link set v-${name} master ${bridge} up`);
  return bringUp(name, address, prefixLength);
}

/** Everything a daemon could leave behind in the host's network. */
export function networkState(host: Host): unknown {
  const tables = [
    "link",
    "addr",
    "route show table all",
    "-6 route show table all",
    "rule",
    "neigh show nud permanent",
  ];
  return tables.map((table) => ipJson(`-n ${host.name} ${table}`));
}

/** Names of all files under the folders, those of other programs' namespaces left out. */
export function filesIn(...folders: readonly string[]): string[] {
  return folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
      .filter((path) => !path.startsWith("/run/netns/"))
      .sort(),
  );
}

export interface Ending {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stderr: string;
}

export class Daemon {
  readonly lines: LogLine[] = [];
  readonly ended: Promise<Ending>;
  readonly #child: ChildProcess;
  #stderr = "";

  /**
   * @param wrapper a command line that ends by executing what follows it, e.g. `setpriv …`
   * @param fds become the descriptors 3, 4 …
   */
  constructor(host: Host, flags: readonly string[], wrapper: readonly string[] = [], fds: readonly number[] = []) {
    const argv = ["netns", "exec", host.name, ...wrapper, ...UNHOOKED, process.execPath, DAEMON, ...flags];
    this.#child = spawn("ip", argv, { env: ENV, stdio: ["ignore", "pipe", "pipe", ...fds] });
    this.#child.stderr?.on("data", (chunk) => (this.#stderr += chunk));
    if (this.#child.stdout !== null) {
      createInterface({ input: this.#child.stdout }).on("line", (line) => this.lines.push(JSON.parse(line)));
    }
    this.ended = once(this.#child, "close").then(([status, signal]) => ({ status, signal, stderr: this.#stderr }));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The `times`-th log line of this event; rejects with what the daemon said when it ended before. */
  async logged(event: string, times = 1, limitMs = LOGGED_LIMIT_MS): Promise<LogLine> {
    const find = (): LogLine | undefined => this.lines.filter((line) => line.event === event)[times - 1];
    const isOver = (): boolean => this.#child.exitCode !== null || this.#child.signalCode !== null;
    await until(`log line ${event}`, () => find() !== undefined || isOver(), limitMs);
    const line = find();
    if (line === undefined) {
      const { status, signal, stderr } = await this.ended;
      throw new Error(`ended (${signal ?? status}) without log line ${event}: ${stderr}`);
    }
    return line;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async stop(): Promise<Ending> {
    this.kill("SIGTERM");
    return this.ended;
  }
}

/** `hopsack …` in the host's namespace. Throws with its stderr when it fails. */
export function hopsack(host: Host, commandLine: string): string {
  return run(`ip netns exec ${host.name} ${UNHOOKED.join(" ")} ${process.execPath} ${TOOL} ${commandLine}`);
}

/** The same, not waited for: whoever is to be killed. */
export function startHopsack(host: Host, commandLine: string): ChildProcess {
  return spawn("ip", ["netns", "exec", host.name, ...UNHOOKED, process.execPath, TOOL, ...commandLine.split(" ")]);
}
