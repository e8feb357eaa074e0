// Attaches a lab's pods by the built CNI plugin, as a container runtime would. The lab knows the plugin only by its specification.
import { existsSync } from "node:fs";
import { HopsackError } from "../errors.js";
import { builtFile } from "./background.js";
import { attempt, ipBatch, mapBounded } from "./command.js";
import type { HostSubnet } from "./host-subnet.js";
import type { HostPlan, LabSpec, PodPlan } from "./topology.js";

const AT_ONCE = 8;
/** Where distributions put the reference plugins. */
const PLUGIN_FOLDERS = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];
const REFERENCE_PLUGINS = ["bridge", "host-local"];

/** @throws TOOL_MISSING when the pods cannot be attached this way */
export function requirePlugins({ attach }: LabSpec): void {
  const isThere = (plugin: string): boolean => PLUGIN_FOLDERS.some((folder) => existsSync(`${folder}/${plugin}`));
  if (attach === "routed" || REFERENCE_PLUGINS.every(isThere)) return;
  const missing = "the CNI plugins bridge and host-local are not installed, and --attach bridge needs them";
  const cure = "install: apt-get install containernetworking-plugins, or give --attach routed";
  throw new HopsackError("TOOL_MISSING", `${missing}; ${cure}`);
}

/** Pod 0, 1 … gets the addresses that `subnet` foresees for it. @throws TOOL_FAILED with the plugin's words */
export async function attachPods(
  spec: LabSpec,
  host: HostPlan,
  subnet: HostSubnet,
  signal: AbortSignal,
): Promise<void> {
  const plugin = builtFile("hopsack-cni.js");
  await mapBounded([...host.pods.entries()], AT_ONCE, signal, async ([index, pod], either) => {
    await ipBatch(pod.netns, ["link set lo up"], either);
    const ips = [subnet.v4, subnet.v6].flatMap((part) => (part === null ? [] : [part.podAddress(index)]));
    const config = JSON.stringify({ ...networkConfig(spec, host), runtimeConfig: { ips } });
    const command = ["netns", "exec", host.netns, "env", ...environment(pod), process.execPath, plugin];
    const { status, stdout, stderr } = await attempt("ip", command, { input: config, signal: either });
    if (status === 0) return;
    throw new HopsackError("TOOL_FAILED", `${pod.name} could not be attached: ${sentenceOf(stdout) ?? stderr.trim()}`);
  });
}

function networkConfig({ attach, name }: LabSpec, host: HostPlan): object {
  return {
    cniVersion: "1.1.0",
    name,
    type: "hopsack",
    subnetFile: host.subnetFile,
    daemonSocket: host.statusSocket,
    dataDir: `${host.folder}/cni`,
    // Masquerading is --daemon-arg=--ip-masq; the bridge plugin's would need iptables.
    ...(attach === "routed" ? { attach } : { attach: "bridge", delegate: { isDefaultGateway: true, ipMasq: false } }),
  };
}

function environment(pod: PodPlan): string[] {
  return [
    "CNI_COMMAND=ADD",
    `CNI_CONTAINERID=${pod.netns}`,
    `CNI_NETNS=/run/netns/${pod.netns}`,
    "CNI_IFNAME=eth0",
    `CNI_PATH=${PLUGIN_FOLDERS.join(":")}`,
  ];
}

/** What stands in a CNI error; undefined when it is none. */
function sentenceOf(stdout: string): string | undefined {
  try {
    const { msg }: { msg?: unknown } = JSON.parse(stdout);
    return typeof msg === "string" ? msg : undefined;
  } catch {
    return undefined;
  }
}
