// The Hosts of a static lease file: parse and check, so that two hosts never share a subnet or an address by a slip of
// the pen. Every fault names the entries it is about.
import { HopsackError, messageOf } from "../errors.js";
import { field, isJsonObject, type JsonObject } from "../lease/json-object.js";
import type { LeaseAttrs } from "../lease/lease.js";
import { leaseAttrsOf } from "../lease/lease-json.js";
import type { NetworkConfig } from "../lease/network-config.js";
import type { SubnetPair } from "../lease/subnet-allocator.js";
import { covers, formatPrefix, type IpFamily, overlaps, type Prefix, parsePrefix } from "../net/prefix.js";

export interface StaticHost extends SubnetPair {
  readonly attrs: LeaseAttrs;
  /** null: the entry names no BackendType. */
  readonly backendType: string | null;
}

/** A subnet must hold a bridge and a pod. */
const LONGEST_LENGTH: Readonly<Record<IpFamily, number>> = { 4: 30, 6: 126 };

interface NamedHost extends StaticHost {
  /** How errors call the entry: `Hosts[2] ("h3")`. */
  readonly name: string;
}

/** @throws BAD_CONFIG for the list as a whole, BAD_LEASE for an entry's attributes */
export function parseStaticHosts(text: string, source: string, config: NetworkConfig): StaticHost[] {
  const hosts: NamedHost[] = [];
  for (const [index, entry] of hostEntries(text, source).entries()) {
    const host = parseHost(entry, index, source, config);
    const rival = hosts.map((other) => conflict(other, host)).find((problem) => problem !== null);
    if (rival !== undefined) throw fault(source, rival, "give each host its own");
    hosts.push(host);
  }
  return hosts;
}

function hostEntries(text: string, source: string): unknown[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw fault(source, `not valid JSON (${messageOf(error)})`, "correct it");
  }
  const entries = isJsonObject(value) ? field(value, "Hosts") : undefined;
  if (Array.isArray(entries)) return entries;
  const example = '{"Node": "h1", "PublicIP": "192.168.50.10", "Subnet": "10.244.1.0/24"}';
  throw fault(source, "Hosts is not a list", `write "Hosts": [${example}, …]`);
}

function parseHost(entry: unknown, index: number, source: string, config: NetworkConfig): NamedHost {
  if (!isJsonObject(entry)) throw fault(source, `Hosts[${index}] is not an object`, "correct or remove it");
  const node = field(entry, "Node");
  const name = typeof node === "string" ? `Hosts[${index}] (${JSON.stringify(node)})` : `Hosts[${index}]`;
  const attrs = leaseAttrsOf(entry, `${source}: ${name}`);
  const subnet = subnetOf(entry, "Subnet", config.network, source, name);
  if (subnet === null) throw fault(source, `${name} has no Subnet`, 'add one, e.g. "Subnet": "10.244.1.0/24"');
  return {
    name,
    attrs,
    subnet,
    subnetV6: subnetOf(entry, "IPv6Subnet", config.networkV6, source, name),
    backendType: typeof field(entry, "BackendType") === "string" ? attrs.backendType : null,
  };
}

function subnetOf(entry: JsonObject, key: string, network: Prefix | null, source: string, name: string): Prefix | null {
  const text = field(entry, key) ?? null;
  if (text === null) return null;
  const shown = `${name}: ${key} ${JSON.stringify(text)}`;
  if (network === null) throw fault(source, `${shown}, but the network has no IPv6`, "set EnableIPv6 and IPv6Network");
  const subnet = typeof text === "string" ? parsePrefix(text) : undefined;
  if (subnet === undefined || subnet.family !== network.family || subnet.length > LONGEST_LENGTH[network.family]) {
    const problem = `${shown} is not an IPv${network.family} subnet of at most /${LONGEST_LENGTH[network.family]} without host bits`;
    throw fault(source, problem, "correct it");
  }
  if (covers(network, subnet)) return subnet;
  throw fault(source, `${shown} lies outside the network ${formatPrefix(network)}`, "choose a subnet inside");
}

/** What two entries have in common that they must not, or null. */
function conflict(a: NamedHost, b: NamedHost): string | null {
  const both = `${a.name} and ${b.name}`;
  if (a.attrs.publicIp === b.attrs.publicIp) return `${both} have the same PublicIP ${a.attrs.publicIp}`;
  for (const [left, right] of [
    [a.subnet, b.subnet],
    [a.subnetV6, b.subnetV6],
  ] as const) {
    if (left !== null && right !== null && overlaps(left, right)) {
      return `${both} overlap: ${formatPrefix(left)} and ${formatPrefix(right)}`;
    }
  }
  return null;
}

function fault(source: string, problem: string, cure: string): HopsackError {
  return new HopsackError("BAD_CONFIG", `${source}: ${problem}; ${cure}`);
}
