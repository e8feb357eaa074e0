// subnet.env, byte for byte as flannel writes it: flannel's CNI plugin and people's scripts read it, and we read it back
// to take the same subnet again.
import { mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { errnoOf, HopsackError, messageOf, printable } from "../errors.js";
import {
  formatAddress,
  formatPrefix,
  type IpFamily,
  type Prefix,
  parseInterfaceAddress,
  prefixOf,
} from "../net/prefix.js";
import { replaceFile } from "./replace-file.js";
import type { SubnetPair } from "./subnet-allocator.js";

export interface SubnetEnvValues extends SubnetPair {
  readonly network: Prefix;
  /** null exactly when `subnetV6` is. */
  readonly networkV6: Prefix | null;
  readonly mtuBytes: number;
  readonly ipMasq: boolean;
}

export interface SubnetEnvReading {
  /** The subnets this host had, null when there is no usable file. */
  readonly previous: SubnetPair | null;
  /** Why a file that is there cannot be used; one sentence for the log. */
  readonly fault: string | null;
}

const FOLDER_MODE = 0o755;
const FILE_MODE = 0o644;

export function formatSubnetEnv(values: SubnetEnvValues): string {
  const lines = [`FLANNEL_NETWORK=${formatPrefix(values.network)}`, `FLANNEL_SUBNET=${firstAddress(values.subnet)}`];
  if (values.networkV6 !== null && values.subnetV6 !== null) {
    lines.push(`FLANNEL_IPV6_NETWORK=${formatPrefix(values.networkV6)}`);
    lines.push(`FLANNEL_IPV6_SUBNET=${firstAddress(values.subnetV6)}`);
  }
  lines.push(`FLANNEL_MTU=${values.mtuBytes}`, `FLANNEL_IPMASQ=${values.ipMasq}`);
  return `${lines.join("\n")}\n`;
}

/** Replaces the file at once; makes its folder. @throws FILE_UNWRITABLE */
export async function writeSubnetEnv(path: string, values: SubnetEnvValues): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE });
    await replaceFile(path, formatSubnetEnv(values), FILE_MODE);
  } catch (error) {
    const cure = "make its folder writable or choose another file with --subnet-file";
    throw new HopsackError("FILE_UNWRITABLE", `${path} cannot be written (${messageOf(error)}); ${cure}`, {
      cause: error,
    });
  }
}

/** Reads the subnets back; never throws: without a usable file a host simply gets a new subnet. */
export async function readSubnetEnv(path: string): Promise<SubnetEnvReading> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return { previous: null, fault: null };
    return { previous: null, fault: `${path} cannot be read (${messageOf(error)})` };
  }
  return parseSubnetEnv(text, path);
}

/** Key → value, of every line that has both. */
export function subnetEnvWords(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const equals = line.indexOf("=");
    if (equals > 0) values.set(line.slice(0, equals).trim(), line.slice(equals + 1).trim());
  }
  return values;
}

/** The previous subnets out of the file's text. */
export function parseSubnetEnv(text: string, source: string): SubnetEnvReading {
  const values = subnetEnvWords(text);
  const refuse = (key: string): SubnetEnvReading => {
    const value = values.get(key);
    const problem =
      value === undefined ? `${key} is missing` : `${key}=${printable(value)} is not one address with a length`;
    return { previous: null, fault: `${source}: ${problem}` };
  };
  const subnet = subnetOf(values.get("FLANNEL_SUBNET"), 4);
  if (subnet === null) return refuse("FLANNEL_SUBNET");
  if (!values.has("FLANNEL_IPV6_SUBNET")) return { previous: { subnet, subnetV6: null }, fault: null };
  const subnetV6 = subnetOf(values.get("FLANNEL_IPV6_SUBNET"), 6);
  return subnetV6 === null ? refuse("FLANNEL_IPV6_SUBNET") : { previous: { subnet, subnetV6 }, fault: null };
}

function subnetOf(text: string | undefined, family: IpFamily): Prefix | null {
  const parsed = text === undefined ? undefined : parseInterfaceAddress(text);
  return parsed === undefined || parsed.family !== family ? null : prefixOf(parsed, parsed.length);
}

/** flannel writes the bridge's address, which is the one after the base. */
function firstAddress(subnet: Prefix): string {
  return `${formatAddress(subnet.family, subnet.base + 1n)}/${subnet.length}`;
}
