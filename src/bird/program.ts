// The program bird: whether it is there and of use, whether its port is free, how it is started, and which process is ours.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { errnoOf, HopsackError, messageOf } from "../errors.js";
import { parseIpv4 } from "../net/ipv4.js";

const BGP_PORT = 179;
/** What its configuration here was tried with, and has no less: Debian 12's. */
const LEAST_VERSION = [2, 0, 12] as const;
const SYSTEM_FOLDERS = ":/usr/sbin:/sbin";
const LOG_MODE = 0o600;
const VERSION_LIMIT_MS = 5000;
/** /proc/net/tcp's state of a socket that listens. */
const LISTENING = "0A";

/** Where one BIRD keeps what is its own. */
export interface BirdPaths {
  readonly config: string;
  readonly control: string;
  readonly pid: string;
  readonly log: string;
}

/** Beside the status socket, so that two hopsackds of one host have two. */
export function birdPaths(statusSocket: string): BirdPaths {
  const stem = `${statusSocket.replace(/\.sock$/, "")}-bird`;
  return { config: `${stem}.conf`, control: `${stem}.ctl`, pid: `${stem}.pid`, log: `${stem}.log` };
}

/** @throws TOOL_MISSING when there is no BIRD, or none that can be used */
export function requireBird(): void {
  let text: string;
  try {
    // It says its version on standard error.
    text = execFileSync("sh", ["-c", "bird --version 2>&1"], {
      env: environment(),
      encoding: "utf8",
      timeout: VERSION_LIMIT_MS,
    });
  } catch (cause) {
    const problem = "BIRD is not installed, and the mode bgp needs it";
    throw new HopsackError("TOOL_MISSING", `${problem}; install: apt-get install bird2`, { cause });
  }
  requireVersion(text);
}

/** @param text `BIRD version 2.0.12` @throws TOOL_MISSING */
export function requireVersion(text: string): void {
  const numbers = /BIRD version ([0-9]+)\.([0-9]+)(?:\.([0-9]+))?/.exec(text)?.slice(1) ?? [];
  const [major = 0, minor = 0, patch = 0] = numbers.map((number) => Number(number ?? 0));
  const [leastMajor, leastMinor, leastPatch] = LEAST_VERSION;
  const isNewEnough = minor > leastMinor || (minor === leastMinor && patch >= leastPatch);
  if (major === leastMajor && isNewEnough) return;
  const wanted = `${LEAST_VERSION.join(".")} or newer of version 2`;
  throw new HopsackError(
    "TOOL_MISSING",
    `${text.trim() || "bird"} cannot be used, the mode bgp needs ${wanted}; install: apt-get install bird2`,
  );
}

/** @param tables the text of /proc/net/tcp and tcp6 @throws PORT_TAKEN when somebody listens where BIRD is to */
export function requirePortFree(address: string, tables: readonly string[]): void {
  const [port, any] = [hex(BGP_PORT, 4), "0".repeat(8)];
  const own = hexAddress(address);
  const isTaken = tables
    .flatMap((table) => table.split("\n").slice(1))
    .map((line) => line.trim().split(/\s+/))
    .some(([, local = "", , state]) => {
      const [at = "", on] = local.split(":");
      const isThere = at === own || at === any || at === "0".repeat(32); // :: takes IPv4 as well
      return state === LISTENING && on === port && isThere;
    });
  if (!isTaken) return;
  const problem = `another program listens on TCP port ${BGP_PORT} of ${address}, which BGP needs`;
  throw new HopsackError("PORT_TAKEN", `${problem}; stop it (ss -ltnp sport = ${BGP_PORT} names it)`);
}

/** /proc has the bytes of an address as one number of this machine. */
function hexAddress(address: string): string {
  const bits = hex(parseIpv4(address) ?? 0, 8);
  return (bits.match(/../g) ?? []).reverse().join("");
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, "0");
}

/** What requirePortFree() reads of this machine. */
export function listeningTables(): string[] {
  return ["/proc/net/tcp", "/proc/net/tcp6"].map((path) => readText(path) ?? "");
}

/**
 * Starts BIRD in a session of its own: it outlives this process, as routes and sessions are to.
 * @param isRecovery routes of a BIRD before it are in the kernel, and stay until the sessions are back
 * @throws TOOL_FAILED
 */
export async function startBird({ config, control, pid, log }: BirdPaths, isRecovery: boolean): Promise<void> {
  const output = openSync(log, "a", LOG_MODE);
  const argv = ["-f", "-c", config, "-s", control, "-P", pid, ...(isRecovery ? ["-R"] : [])];
  const child = spawn("bird", argv, { detached: true, env: environment(), stdio: ["ignore", output, output] });
  closeSync(output);
  child.unref();
  try {
    await once(child, "spawn");
  } catch (cause) {
    throw new HopsackError("TOOL_FAILED", `BIRD cannot be started (${messageOf(cause)}); it is tried again`, {
      retryable: true,
      cause,
    });
  }
}

/** The process that runs with our configuration, by its command line; null when there is none. */
export function birdProcess({ config }: BirdPaths): number | null {
  const isOurs = (pid: string): boolean => {
    const words = (readText(`/proc/${pid}/cmdline`) ?? "").split("\0");
    return words[0]?.endsWith("bird") === true && words.includes(config);
  };
  const pid = readdirSync("/proc").find((name) => /^[0-9]+$/.test(name) && isOurs(name));
  return pid === undefined ? null : Number(pid);
}

/** null when it cannot be read. */
function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

export function endNow(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (errnoOf(error) !== "ESRCH") throw error;
  }
}

/** Without hopsackd's settings: there are passwords among them. */
function environment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("HOPSACKD_"));
  return { ...Object.fromEntries(inherited), PATH: `${process.env.PATH ?? ""}${SYSTEM_FOLDERS}` };
}
