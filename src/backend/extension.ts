// extension: commands of the administrator's own carry the packets. They stand in the network configuration, and the plan
// carries them as data; kernel/commands.ts runs them. flannel's keys and variables.
import { HopsackError } from "../errors.js";
import { field } from "../lease/json-object.js";
import { type Lease, leaseKey, plainAttrs } from "../lease/lease.js";
import { formatPrefix, type Prefix } from "../net/prefix.js";
import { type CommandPair, EMPTY_PLAN, type Plan, type ShellCommand } from "../plan/plan.js";
import type { Backend, BackendInput } from "./backend.js";
import { masquerades } from "./subnets.js";

const TYPE = "extension";

/** @throws BAD_CONFIG for a command that is not a text */
export function createExtensionBackend(input: BackendInput): Backend {
  const { publicIp } = input.underlay;
  const commandOf = (key: string): string => commandLine(input, key);
  const lines = {
    preStartup: commandOf("PreStartupCommand"),
    postStartup: commandOf("PostStartupCommand"),
    subnetAdd: commandOf("SubnetAddCommand"),
    subnetRemove: commandOf("SubnetRemoveCommand"),
    shutdown: commandOf("ShutdownCommand"),
  };
  const ofHost = (key: string, line: string, own: Lease | null): ShellCommand | null =>
    command(key, line, { ...networks(input), ...subnets(own), PUBLIC_IP: publicIp }, "");
  const pairOf = (peer: Lease): CommandPair => {
    const { attrs } = peer;
    const hosts = { PUBLIC_IP: attrs.publicIp, ...(attrs.publicIpv6 !== null && { PUBLIC_IPV6: attrs.publicIpv6 }) };
    const environment = { ...networks(input), ...subnets(peer), ...hosts };
    const data = stdinOf(attrs.backendData);
    return {
      key: leaseKey(peer),
      enter: command("SubnetAddCommand", lines.subnetAdd, environment, data),
      leave: command("SubnetRemoveCommand", lines.subnetRemove, environment, data),
    };
  };
  return {
    type: TYPE,
    overheadBytes: 0,
    deviceNames: [],
    startCommand: ofHost("PreStartupCommand", lines.preStartup, null),
    leaseAttrs: (node) => ({
      ...plainAttrs(TYPE, publicIp, node),
      backendData: backendData(input.startOutput ?? ""),
    }),
    socket: null,
    objectionTo: () => null,
    probeAddress: () => null,
    claimsOf: () => [],
    plan: (own, peers): Plan => ({
      ...EMPTY_PLAN,
      masquerades: masquerades(input, own),
      commands: {
        host: {
          key: leaseKey(own),
          enter: ofHost("PostStartupCommand", lines.postStartup, own),
          leave: ofHost("ShutdownCommand", lines.shutdown, own),
        },
        peers: peers.map(pairOf),
      },
    }),
  };
}

/** Empty when there is none. */
function commandLine({ config }: BackendInput, key: string): string {
  const line = field(config.backend.options, key) ?? "";
  if (typeof line === "string" && !line.includes("\0")) return line.trim();
  const problem = `Backend.${key} ${JSON.stringify(line)} is not a command`;
  throw new HopsackError("BAD_CONFIG", `${problem}; write a line for /bin/sh in quotes, or remove the key`);
}

function command(
  name: string,
  line: string,
  environment: Readonly<Record<string, string>>,
  input: string,
): ShellCommand | null {
  return line === "" ? null : { name, line, environment, input };
}

function networks({ config: { network, networkV6 } }: BackendInput): Record<string, string> {
  return variables("NETWORK", network, "IPV6_NETWORK", networkV6);
}

function subnets(lease: Lease | null): Record<string, string> {
  return lease === null ? {} : variables("SUBNET", lease.subnet, "IPV6SUBNET", lease.subnetV6);
}

function variables(name: string, prefix: Prefix, nameV6: string, prefixV6: Prefix | null): Record<string, string> {
  return { [name]: formatPrefix(prefix), ...(prefixV6 !== null && { [nameV6]: formatPrefix(prefixV6) }) };
}

/** What a host's PreStartupCommand printed: JSON where it is JSON, else the text; null for nothing. */
function backendData(output: string): unknown {
  const text = output.trim();
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Ends in a newline, so that `read` is content. */
function stdinOf(data: unknown): string {
  if (data === null || data === undefined) return "";
  return `${typeof data === "string" ? data : JSON.stringify(data)}\n`;
}
