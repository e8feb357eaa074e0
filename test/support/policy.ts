// Pods with roles on a host, and who of them reaches whom.
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Test } from "tap";
import { addressesOf, type CniAnswer, type CniConfig, type CniHost, makePod } from "./cni.js";
import { Script } from "./flow.js";
import { type Host, hopsack, UNHOOKED } from "./hopsackd.js";
import { run } from "./netns.js";
import type { Place } from "./place.js";

const TALK = fileURLToPath(new URL("talk.mjs", import.meta.url));
const PORTS = ["5432", "8080"];
/** All that is tried between two pods, for each address. */
const TALKS = [...PORTS.flatMap((port) => [`tcp/${port}`, `udp/${port}`]), "icmp"];
/** Who had to be answered and was not, so often. */
const ASKED_AGAIN = 3;

export interface TalkingPod {
  /** Of its network namespace. */
  readonly name: string;
  readonly addresses: readonly string[];
}

export interface TestPod extends TalkingPod {
  readonly at: CniHost;
}

/** A pod that answers on all ports; its container has the namespace's name. */
export async function addPod(t: Test, at: CniHost, name: string, differences: CniConfig = {}): Promise<TestPod> {
  const netns = makePod(name);
  t.teardown(() => run(`ip netns delete ${name}`));
  const answer = await at.call({ verb: "ADD", containerId: name, ifName: "eth0", netns }, differences);
  t.equal(answer.status, 0, JSON.stringify(answer.json) + answer.stderr);
  await answering(t, name);
  return { name, at, addresses: addressesOf(answer.json) };
}

/** From now on the pod answers on all ports. */
export async function answering(t: Test, name: string): Promise<void> {
  const script = new Script(t, { name, address: "" }, process.execPath, TALK, "answer", ...PORTS);
  await script.ready();
}

export async function removePod({ name, at }: TestPod): Promise<CniAnswer> {
  return at.call({ verb: "DEL", containerId: name, ifName: "eth0", netns: `/run/netns/${name}` });
}

/**
 * `web app tcp/8080` for everything that is answered, between all pods, in every family: one word for all addresses alike. What of
 * `awaited` was not answered is asked again: a talk has a limit, and a slow machine may need longer for a hundred at once.
 */
export async function answered(pods: readonly TalkingPod[], awaited: readonly string[] = []): Promise<string[]> {
  const found = new Set(await askAll(pods, () => true));
  for (let again = 0; again < ASKED_AGAIN; again++) {
    const missing = new Set(awaited.filter((word) => !found.has(word)));
    if (missing.size === 0) break;
    for (const word of await askAll(pods, (word) => missing.has(word))) found.add(word);
  }
  return [...found].sort();
}

/** Who is answered, of all talks between the pods that are chosen. */
async function askAll(pods: readonly TalkingPod[], isChosen: (word: string) => boolean): Promise<string[]> {
  const found = await Promise.all(
    pods.map(async (from) => {
      const wordFor = (to: string, talk: string, address: string): string =>
        `${from.name} ${to} ${talk}${address.includes(":") ? " v6" : ""}`;
      const talks = pods
        .filter((to) => to !== from)
        .flatMap((to) => TALKS.flatMap((talk) => to.addresses.map((address) => ({ to: to.name, talk, address }))))
        .map((one) => ({ ...one, word: wordFor(one.to, one.talk, one.address) }))
        .filter(({ word }) => isChosen(word));
      if (talks.length === 0) return [];
      const asked = talks.map(({ talk, address }) => {
        const [protocol, port] = talk.split("/");
        return [protocol, address, Number(port ?? 0)];
      });
      const argv = ["netns", "exec", from.name, ...UNHOOKED, process.execPath, TALK, "ask", JSON.stringify(asked)];
      const { stdout } = await promisify(execFile)("ip", argv);
      const results: unknown = JSON.parse(stdout);
      const isAnswered = Array.isArray(results) ? results : [];
      return talks.filter((_, index) => isAnswered[index] === true).map(({ word }) => word);
    }),
  );
  return found.flat();
}

/** Everything that `may` allows, as answered() says it. */
export function expected(
  pods: readonly TalkingPod[],
  may: (from: string, to: string, talk: string) => boolean,
): string[] {
  const pairs = pods.flatMap((from) =>
    pods.filter((to) => to !== from).map((to) => ({ from: from.name, to: to.name })),
  );
  const talks = pairs.flatMap(({ from, to }) =>
    TALKS.filter((talk) => may(from, to, talk)).map((talk) => `${from} ${to} ${talk}`),
  );
  return talks.flatMap((talk) => [talk, `${talk} v6`]).sort();
}

/** `hopsack policy …` on the host, as its hopsackd is placed. */
export function policy(place: Place, host: Host, words: string): string {
  return hopsack(host, `policy ${words} --subnet-file ${place.subnetFile(host)}`);
}

/** Puts it in force; what `hopsack policy apply` says. */
export function applyPolicy(place: Place, host: Host, set: object): string {
  const path = join(place.folder, `${host.name}-given.json`);
  writeFileSync(path, JSON.stringify(set, null, 2));
  return policy(place, host, `apply ${path}`);
}

/** Our tables as nft lists them, without what was counted; empty when there are none. */
export function policyTables({ name }: Host): string {
  const listed = run(`ip netns exec ${name} nft -s list ruleset`);
  return [...listed.matchAll(/^table (?:inet|bridge) hopsack_policy \{\n.*?^\}/gms)].map(([text]) => text).join("\n");
}
