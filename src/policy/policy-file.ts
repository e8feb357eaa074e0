// The file that `hopsack policy apply` reads: JSON, keys as they are written here and no others, since a rule that is overlooked
// opens or closes more than its author meant. Every mistake is told, not only the first.
import { HopsackError, messageOf } from "../errors.js";
import { isJsonObject, type JsonObject } from "../lease/json-object.js";
import { addressWidth, covers, type Prefix, parseAddress, parsePrefix, prefixOf } from "../net/prefix.js";
import { labelFault } from "./labels.js";
import type { Group, Policy, PolicySet, Protocol, Requirement, Rule, Selector, Traffic } from "./policy.js";

const NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;
/** Of a set of nftables with our prefix, which may have 255 bytes; Kubernetes' limit for a label. */
const NAME_LIMIT = 63;
const PROTOCOLS: readonly Protocol[] = ["tcp", "udp", "sctp", "icmp"];
const TRAFFIC = /^([a-z]+)(?:\/(\d{1,5})(?:-(\d{1,5}))?)?$/;
const PORT_LIMIT = 65_535;

/** @param source what the text is called in errors, e.g. its path @throws BAD_POLICY with a line for every mistake */
export function parsePolicySet(text: string, source: string): PolicySet {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new HopsackError("BAD_POLICY", `${source} is not valid JSON (${messageOf(cause)}); correct it`, { cause });
  }
  const reader = new PolicyReader(source);
  const set = reader.policySet(json);
  if (reader.faults.length > 0) throw new HopsackError("BAD_POLICY", reader.faults.join("\n"));
  return set;
}

/** Goes on after a mistake, with something in its place, to find the next. */
class PolicyReader {
  readonly faults: string[] = [];
  readonly #source: string;

  constructor(source: string) {
    this.#source = source;
  }

