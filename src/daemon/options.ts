// The flags of hopsackd, and the environment variable each of them can be instead. Flags that flanneld has keep
// flanneld's names, and its single-dash form (`-iface=eth0`) is understood. Called by cli/hopsackd.ts only.
import { dirname, join } from "node:path";
import { Command, CommanderError } from "commander";
import type { OffloadSwitches } from "../addon.js";
import type { TunnelEngine } from "../backend/backend.js";
import type { Engine } from "../dataplane/accelerator.js";
import { HopsackError } from "../errors.js";
import type { ForwardAcceptance } from "../kernel/forward-rules.js";
import { DEFAULT_SUBNET_FILE, defaultPlaces, type PolicyPlaces } from "../policy/places.js";
import { commandOption, type Flag, type GivenOptions, readValue } from "./flags.js";
import { nodeName } from "./identity.js";
import type { MetricsAddress } from "./metrics-server.js";
import type { LogLevel, ValueParser } from "./option-values.js";
import * as values from "./option-values.js";
import { readStoreOptions, STORE_FLAGS, type StoreOptions } from "./store-options.js";

/** What tells the hopsackds of one host apart. */
export interface Places extends PolicyPlaces {
  readonly subnetFile: string;
  /** Where the leases are kept that are known, for a start while the store is away. */
  readonly leaseCache: string;
  readonly deviceName: string;
  readonly statusSocket: string;
}

export interface DaemonOptions extends StoreOptions, Places {
  readonly netConfigPath: string | null;
  /** Overrides the Backend.Type of the network configuration. */
  readonly backendType: string | null;
  /** Name or address of the underlay interface; null = the one of the default route. */
  readonly iface: string | null;
  readonly publicIp: string | null;
  readonly publicIpv6: string | null;
  readonly ipMasq: boolean;
  /** Only known hosts may send to the tunnel's UDP ports. */
  readonly guard: boolean;
  readonly ipForward: ForwardAcceptance;
  readonly nodeName: string;
  /** Status socket of the running daemon that this one takes over from; null = from none. */
  readonly takeover: string | null;
  /** Where Prometheus may ask over TCP; null = nowhere. */
  readonly metricsAddress: MetricsAddress | null;
  /** How many peers have their bytes counted one by one. */
  readonly metricsPerPeer: number;
  readonly probePeers: boolean;
  readonly keepLease: boolean;
  readonly leaseTtlSeconds: number;
  readonly renewMarginMinutes: number;
  readonly vxlanEngine: TunnelEngine;
  /** null = the kernel where it has ipip, else user space. */
  readonly ipipEngine: TunnelEngine | null;
  readonly ipipDevice: string;
  /** `fou`: the kernel's FOU, which needs no pump. */
  readonly engine: Engine | "fou";
  readonly naive: boolean;
  readonly offloads: OffloadSwitches;
  readonly checkInnerAddresses: boolean;
  readonly logLevel: LogLevel;
}

/** What the command line asks for: a run of the daemon, or a text (`--help`, `--version`) and nothing else. */
export type Invocation =
  | { readonly kind: "run"; readonly options: DaemonOptions }
  | { readonly kind: "print"; readonly text: string };

