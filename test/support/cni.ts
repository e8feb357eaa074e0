// Calls the built CNI plugin, or one of Debian's, as a container runtime does: its environment, a configuration on standard input.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { type Host, TOOL, UNHOOKED } from "./hopsackd.js";
import { run } from "./netns.js";
import type { Place } from "./place.js";

export const CNI_PLUGIN = TOOL.replace("cli/main.js", "hopsack-cni.js");
/** Where Debian's containernetworking-plugins keeps them. */
export const DEBIAN_PLUGINS = "/usr/lib/cni";

/** Why plugins that need the reference plugins cannot be tested here, or false. */
export const skipBridge = existsSync(`${DEBIAN_PLUGINS}/bridge`)
  ? false
  : `${DEBIAN_PLUGINS}/bridge is missing: apt-get install containernetworking-plugins`;

export interface CniCall {
  readonly verb: string;
  readonly containerId?: string;
  readonly ifName?: string;
  readonly netns?: string;
  readonly args?: string;
  /** Told the process, for tests that end it. */
  readonly onStart?: (pid: number) => void;
}

export interface CniAnswer {
  readonly status: number | null;
  /** What it printed, parsed; null when it printed nothing. */
  readonly json: Record<string, unknown> | null;
  readonly stderr: string;
}

export type CniConfig = Readonly<Record<string, unknown>>;

/** One host with a plugin folder and a network configuration. */
export class CniHost {
  readonly host: Host;
  readonly config: CniConfig;
  readonly dataDir: string;
  readonly #path: string;

  constructor(place: Place, host: Host, config: CniConfig) {
    const folder = join(place.folder, host.name);
    const plugins = join(folder, "plugins");
    if (!existsSync(plugins)) {
      mkdirSync(plugins, { recursive: true });
      symlinkSync(CNI_PLUGIN, join(plugins, "hopsack"));
    }
    this.host = host;
    this.dataDir = join(folder, "cni");
    this.#path = `${plugins}:${DEBIAN_PLUGINS}`;
    this.config = {
      cniVersion: "1.1.0",
      name: "lab",
      type: "hopsack",
      subnetFile: place.subnetFile(host),
      daemonSocket: place.socket(host),
      dataDir: this.dataDir,
      ...config,
    };
  }

  /** @param differences to the configuration; undefined takes a key away */
  call(call: CniCall, differences: CniConfig = {}): Promise<CniAnswer> {
    const config = { ...this.config, ...differences };
    return callPlugin(this.#path, this.host.name, call, JSON.stringify(config), String(config.type));
  }
}

/** Runs the plugin `type` out of `path` in a network namespace. */
async function callPlugin(
  path: string,
  hostNetns: string,
  call: CniCall,
  input: string,
  type = "hopsack",
): Promise<CniAnswer> {
  const program =
    path
      .split(":")
      .map((folder) => join(folder, type))
      .find((file) => existsSync(file)) ?? type;
  const env = {
    ...process.env,
    CNI_COMMAND: call.verb,
    CNI_CONTAINERID: call.containerId,
    CNI_NETNS: call.netns,
    CNI_IFNAME: call.ifName,
    CNI_ARGS: call.args,
    CNI_PATH: path,
  };
  // Not `ip netns exec`, whose own mount namespace takes longer with every namespace there is.
  const [unhook = "", ...words] = [...UNHOOKED, "nsenter", `--net=/run/netns/${hostNetns}`, program];
  const child = spawn(unhook, words, { env, stdio: "pipe" });
  call.onStart?.(child.pid ?? 0);
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (chunk: string) => (output[name] += chunk));
  }
  child.stdin.on("error", () => {}); // a plugin that refuses its environment does not read
  child.stdin.end(input);
  const status = await new Promise<number | null>((resolve) => child.once("close", resolve));
  const isWhole = status !== null && output.stdout !== "";
  return { status, json: isWhole ? JSON.parse(output.stdout) : null, stderr: output.stderr };
}

/** Attachments that the plugin has on disk. */
export function records({ dataDir }: CniHost): string[] {
  const names = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);
  const file = join(dataDir, "lab/addresses.json");
  const held = existsSync(file) ? Object.keys(JSON.parse(readFileSync(file, "utf8")).held) : [];
  const leased = names(join(dataDir, "host-local/lab")).filter((name) => /^[0-9]/.test(name));
  return [...held, ...names(join(dataDir, "lab/bridged")).filter((name) => !name.startsWith(".")), ...leased];
}

/** A network namespace; the path of it. */
export function makePod(name: string): string {
  run(`ip netns add ${name}`);
  run(`ip -n ${name} link set lo up`);
  return `/run/netns/${name}`;
}

/** Whether one ping from the pod is answered. */
export function answers(pod: string, address: string): boolean {
  try {
    run(`ip netns exec ${pod} ping -n -c 1 -W 1 ${address}`);
    return true;
  } catch {
    return false;
  }
}

/** The addresses of a result, without lengths. */
export function addressesOf(json: Record<string, unknown> | null): string[] {
  const ips = Array.isArray(json?.ips) ? json.ips : [];
  return ips.map((ip: { address: string }) => ip.address.replace(/\/.*/, ""));
}
