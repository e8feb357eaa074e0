// `hopsack lab …`: overlay networks of network namespaces on one machine. Only words and options live here; the work is
// done in lab/.
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { type Command, InvalidArgumentError, Option } from "commander";
import { HopsackError } from "../errors.js";
import { startFailure, toolEnvironment } from "../lab/command.js";
import { type LabStatus, labDown, labNotFound, labStatuses, labUp } from "../lab/lab.js";
import { type LabReport, labNames } from "../lab/lab-folder.js";
import { missingCapabilities, requirePermission } from "../lab/permission.js";
import { netnsNames } from "../lab/process-record.js";
import { type Attach, backendOf, type LabSpec, memberNetns } from "../lab/topology.js";
import { untilInterrupted } from "./interrupt.js";
import { runDemo, runDemoUnprivileged } from "./lab-demo.js";
import { type Paint, paintFor, tableLines } from "./output.js";

/** The lab that is meant when none is named. */
export const DEFAULT_LAB = "lab";

interface UpOptions {
  readonly name: string;
  readonly hosts: number;
  readonly pods: number;
  readonly backend: string;
  readonly attach: Attach;
  readonly ipv6?: boolean;
  readonly store?: "file" | "etcd";
  readonly etcdMembers?: number;
  readonly daemonArg: readonly string[];
  readonly json?: boolean;
}

export function addLabCommand(program: Command): void {
  const lab = program.command("lab").description("build and remove labs: hosts and pods as network namespaces");
  addUp(lab);
  addDown(lab);
  addStatus(lab);
  addExec(lab);
  lab
    .command("demo")
    .description("two hosts, one ping, one datagram taken apart, and a race, in under a minute")
    .action(async () => {
      if (missingCapabilities().length === 0) await untilInterrupted(runDemo);
      else process.exitCode = await runDemoUnprivileged();
    });
}

function addUp(lab: Command): void {
  lab
    .command("up")
    .description("build a lab, and return when every pod reaches every other")
    .option("--hosts <count>", "hosts", wholeNumber, 2)
    .option("--pods <count>", "pods per host", wholeNumber, 1)
    .option(
      "--backend <type>",
      "how the hosts reach each other: udp, vxlan, host-gw, bgp, alloc or extension, or a Backend as JSON",
      "udp",
    )
    .addOption(
      new Option("--attach <way>", "how the CNI plugin attaches pods: to a bridge, or each by a route of its own")
        .choices(["bridge", "routed"])
        .default("bridge"),
    )
    .option("--name <name>", "name of the lab", DEFAULT_LAB)
    .option("--ipv6", "give the overlay an IPv6 part too")
    .addOption(new Option("--store <kind>", "where the leases live (default: file)").choices(["file", "etcd"]))
    .option("--etcd-members <count>", "members of that etcd, 1 or 3; means --store etcd (default: 1)", wholeNumber)
    .option("--daemon-arg <arg>", "an argument for every hopsackd (repeatable)", collect, [])
    .option("--json", "print the lab as JSON")
    .action(({ json, ...options }: UpOptions) =>
      untilInterrupted(async (signal) => {
        const spec = specOf(options);
        const progress = (step: string) => process.stderr.write(`${step} …\n`);
        const { report } = await labUp(spec, { signal, progress });
        process.stdout.write(json === true ? `${JSON.stringify(report, null, 2)}\n` : upText(report));
      }),
    );
}

function specOf(options: UpOptions): LabSpec {
  const { name, hosts, pods, backend, attach, ipv6, store, etcdMembers, daemonArg } = options;
  if (store === "file" && etcdMembers !== undefined) {
    throw new HopsackError("BAD_OPTION", `--etcd-members ${etcdMembers} needs --store etcd; leave one of them away`);
  }
  if (etcdMembers === 0) throw new HopsackError("BAD_OPTION", "--etcd-members 0 is not accepted; give 1 or 3");
  const common = { name, hosts, podsPerHost: pods, backend, attach, hasIpv6: ipv6 === true, daemonArgs: daemonArg };
  return { ...common, etcdMembers: etcdMembers ?? (store === "etcd" ? 1 : 0) };
}

function addDown(lab: Command): void {
  lab
    .command("down")
    .description("remove a lab: daemons, namespaces, files, also those of one that failed half-way")
    .option("--name <name>", "name of the lab", DEFAULT_LAB)
    .action(async ({ name }: { readonly name: string }) => {
      const existed = await labDown(name);
      process.stdout.write(existed ? `lab ${name} is gone\n` : `no lab ${name} is up, nothing to remove\n`);
    });
}

function addStatus(lab: Command): void {
  lab
    .command("status")
    .description("show the labs that are up")
    .option("--json", "print them as JSON")
    .action(({ json }: { readonly json?: boolean }) => {
      const statuses = labStatuses();
      const paint = paintFor(process.stdout, process.env);
      process.stdout.write(
        json === true ? `${JSON.stringify(statusJson(statuses), null, 2)}\n` : statusText(statuses, paint),
      );
    });
}