const FLAGS = {
  netConfig: { name: "net-config", value: "PATH", help: "network configuration (JSON) to use instead of the store's" },
  backend: { name: "backend", value: "TYPE", help: "backend to use instead of the network configuration's" },
  iface: { name: "iface", value: "NAME|IP", help: "interface that carries the packets (default: the default route's)" },
  publicIp: { name: "public-ip", value: "IP", help: "address the other hosts send to (default: the interface's)" },
  publicIpv6: {
    name: "public-ipv6",
    value: "IPV6",
    help: "IPv6 address the other hosts send to, where the interface has one (default: the interface's)",
  },
  subnetFile: {
    name: "subnet-file",
    value: "PATH",
    help: "where to write the subnet's environment; it stays after the end, for the next start to take the same subnet (default: /run/flannel/subnet.env)",
  },
  leaseCache: {
    name: "lease-cache",
    value: "PATH",
    help: "where to keep the known leases, for a start while the store is away (default: /var/lib/hopsack/known-leases.json, or beside a --subnet-file of another folder)",
  },
  policyFile: {
    name: "policy-file",
    value: "PATH",
    help: "where `hopsack policy` keeps the policy of this host's pods (default: /var/lib/hopsack/policy.json, or beside a --subnet-file of another folder)",
  },
  cniDataDir: {
    name: "cni-data-dir",
    value: "PATH",
    help: "the CNI plugin's dataDir, where the pods are known (default: /run/hopsack/cni, or cni beside a --subnet-file of another folder)",
  },
  ipMasq: { name: "ip-masq", value: null, help: "masquerade what leaves the overlay network" },
  guard: {
    name: "guard",
    value: null,
    help: "let nftables drop what others than the known hosts send to the tunnel's UDP port (modes udp and vxlan)",
  },
  ipForward: {
    name: "ip-forward",
    value: null,
    help: "switch forwarding of IP packets on, and accept the overlay's where iptables-nft (Docker) drops what is forwarded (default: as far as nft is installed; false: leave both alone)",
  },
  device: { name: "device", value: "NAME", help: "name of the TUN device (default: flannel0)" },
  nodeName: { name: "node-name", value: "NAME", help: "name of this host in its lease (default: the host name)" },
  statusSocket: {
    name: "status-socket",
    value: "PATH",
    help: "unix socket of status and metrics (default: /run/hopsack/hopsackd.sock)",
  },
  metricsAddress: {
    name: "metrics-address",
    value: "[ADDRESS:]PORT",
    help: "serve metrics to Prometheus and a status page on this TCP port, of the underlay's address unless another is given (default: metrics on the status socket only)",
  },
  metricsPerPeer: {
    name: "metrics-per-peer",
    value: "COUNT",
    help: "how many peers have bytes of their own in metrics, status and page, where the pump carries the packets; the rest is one sum (default: 100)",
  },
  takeover: {
    name: "takeover",
    value: "PATH",
    help: "take over from the running daemon whose status socket this is: device, socket and lease pass without a gap",
  },
  probePeers: {
    name: "probe-peers",
    value: null,
    help: "ask the daemons of the other hosts every few seconds, through the overlay network, whether packets arrive, and answer them (UDP 9286; default: true)",
  },
  keepLease: { name: "keep-lease", value: null, help: "keep the lease in the store when stopping" },
  leaseTtl: { name: "lease-ttl", value: "SECONDS", help: "life of the lease without renewal (default: 86400)" },
  renewMargin: {
    name: "subnet-lease-renew-margin",
    value: "MINUTES",
    help: "how long before its end the lease is renewed, at most half its life (default: 60)",
  },
  vxlanEngine: {
    name: "vxlan-engine",
    value: "ENGINE",
    help: "who carries VXLAN packets on this host: kernel or userspace; the others see no difference (default: kernel)",
  },
  ipipEngine: {
    name: "ipip-engine",
    value: "ENGINE",
    help: "who carries IP-in-IP packets on this host: kernel or userspace; the others see no difference (default: the kernel where it has ipip devices, else userspace)",
  },
  ipipDevice: {
    name: "ipip-device",
    value: "NAME",
    help: "name of the IP-in-IP device (default: flannel.ipip)",
  },
  engine: {
    name: "engine",
    value: "ENGINE",
    help: "who carries the packets of udp, and of vxlan and ipip in user space: pump, ebpf (the kernel, and the pump what is left), auto (ebpf where it is the faster one), or fou (udp only: a device of the kernel's, which checks no sender); the others see no difference (default: pump)",
  },
  naive: { name: "naive", value: null, help: "one packet per system call and no offload, as flanneld does it" },
  offload: {
    name: "offload",
    value: "LIST",
    help: "offloads to use: all, none, or some of tso,uso,udp-gso,udp-gro,tun-gro (default: all)",
  },
  allowAnyInnerSource: {
    name: "allow-any-inner-source",
    value: null,
    help: "accept inner packets whose source is outside the sending host's subnet, or whose destination is outside this host's",
  },
  logLevel: { name: "log-level", value: "LEVEL", help: "trace, debug, info, warn, error or fatal (default: info)" },
} as const satisfies Record<string, Flag>;

