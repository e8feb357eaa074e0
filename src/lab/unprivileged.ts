// Runs this program again as the master of a user namespace of its own, where the kernel lets ordinary users have one: then
// a lab needs no root. Its /run is its own, and whatever it leaves dies with it. Called by the demo.
import { spawn } from "node:child_process";
import { attempt, requireTools, startFailure, toolEnvironment } from "./command.js";
import { canOpenTun } from "./permission.js";

/**
 * --keep-caps with the user's own id, not --map-root-user: tcpdump gives up root's id before it captures, and a user
 * namespace with one id has nothing to change to.
 */
const UNSHARE = [
  ...["--user", "--map-current-user", "--keep-caps"],
  ...["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"],
];
/** The shell stays PID 1 there, so the program gets signals as usual. */
const INSIDE = 'mount -t tmpfs tmpfs /run && mkdir /run/netns && "$@"; exit $?';
/** What a lab does first; tells early whether the kernel, or its security modules, refuse. */
const PROBE = "ip netns add probe && ip netns exec probe ip link add v0 type veth peer name v1";

/** Why there can be no lab in a user namespace here, or null when there can. */
export async function whyNotUnprivileged(): Promise<string | null> {
  if (!canOpenTun()) return "/dev/net/tun may not be opened by this user";
  requireTools(["unshare", "ip"]);
  const { status, stderr } = await attempt("unshare", [...UNSHARE, "sh", "-c", INSIDE, "sh", "sh", "-c", PROBE]);
  if (status === 0) return null;
  return `user namespaces cannot be used here: ${stderr.trim().split("\n")[0] ?? ""}`;
}

/** Runs this very command line inside; its exit status. Terminal signals reach it directly; SIGTERM ends all of it. */
export function runUnprivileged(): Promise<number> {
  const self = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const child = spawn("unshare", [...UNSHARE, "sh", "-c", INSIDE, "sh", ...self], {
    stdio: "inherit",
    env: toolEnvironment(),
  });
  const wait = () => {}; // the program inside cleans up and ends by itself
  const end = () => child.kill("SIGKILL"); // and --kill-child takes the rest
  process.on("SIGINT", wait).on("SIGTERM", end).on("SIGHUP", end);
  return new Promise<number>((resolve, reject) => {
    child.once("error", (error) => reject(startFailure("unshare", error)));
    child.once("close", (status) => resolve(status ?? 1));
  }).finally(() => process.off("SIGINT", wait).off("SIGTERM", end).off("SIGHUP", end));
}