  policySet(json: unknown): PolicySet {
    const object = this.#object(json, "the file", ["groups", "policies"]);
    if (object !== json) return { groups: [], policies: [] };
    const groups = Object.entries(this.#object(object.groups ?? {}, "groups", null)).map(([name, group]) =>
      this.#group(name, group),
    );
    const known = new Set(groups.map(({ name }) => name));
    const policies = this.#list(object.policies, "policies", "of policies").map((policy, index) =>
      this.#policy(policy, `policies[${index}]`, known),
    );
    const names = policies.map(({ name }) => name);
    for (const name of new Set(names.filter((name, index) => name !== "" && names.indexOf(name) < index))) {
      this.#fault(`policy ${name}`, "is there twice", "give every policy a name of its own");
    }
    return { groups, policies };
  }

  #group(name: string, json: unknown): Group {
    const where = `group ${JSON.stringify(name)}`;
    this.#checkName(name, where);
    const { pods, addresses } = this.#object(json, where, ["pods", "addresses"]);
    if (pods === undefined && addresses === undefined) {
      this.#fault(where, "has nobody in it", 'add "pods", "addresses" or both');
    }
    const prefixes = addresses === undefined ? [] : this.#list(addresses, `${where}: addresses`, "of addresses");
    return {
      name,
      pods: pods === undefined ? [] : [this.#selector(pods, `${where}: pods`)],
      prefixes: withoutCovered(prefixes.flatMap((text) => this.#prefix(text, where))),
    };
  }

  #policy(json: unknown, place: string, groups: ReadonlySet<string>): Policy {
    const object = this.#object(json, place, ["name", "pods", "ingress", "egress"]);
    const name = typeof object.name === "string" ? object.name : "";
    const where = name === "" ? place : `policy ${name}`;
    this.#checkName(object.name, where);
    if (object.pods === undefined) this.#fault(where, "selects no pods", 'add "pods": {"role": "db"}, or {} for all');
    if (object.ingress === undefined && object.egress === undefined) {
      this.#fault(where, "has neither ingress nor egress", 'add "ingress": [] to refuse everything that comes in');
    }
    const rules = (key: "ingress" | "egress", end: "from" | "to"): Rule[] | null => {
      if (object[key] === undefined) return null;
      const list = this.#list(object[key], `${where}: ${key}`, "of rules");
      return list.map((rule, index) => this.#rule(rule, `${where}: ${key}[${index}]`, end, groups));
    };
    return {
      name,
      pods: this.#selector(object.pods ?? {}, `${where}: pods`),
      ingress: rules("ingress", "from"),
      egress: rules("egress", "to"),
    };
  }

  #rule(json: unknown, where: string, end: "from" | "to", known: ReadonlySet<string>): Rule {
    const object = this.#object(json, where, [end, "allow"]);
    const names = this.#listOrAll(object[end], `${where}: ${end}`, "everybody");
    const traffic = this.#listOrAll(object.allow, `${where}: allow`, "everything");
    for (const name of names ?? []) {
      if (typeof name === "string" && known.has(name)) continue;
      this.#fault(`${where}: ${end} ${JSON.stringify(name)}`, "is no group of this file", "add it to groups");
    }
    return {
      groups: names === null ? null : names.map(String),
      traffic: traffic === null ? null : traffic.flatMap((text) => this.#traffic(text, `${where}: allow`)),
    };
  }

  #traffic(text: unknown, where: string): Traffic[] {
    const [, word, first, last = first] = (typeof text === "string" ? TRAFFIC.exec(text) : null) ?? [];
    const protocol = PROTOCOLS.find((known) => known === word);
    const at = `${where} ${JSON.stringify(text)}`;
    if (protocol === undefined || (protocol === "icmp" && first !== undefined)) {
      this.#fault(at, "is no traffic", 'write "tcp/443", "udp/8000-8100", "sctp", "icmp" or the like');
      return [];
    }
    if (first === undefined) return [{ protocol, ports: null }];
    const ports = { first: Number(first), last: Number(last) };
    if (ports.first >= 1 && ports.first <= ports.last && ports.last <= PORT_LIMIT) return [{ protocol, ports }];
    this.#fault(at, "has no such ports", `give a port from 1 to ${PORT_LIMIT}, or a range, the smaller one first`);
    return [];
  }

  #selector(json: unknown, where: string): Selector {
    return Object.entries(this.#object(json, where, null)).flatMap(([key, value]) =>
      this.#requirement(key, value, where),
    );
  }

  #requirement(key: string, value: unknown, where: string): Requirement[] {
    if (typeof value === "boolean") {
      this.#checkLabel(key, "", where);
      return [{ key, operator: value ? "exists" : "absent" }];
    }
    const isNegated = isJsonObject(value);
    const wanted = isNegated ? value.not : value;
    if (wanted === undefined) {
      this.#fault(
        `${where}: ${key}`,
        `is ${shown(value)}`,
        'write "web", ["web", "app"], true, false or {"not": "web"}',
      );
      return [];
    }
    if (isNegated) this.#object(value, `${where}: ${key}`, ["not"]);
    const values = Array.isArray(wanted) ? wanted : [wanted];
    if (values.length === 0) this.#fault(`${where}: ${key}`, "is an empty list", "name a value, or write true for any");
    for (const one of values) this.#checkLabel(key, one, where);
    return [{ key, operator: isNegated ? "not-in" : "in", values: values.map(String) }];
  }

  #checkLabel(key: string, value: unknown, where: string): void {
    const fault = labelFault(key, value);
    if (fault !== null) this.faults.push(`${this.#source}: ${where}: ${fault}`);
  }

  #prefix(text: unknown, where: string): Prefix[] {
    const address = typeof text === "string" ? parseAddress(text) : undefined;
    const prefix = address ? prefixOf(address, addressWidth(address.family)) : parsePrefix(String(text));
    if (prefix !== undefined) return [prefix];
    const cure = 'write "10.1.2.3", "10.1.0.0/16" or the like, without host bits';
    this.#fault(`${where}: addresses ${JSON.stringify(text)}`, "is neither address nor subnet", cure);
    return [];
  }

  #checkName(name: unknown, where: string): void {
    if (typeof name === "string" && NAME.test(name) && name.length <= NAME_LIMIT) return;
    const given = name === undefined ? "no name" : `the name ${JSON.stringify(name)}`;
    const rule = `at most ${NAME_LIMIT} small letters, digits, "-" and ".", a letter or digit first and last`;
    this.#fault(where, `has ${given}`, `give ${rule}`);
  }

  /** @param keys what it may have; null: anything */
  #object(json: unknown, where: string, keys: readonly string[] | null): JsonObject {
    if (!isJsonObject(json)) {
      this.#fault(where, `is ${shown(json)}, no object`, "write it in braces");
      return {};
    }
    for (const key of Object.keys(json).filter((key) => keys !== null && !keys.includes(key))) {
      this.#fault(where, `has an unknown key ${JSON.stringify(key)}`, `known are ${keys?.join(", ")}`);
    }
    return json;
  }

  #list(json: unknown, where: string, ofWhat: string): readonly unknown[] {
    if (Array.isArray(json)) return json;
    this.#fault(where, `is ${shown(json)}, no list`, `write a list ${ofWhat}`);
    return [];
  }

  /** An empty list is refused: it could be meant as nobody and as everybody. */
  #listOrAll(json: unknown, where: string, all: string): readonly unknown[] | null {
    if (json === undefined) return null;
    const list = this.#list(json, where, "of names");
    if (Array.isArray(json) && list.length === 0) this.#fault(where, "is an empty list", `leave it away for ${all}`);
    return list;
  }

  #fault(where: string, problem: string, cure: string): void {
    this.faults.push(`${this.#source}: ${where} ${problem}; ${cure}`);
  }
}

function shown(json: unknown): string {
  return json === undefined ? "missing" : JSON.stringify(json);
}

/** A set of nftables wants ranges that do not overlap. */
function withoutCovered(prefixes: readonly Prefix[]): Prefix[] {
  const isCovered = (prefix: Prefix, index: number): boolean =>
    prefixes.some(
      (other, place) => place !== index && covers(other, prefix) && (!covers(prefix, other) || place < index),
    );
  return prefixes.filter((prefix, index) => !isCovered(prefix, index));
}