/**
 * Reads flags and environment; a flag beats its variable.
 * @param argv arguments after the program's name
 * @throws BAD_OPTION naming flag or variable, value, and what is accepted
 */
export function parseInvocation(argv: readonly string[], env: NodeJS.ProcessEnv, version: string): Invocation {
  const command = hopsackdCommand(version);
  let printed = "";
  command.configureOutput({ writeOut: (text) => (printed += text), writeErr: () => {} });
  try {
    command.parse(argv.map(doubleDashed), { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: "print", text: printed };
    throw new HopsackError("BAD_OPTION", `${usageSentence(error)}; hopsackd --help lists the options`, {
      cause: error,
    });
  }
  const stray = command.args[0];
  if (stray !== undefined) {
    throw new HopsackError(
      "BAD_OPTION",
      `hopsackd takes no argument ${JSON.stringify(stray)}, only options; hopsackd --help lists them`,
    );
  }
  return { kind: "run", options: readOptions(command.opts(), env) };
}

/** Those of the store first: the question a new user answers first. */
function allFlags(): readonly Flag[] {
  return [...STORE_FLAGS, ...Object.values(FLAGS)];
}

/** The names of all flags that have a variable, for documents and tests. */
export function flagNames(): string[] {
  return allFlags().map((flag) => flag.name);
}

/** The command `hopsackd`: what parseInvocation() runs, and what the manual is generated from. */
export function hopsackdCommand(version: string): Command {
  const command = new Command("hopsackd")
    .description(
      "Joins this host to an overlay network: takes a subnet, learns the other hosts' and moves the packets.",
    )
    .version(`hopsackd ${version}`, "--version", "print the version and exit")
    .helpOption("-h, --help", "print this help and exit")
    .addHelpText(
      "after",
      "\nEvery option can be an environment variable instead: --lease-ttl 60 is HOPSACKD_LEASE_TTL=60.",
    )
    .allowExcessArguments()
    .exitOverride();
  for (const flag of allFlags()) command.addOption(commandOption(flag));
  return command;
}

/** Go's flag package, and so flannel's users, write long options with one dash. */
function doubleDashed(argument: string): string {
  return /^-[a-z][a-z]/.test(argument) ? `-${argument}` : argument;
}

/** commander's `error: unknown option '--ifac'\n(Did you mean --iface?)` on one line. */
export function usageSentence({ message }: CommanderError): string {
  return message
    .replace(/^error: /, "")
    .replace(/^(unknown option '[^=]*)=.*'/s, "$1'") // the value may be a password
    .replaceAll("\n", " ")
    .trim();
}

function readOptions(given: GivenOptions, env: NodeJS.ProcessEnv): DaemonOptions {
  const read = <T>(flag: Flag, parser: ValueParser<T>): T | null => readValue(flag, parser, given, env);
  const isOn = (flag: Flag): boolean => read(flag, values.truth) ?? false;
  return {
    ...readStoreOptions(given, env),
    ...readPlaces(given, env),
    netConfigPath: read(FLAGS.netConfig, values.path),
    backendType: read(FLAGS.backend, values.anyText),
    iface: read(FLAGS.iface, values.anyText),
    publicIp: read(FLAGS.publicIp, values.hostAddress),
    publicIpv6: read(FLAGS.publicIpv6, values.hostAddressV6),
    ipMasq: isOn(FLAGS.ipMasq),
    guard: isOn(FLAGS.guard),
    ipForward: forwardAcceptance(read(FLAGS.ipForward, values.truth)),
    nodeName: nodeName(read(FLAGS.nodeName, values.hostName)),
    metricsAddress: read(FLAGS.metricsAddress, values.listenAddress),
    metricsPerPeer: read(FLAGS.metricsPerPeer, values.peerCount) ?? 100,
    takeover: read(FLAGS.takeover, values.socketPath),
    probePeers: read(FLAGS.probePeers, values.truth) ?? true,
    keepLease: isOn(FLAGS.keepLease),
    leaseTtlSeconds: read(FLAGS.leaseTtl, values.seconds) ?? 86_400,
    renewMarginMinutes: read(FLAGS.renewMargin, values.minutes) ?? 60,
    vxlanEngine: read(FLAGS.vxlanEngine, values.tunnelEngine) ?? "kernel",
    ipipEngine: read(FLAGS.ipipEngine, values.tunnelEngine),
    ipipDevice: read(FLAGS.ipipDevice, values.deviceName) ?? "flannel.ipip",
    engine: read(FLAGS.engine, values.engine) ?? "pump",
    naive: isOn(FLAGS.naive),
    offloads: read(FLAGS.offload, values.offloadList) ?? {
      tso: true,
      uso: true,
      udpGso: true,
      udpGro: true,
      tunGro: true,
    },
    checkInnerAddresses: !isOn(FLAGS.allowAnyInnerSource),
    logLevel: read(FLAGS.logLevel, values.logLevel) ?? "info",
  };
}

/** Those of readPlaces(), for other commands. */
export const PLACE_FLAGS: readonly Flag[] = [FLAGS.device, FLAGS.subnetFile, FLAGS.leaseCache, FLAGS.statusSocket];

/** @throws BAD_OPTION */
export function readPlaces(given: GivenOptions, env: NodeJS.ProcessEnv): Places {
  const subnetFile = readValue(FLAGS.subnetFile, values.path, given, env) ?? DEFAULT_SUBNET_FILE;
  return {
    subnetFile,
    leaseCache: readValue(FLAGS.leaseCache, values.path, given, env) ?? defaultLeaseCache(subnetFile),
    ...readPolicyPlaces(given, env),
    deviceName: readValue(FLAGS.device, values.deviceName, given, env) ?? "flannel0",
    statusSocket: readValue(FLAGS.statusSocket, values.socketPath, given, env) ?? "/run/hopsack/hopsackd.sock",
  };
}

/** Those of readPolicyPlaces(), for other commands. */
export const POLICY_PLACE_FLAGS: readonly Flag[] = [FLAGS.policyFile, FLAGS.cniDataDir, FLAGS.subnetFile];

/** @throws BAD_OPTION */
export function readPolicyPlaces(given: GivenOptions, env: NodeJS.ProcessEnv): PolicyPlaces {
  const places = defaultPlaces(readValue(FLAGS.subnetFile, values.path, given, env) ?? DEFAULT_SUBNET_FILE);
  return {
    policyFile: readValue(FLAGS.policyFile, values.path, given, env) ?? places.policyFile,
    cniDataDir: readValue(FLAGS.cniDataDir, values.path, given, env) ?? places.cniDataDir,
  };
}

/** Who does not ask is not stopped by a missing nft. */
function forwardAcceptance(asked: boolean | null): ForwardAcceptance {
  if (asked === null) return "if-possible";
  return asked ? "required" : "off";
}

/** Several daemons on one machine have a subnet file each, and so a cache each. */
function defaultLeaseCache(subnetFile: string): string {
  const folder = subnetFile === DEFAULT_SUBNET_FILE ? "/var/lib/hopsack" : dirname(subnetFile);
  return join(folder, "known-leases.json");
}
