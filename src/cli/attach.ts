// `hopsack attach` and `hopsack detach`: network namespaces without a container runtime, and virtual machines, in the network of
// the host's pods. The CNI plugin's own code does the work; here are only words, and what a person may name.
import { readFileSync, type Stats, statSync } from "node:fs";
import { basename, resolve } from "node:path";
import type { Command } from "commander";
import { asCniError, CniCode, CniError } from "../cni/cni-error.js";
import { callIn, INSTALLED_CONFIG } from "../cni/installed.js";
import { containerIdOf, nameFor } from "../cni/outsiders.js";
import type { Attachment } from "../cni/request.js";
import { attachmentsOf, perform } from "../cni/verbs.js";
import { checkNetAdmin } from "../daemon/host.js";
import { type ErrorCode, HopsackError } from "../errors.js";
import { parseAddress } from "../net/prefix.js";
import { attachedText, reportOf } from "./attach-screen.js";

const NAMED_NETNS = "/run/netns";
/** Part of a container ID. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,99}$/;
const INTERFACE = /^(?!\.{1,2}$)[^\s/:]{1,15}$/;
const PID = /^[1-9][0-9]*$/;

const ATTACH_NOTES = `
A namespace is named as ip netns add names it, by its path, or by the PID of a process in it. For a machine of systemd-nspawn,
started with --private-network, that is its leader:
  hopsack attach "$(machinectl show -p Leader --value NAME)" --name NAME
With --tap the guest sets its address itself; the answer says what to set. The way of attaching and the addresses are those of
the host's pods, as --config has them; without that file: "attach": "routed" in the network hopsack. A container runtime's
garbage collection leaves alone what was attached so.`;

/** What stands behind the numbers of the CNI specification for who is no container runtime. */
const CODES: Readonly<Record<number, ErrorCode>> = {
  [CniCode.unsupportedField]: "BAD_CONFIG",
  [CniCode.containerUnknown]: "NO_NAMESPACE",
  [CniCode.badEnvironment]: "NO_NAMESPACE",
  [CniCode.ioFailure]: "FILE_UNWRITABLE",
  [CniCode.badConfig]: "BAD_CONFIG",
  [CniCode.tryAgainLater]: "NOT_RUNNING",
  [CniCode.alreadyThere]: "ALREADY_ATTACHED",
  [CniCode.notPermitted]: "NOT_PERMITTED",
  [CniCode.pluginMissing]: "TOOL_MISSING",
};

const TARGET_HELP = "name, path or PID of a network namespace";
const CONFIG_HELP = `a CNI network configuration (default: ${INSTALLED_CONFIG})`;

interface AttachOptions {
  readonly tap?: string;
  readonly ip?: string;
  readonly name?: string;
  readonly ifname: string;
  readonly config?: string;
  readonly json?: boolean;
}

interface DetachOptions {
  readonly config?: string;
  readonly json?: boolean;
}

export function addAttachCommands(program: Command): void {
  program
    .command("attach")
    .description("join a network namespace, or a virtual machine's tap, to the overlay as a pod is")
    .argument("[netns]", TARGET_HELP)
    .option("--tap <name>", "a tap device of this host instead, made if it is not there")
    .option("--ip <address>", "IPv4 address it must get (default: the next free one)")
    .option("--name <name>", "what to call it, for hopsack detach (default: the last part of what was given)")
    .option("--ifname <name>", "the interface in the namespace", "eth0")
    .option("--config <file>", CONFIG_HELP)
    .option("--json", "print address, gateway and MTU as JSON")
    .addHelpText("after", ATTACH_NOTES)
    .action(attach);
  program
    .command("detach")
    .description("undo hopsack attach, whether the namespace still exists or not")
    .argument("<name>", "what was attached: its namespace, PID, tap or --name")
    .option("--config <file>", CONFIG_HELP)
    .option("--json", "print what was detached as JSON")
    .action(detach);
}

