// Runs a test file in a world of its own: fresh network, mount and process namespaces with a private /run, so that
// `ip netns add` inside needs no unique names. The kernel removes all of it with the last process, also after SIGKILL.
// Use:  inOwnNamespace(t, import.meta.url, () => { t.test("...", ...); });
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";

const NOBODY = 65_534;
const INSIDE = "HOPSACK_TEST_NAMESPACE";
/** For one file, also on a machine that is five times slower or busy with other things: few take two minutes on an idle one. */
const LIMIT_SECONDS = 900;
/** For one state: far beyond every pause of the product's, so that it is over only for what never comes. */
const STATE_LIMIT_MS = 20_000;
/** The status of a daemon with ten thousand peers takes a megabyte. */
const OUTPUT_LIMIT = 64 << 20;
const UNSHARE = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
const SET_UP = 'mount -t tmpfs tmpfs /run && mkdir /run/netns && ip link set lo up && : <> /dev/net/tun && exec "$@"';

/**
 * Declares `tests` when this process is already inside; else runs the same file again inside, as one subtest. Skips with
 * its reason where neither root nor user namespaces are to be had.
 */
export function inOwnNamespace(t: Test, fileUrl: string, tests: () => void, limitSeconds = LIMIT_SECONDS): void {
  if (process.env[INSIDE] !== undefined) {
    t.setTimeout((limitSeconds - 10) * 1000);
    tests();
    return;
  }
  t.setTimeout(limitSeconds * 1000);
  const flags = process.getuid?.() === 0 ? UNSHARE : ["--map-root-user", ...UNSHARE];
  const probe = spawnSync("unshare", [...flags, "sh", "-c", SET_UP, "sh", "true"], { encoding: "utf8" });
  if (probe.status !== 0) {
    t.pass("own namespaces", { skip: `no namespaces: ${probe.stderr.trim() || probe.error?.message}` });
    return;
  }
  const again = [process.execPath, ...process.execArgv, fileURLToPath(fileUrl)];
  const options = { env: { ...process.env, [INSIDE]: "1" } };
  // unshare ignores SIGTERM while it waits: tap could not end a test that hangs.
  const limited = ["-s", "KILL", `${limitSeconds}`, "unshare", ...flags];
  t.spawn("timeout", [...limited, "sh", "-c", SET_UP, "sh", ...again], options, "in own namespaces");
}

/** Why a process cannot become another user here; false: it can. Of namespaces that were not made by root. */
export function whyNoOtherUsers(): string | false {
  const ranges = readFileSync("/proc/self/uid_map", "utf8").trim().split("\n");
  const hasNobody = ranges.some((range) => {
    const [first = 0, , count = 0] = range.trim().split(/\s+/).map(Number);
    return first <= NOBODY && NOBODY < first + count;
  });
  return hasNobody ? false : `this user namespace has no user ${NOBODY}`;
}

/**
 * Why it cannot be seen here what happens without ipip devices; false: it can. By what is on the disk: asking the kernel would load the
 * module, on a machine that is not ours.
 */
export function whyIpip(): string | false {
  const listings = ["dep", "builtin"].map((kind) => `/lib/modules/${release()}/modules.${kind}`);
  const isListed = listings.some((path) => existsSync(path) && readFileSync(path, "utf8").includes("/ipip.ko"));
  return isListed || existsSync("/sys/module/ipip") ? "this kernel has ipip devices" : false;
}

/** Runs one command line (split on blanks, no shell), and returns its stdout. Throws with its stderr when it fails. */
export function run(commandLine: string): string {
  const [command = "", ...args] = commandLine.split(" ");
  return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], maxBuffer: OUTPUT_LIMIT });
}

/** `ip -j …`, parsed: the kernel's state as iproute2 sees it. */
export function ipJson(args: string): Record<string, unknown>[] {
  const parsed: unknown = JSON.parse(run(`ip -j ${args}`) || "[]");
  return Array.isArray(parsed) ? parsed : [];
}

/** Waits until `isTrue` holds, looking every 5 ms; throws after `limitMs`. */
export async function until(what: string, isTrue: () => boolean, limitMs = STATE_LIMIT_MS): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!isTrue()) {
    if (Date.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