function addExec(lab: Command): void {
  lab
    .command("exec")
    .description("run a command in a host or pod, for example: hopsack lab exec h1-p1 -- ping 10.244.2.2")
    .option("--name <name>", "name of the lab", DEFAULT_LAB)
    .argument("<member>", "host (h1) or pod (h1-p1)")
    .argument("<command...>", "the command and its arguments, after --")
    .action(async (member: string, command: readonly string[], { name }: { readonly name: string }) => {
      if (!labNames().includes(name)) throw labNotFound(name);
      const netns = memberNetns(name, member);
      if (netns === undefined || !netnsNames().includes(netns)) {
        const cure = "hopsack lab status lists the hosts and pods";
        throw new HopsackError("LAB_NOT_FOUND", `lab ${name} has no host or pod ${member}; ${cure}`);
      }
      requirePermission();
      process.exitCode = await runInside(netns, command);
    });
}

/** Runs the command on our own terminal; its exit status, 128 + signal number when a signal ended it. */
function runInside(netns: string, command: readonly string[]): Promise<number> {
  const child = spawn("ip", ["netns", "exec", netns, ...command], { stdio: "inherit", env: toolEnvironment() });
  const wait = () => {}; // the terminal's Ctrl-C reaches the command itself
  process.on("SIGINT", wait);
  return new Promise<number>((resolve, reject) => {
    child.once("error", (error) => reject(startFailure("ip", error)));
    child.once("close", (status, signal) => resolve(status ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  }).finally(() => process.off("SIGINT", wait));
}

function upText({ name, hosts, etcd }: LabReport): string {
  const [first, second] = hosts;
  const pod = first?.pods[0]?.name ?? "h1-p1";
  const target = (second ?? first)?.pods[0]?.address ?? "";
  const nameOption = name === DEFAULT_LAB ? "" : ` --name ${name}`;
  const lines = [
    `lab ${name} is up: every pod reaches every other`,
    "",
    ...hostTable(hosts, () => "running"),
    "",
    `try:   hopsack lab exec${nameOption} ${pod} -- ping -c 3 ${target}`,
    `       hopsack status --socket ${first?.statusSocket}`,
    ...(etcd === undefined
      ? []
      : [`       hopsack lab exec${nameOption} h1 -- hopsack leases list --etcd-endpoints ${etcd}`]),
    `       hopsack lab down${nameOption}`,
  ];
  return `${lines.join("\n")}\n`;
}

function statusText(statuses: readonly LabStatus[], paint: Paint): string {
  if (statuses.length === 0) return "no lab is up; build one with: hopsack lab up\n";
  const blocks = statuses.map(({ name, state, runningDaemons, runningEtcd }) => {
    const report = state?.report ?? null;
    if (state === null || report === null)
      return `${paint.yellow(name)}: not complete; remove it with: hopsack lab down --name ${name}`;
    const stateOf = (host: string) => (runningDaemons.includes(host) ? "running" : paint.red("not running"));
    const members = report.etcd?.length ?? 0;
    const run = `${runningEtcd.length} of ${members} etcd members run`;
    const etcd = members === 0 ? "" : `, ${runningEtcd.length === members ? run : paint.red(run)}`;
    const mode = backendOf(state.spec).Type;
    return [`${paint.bold(name)}: ${mode} mode${etcd}`, ...hostTable(report.hosts, stateOf)].join("\n");
  });
  return `${blocks.join("\n\n")}\n`;
}

function hostTable(hosts: LabReport["hosts"], stateOf: (host: string) => string): string[] {
  const columns = ["host", "underlay", "subnet", "hopsackd", "pods"].map((title) => ({ title }));
  const rows = hosts.map(({ name, underlay, subnet, pods }) => [
    name,
    underlay,
    subnet,
    stateOf(name),
    pods.map((pod) => `${pod.name} ${pod.address}`).join(", "),
  ]);
  return tableLines(columns, rows).map((line) => `  ${line}`);
}

function statusJson(statuses: readonly LabStatus[]): unknown {
  const labs = statuses.map(({ name, state, runningDaemons, runningEtcd }) => ({
    name,
    isComplete: state?.report != null,
    hosts: (state?.report?.hosts ?? []).map((host) => ({
      ...host,
      isDaemonRunning: runningDaemons.includes(host.name),
    })),
    ...(state?.report?.etcd === undefined
      ? {}
      : { etcd: state.report.etcd, etcdNetns: state.report.etcdNetns, runningEtcd }),
  }));
  return { labs };
}

function wholeNumber(text: string): number {
  if (!/^[0-9]{1,6}$/.test(text)) throw new InvalidArgumentError("Give a whole number.");
  return Number(text);
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}