async function attach(target: string | undefined, options: AttachOptions): Promise<void> {
  const { tap, ip, json } = options;
  if ((target === undefined) === (tap === undefined)) {
    const given = target === undefined ? "neither a namespace nor --tap is given" : "a namespace and --tap are given";
    throw new HopsackError("BAD_OPTION", `${given}; give one of the two`);
  }
  if (ip !== undefined && parseAddress(ip)?.family !== 4) {
    throw new HopsackError("BAD_OPTION", `--ip ${JSON.stringify(ip)} is not accepted; give an IPv4 address`);
  }
  const name = checked("--name", options.name ?? basename(target ?? tap ?? ""), NAME, "letters, digits, _, . and -");
  const [option, link] = tap === undefined ? ["--ifname", options.ifname] : ["--tap", tap];
  const ifName = checked(option, link, INTERFACE, 'at most 15 characters, no blank, "/" or ":"');
  requireRight("attach");
  const netns = target === undefined ? null : netnsPath(target);
  const wishes = ip === undefined ? {} : { runtimeConfig: { ips: [ip] } };
  const call = await told(async () => callIn(options.config ?? null, wishes), name);
  const attachment = { containerId: containerIdOf("person", name), ifName };
  const result = await told(() => perform({ ...call, verb: "ADD", attachment, netns }), name);
  const report = reportOf(JSON.parse(result), { name, network: call.config.name, netns, ifName });
  process.stdout.write(json === true ? asJson(report) : attachedText(report));
}

async function detach(target: string, { config, json }: DetachOptions): Promise<void> {
  const name = basename(target);
  requireRight("detach");
  const call = await told(async () => callIn(config ?? null, {}), name);
  const network = call.config.name;
  const known = await attachmentsOf({ ...call, verb: "STATUS" });
  const nameOf = (attachment: Attachment): string | null => nameFor("person", attachment);
  const mine = known.filter((attachment) => nameOf(attachment) === name);
  if (mine.length === 0) {
    const names = [...new Set(known.map(nameOf).filter((one) => one !== null))].sort().join(", ");
    const others = names === "" ? "nothing is attached by hand" : `by hand are attached: ${names}`;
    throw new HopsackError("NOT_ATTACHED", `${name} is not attached to the network ${network}; ${others}`);
  }
  for (const attachment of mine) {
    await told(() => perform({ ...call, verb: "DEL", attachment, netns: null }), name);
  }
  const interfaces = mine.map(({ ifName }) => ifName);
  const text = `${name} is detached from the network ${network} (${interfaces.join(", ")})\n`;
  process.stdout.write(json === true ? asJson({ name, network, interfaces }) : text);
}

/** The plugin's errors as the command's. @throws HopsackError */
async function told<T>(work: () => Promise<T>, name: string): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof HopsackError && cause.code === "ALREADY_ATTACHED") {
      const cure = `undo that first: hopsack detach ${name}; or call this one otherwise with --name`;
      throw new HopsackError("ALREADY_ATTACHED", `${name} is attached already; ${cure}`, { cause });
    }
    if (cause instanceof HopsackError) throw cause;
    const { cniCode, message } = asCniError(cause);
    if (cniCode === CniCode.internal && !(cause instanceof CniError)) throw cause;
    throw new HopsackError(CODES[cniCode] ?? "TOOL_FAILED", message, { cause });
  }
}

function checked(option: string, value: string, rule: RegExp, accepted: string): string {
  if (rule.test(value)) return value;
  throw new HopsackError("BAD_OPTION", `${option} ${JSON.stringify(value)} is not accepted; give ${accepted}`);
}

/** @throws NOT_PERMITTED */
function requireRight(what: string): void {
  checkNetAdmin(readFileSync("/proc/self/status", "utf8"), `hopsack may not ${what} anything`);
}

/** @throws NO_NAMESPACE */
function netnsPath(target: string): string {
  const isPid = PID.test(target);
  const path = isPid ? `/proc/${target}/ns/net` : resolve(NAMED_NETNS, target);
  const stat = statOrNull(path);
  if (stat === null) {
    const problem = isPid ? `no process ${target} runs here` : `there is no network namespace ${path}`;
    throw new HopsackError("NO_NAMESPACE", `${problem}; ip netns list and lsns -t net show what there is`);
  }
  const own = statSync("/proc/self/ns/net");
  if (stat.dev === own.dev && stat.ino === own.ino) {
    const problem = `${isPid ? `process ${target} is in` : `${path} is`} this host's own network namespace`;
    throw new HopsackError("NO_NAMESPACE", `${problem}, which is no pod; give another one`);
  }
  return path;
}

function statOrNull(path: string): Stats | null {
  try {
    return statSync(path);
  } catch {
    return null;
  }
}

function asJson(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
