// `hopsack policy …`: which pods of this host may talk to whom. No daemon is needed, and none is asked: hopsackd and the CNI plugin see
// the same files.
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { commandOption, type GivenOptions } from "../daemon/flags.js";
import { checkNetAdmin } from "../daemon/host.js";
import { POLICY_PLACE_FLAGS, readPolicyPlaces } from "../daemon/options.js";
import { HopsackError, messageOf } from "../errors.js";
import { policiesOf } from "../policy/compile.js";
import { HostPolicy } from "../policy/host-policy.js";
import { formatLabels, labelFault, NAME_LABEL, NAMESPACE_LABEL, parseLabelChange } from "../policy/labels.js";
import type { Pod } from "../policy/pod-records.js";
import { DIRECTIONS, type PolicySet } from "../policy/policy.js";
import { policyReports } from "../policy/policy-report.js";
import { formatCount, paintFor } from "./output.js";
import { podLines, policyLines, type ShownPod } from "./policy-screen.js";
import { joinSections } from "./status-screen.js";

const FILE_FORMAT = `
The file is JSON, groups of pods and addresses and what the policies allow:
  {
    "groups": {
      "app": { "pods": { "role": "app" } },
      "office": { "addresses": ["192.0.2.0/24", "2001:db8::/48"] }
    },
    "policies": [
      { "name": "db", "pods": { "role": "db" },
        "ingress": [{ "from": ["app"], "allow": ["tcp/5432", "icmp"] }] }
    ]
  }
A pod is refused whatever no policy allows, in each direction ("ingress", "egress") that a policy selecting it
speaks of. Without "from" or "to" a rule is for everybody, without "allow" for everything.`;

export function addPolicyCommand(program: Command): void {
  const policy = program.command("policy").description("say which pods of this host may talk to whom");
  policy
    .command("apply")
    .description("put a policy in force, in place of the one before")
    .argument("<file>", "a JSON file, or - for standard input")
    .action((file: string, given: GivenOptions) => apply(policyOf(given), file))
    .addHelpText("after", FILE_FORMAT);
  policy
    .command("show")
    .description("show policies, what they allowed and denied, and the pods")
    .option("--json", "print it as JSON")
    .action(({ json, ...given }: GivenOptions) => show(policyOf(given), json === true));
  policy
    .command("label")
    .description("set labels of a pod, or take them away")
    .argument("<pod>", "its container ID, an address of it, or NAMESPACE/NAME in Kubernetes")
    .argument("<label...>", "role=web sets one, role- takes it away")
    .action((pod: string, words: string[], given: GivenOptions) => label(policyOf(given), pod, words));
  policy
    .command("remove")
    .description("take the policy out of force: every pod is open again")
    .action((given: GivenOptions) => remove(policyOf(given)));
  for (const command of policy.commands) {
    for (const flag of POLICY_PLACE_FLAGS) {
      command.addOption(commandOption(flag).helpGroup("Which hopsackd, as its own options:"));
    }
  }
}

/** @throws NOT_PERMITTED, BAD_OPTION */
function policyOf(given: GivenOptions): HostPolicy {
  checkNetAdmin(readFileSync("/proc/self/status", "utf8"), "hopsack may not look at and change the rules of this host");
  return new HostPolicy(readPolicyPlaces(given, process.env));
}

async function apply(policy: HostPolicy, file: string): Promise<void> {
  const isStdin = file === "-";
  const source = isStdin ? "standard input" : file;
  const text = await readFile(isStdin ? "/dev/stdin" : file, "utf8").catch((cause: unknown) => {
    throw new HopsackError("BAD_POLICY", `${source} cannot be read (${messageOf(cause)}); name a policy file`, {
      cause,
    });
  });
  const set = await policy.apply(text, source);
  const pods = shownPods(set, await policy.pods());
  const selected = pods.filter(({ policies }) => policies.length > 0).length;
  process.stdout.write(
    `in force: ${counted(set.policies.length, "policy", "policies")}, which ${set.policies.length === 1 ? "protects" : "protect"} ${selected} of ${counted(pods.length, "pod", "pods")} on this host\n`,
  );
}

async function show(policy: HostPolicy, isJson: boolean): Promise<void> {
  const set = (await policy.read()) ?? { groups: [], policies: [] };
  const pods = await policy.pods();
  const policies = policyReports(set, pods, await policy.counters());
  const shown = shownPods(set, pods);
  if (isJson) return void process.stdout.write(`${JSON.stringify({ policies, pods: shown }, null, 2)}\n`);
  const paint = paintFor(process.stdout, process.env);
  const first = policies.length === 0 ? ["no policy is in force: every pod is open"] : policyLines(policies, paint);
  process.stdout.write(joinSections([first, podLines(shown, paint)]));
}

async function label(policy: HostPolicy, name: string, words: readonly string[]): Promise<void> {
  const changes = words.map(readLabelChange);
  const pod = await policy.changePod((pods) => {
    const before = podNamed(pods, name);
    const labels = new Map(Object.entries(before.labels));
    for (const { key, value } of changes) {
      if (value === null) labels.delete(key);
      else labels.set(key, value);
    }
    return { ...before, labels: Object.fromEntries(labels) };
  });
  process.stdout.write(`${pod.containerId} is labelled ${formatLabels(pod.labels) || "with nothing"}\n`);
}

async function remove(policy: HostPolicy): Promise<void> {
  const wasThere = await policy.remove();
  process.stdout.write(wasThere ? "removed: every pod of this host is open\n" : "no policy was in force\n");
}

/** @throws BAD_OPTION */
function readLabelChange(word: string): { readonly key: string; readonly value: string | null } {
  const change = parseLabelChange(word);
  if (change === undefined) {
    throw new HopsackError(
      "BAD_OPTION",
      `${JSON.stringify(word)} is no label; write role=web, or role- to take one away`,
    );
  }
  const fault = labelFault(change.key, change.value ?? "");
  if (fault !== null) throw new HopsackError("BAD_OPTION", fault);
  return change;
}

/** @throws NO_SUCH_POD */
function podNamed(pods: readonly Pod[], name: string): Pod {
  const found = pods.filter((pod) => {
    const inKubernetes = `${pod.labels[NAMESPACE_LABEL]}/${pod.labels[NAME_LABEL]}`;
    return [pod.containerId, inKubernetes, ...pod.addresses].includes(name);
  });
  const [pod] = found;
  if (pod !== undefined && found.length === 1) return pod;
  const problem =
    pod === undefined ? "no pod of this host is" : `${counted(found.length, "pod", "pods")} of this host are`;
  throw new HopsackError(
    "NO_SUCH_POD",
    `${problem} called ${name}; hopsack policy show lists them with their addresses`,
  );
}

function shownPods({ policies }: PolicySet, pods: readonly Pod[]): ShownPod[] {
  return pods.map((pod) => {
    const { network, containerId, ifName, addresses, labels } = pod;
    const names = DIRECTIONS.flatMap((direction) => policiesOf(pod, policies, direction)).map(({ name }) => name);
    return { network, containerId, ifName, addresses, labels, policies: [...new Set(names)] };
  });
}

function counted(count: number, one: string, many: string): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}
