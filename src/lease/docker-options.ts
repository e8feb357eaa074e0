// What Docker must be told to live on this host's lease: as flannel's mk-docker-opts.sh writes it, and as keys of daemon.json. Pure.
import { HopsackError, messageOf } from "../errors.js";
import { isJsonObject, type JsonObject } from "./json-object.js";

/** subnet.env as subnetEnvWords() reads it. */
type Words = ReadonlyMap<string, string>;

export interface DockerOptsChoice {
  /** One variable for each option. */
  readonly hasIndividual: boolean;
  /** One variable with all of them. */
  readonly hasCombined: boolean;
  readonly combinedKey: string;
  /** What that variable holds already; it stays in front. */
  readonly combinedBefore: string;
  readonly hasIpMasq: boolean;
}

/** The text of docker_opts.env. */
export function formatDockerOpts(words: Words, choice: DockerOptsChoice): string {
  const options: [name: string, value: string][] = [];
  const add = (name: string, flag: string, value: string | undefined): void => {
    if (value !== undefined) options.push([name, `--${flag}=${value}`]);
  };
  add("DOCKER_OPT_BIP", "bip", words.get("FLANNEL_SUBNET"));
  if (choice.hasIpMasq) add("DOCKER_OPT_IPMASQ", "ip-masq", dockerMasquerades(words)?.toString());
  add("DOCKER_OPT_MTU", "mtu", words.get("FLANNEL_MTU"));
  const lines = choice.hasIndividual ? options.map(([name, value]) => `${name}="${value}"`) : [];
  const combined = [choice.combinedBefore, ...options.map(([, value]) => value)].join(" ");
  if (choice.hasCombined) lines.push(`${choice.combinedKey}="${combined}"`);
  return lines.map((line) => `${line}\n`).join("");
}

/**
 * daemon.json with our keys, every other one as it was and where it was.
 * @param before the file's text, null when there is none
 * @throws BAD_CONFIG when it is no JSON object, or another key contradicts ours
 */
export function mergeDockerConfig(before: string | null, words: Words, path: string): string {
  const config = parseConfig(before, path);
  if (config.bridge !== undefined) {
    const problem = `${path} has "bridge": ${JSON.stringify(config.bridge)}, and Docker takes no bip beside it`;
    throw new HopsackError("BAD_CONFIG", `${problem}; remove bridge, or give that bridge the lease by hand`);
  }
  const ours = {
    bip: words.get("FLANNEL_SUBNET"),
    mtu: Number(words.get("FLANNEL_MTU")),
    "ip-masq": dockerMasquerades(words),
  };
  return `${JSON.stringify({ ...config, ...ours }, null, 2)}\n`;
}

/** Either Docker does it or the daemon does. */
function dockerMasquerades(words: Words): boolean | undefined {
  const daemonDoes = words.get("FLANNEL_IPMASQ");
  return daemonDoes === undefined ? undefined : daemonDoes !== "true";
}

function parseConfig(text: string | null, path: string): JsonObject {
  if (text === null || text.trim() === "") return {};
  let words = "it is no object";
  try {
    const parsed: unknown = JSON.parse(text);
    if (isJsonObject(parsed)) return parsed;
  } catch (error) {
    words = messageOf(error);
  }
  throw new HopsackError(
    "BAD_CONFIG",
    `${path} is no JSON that Docker can read (${words}); mend it, nothing was changed`,
  );
}
