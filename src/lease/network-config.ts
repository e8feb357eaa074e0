// The network configuration: flannel's JSON with flannel's derived defaults. Every store reads it through here. Keys
// that flannel knows and we do not use (EnableNFTables …), and unknown ones, are ignored as flannel ignores them.
import { HopsackError, messageOf } from "../errors.js";
import {
  type Address,
  addressWidth,
  contains,
  formatAddress,
  formatPrefix,
  type IpFamily,
  type Prefix,
  parseAddress,
  parseInterfaceAddress,
  prefixOf,
  prefixSize,
} from "../net/prefix.js";
import { field, isJsonObject, type JsonObject } from "./json-object.js";

export interface NetworkConfig {
  readonly network: Prefix;
  readonly subnetLen: number;
  /** First and last subnet that may be leased. */
  readonly subnetMin: Prefix;
  readonly subnetMax: Prefix;
  /** The IPv6 part; all four null without EnableIPv6. */
  readonly networkV6: Prefix | null;
  readonly subnetLenV6: number | null;
  readonly subnetMinV6: Prefix | null;
  readonly subnetMaxV6: Prefix | null;
  readonly backend: {
    /** Lower case; empty when Backend has no Type. */
    readonly type: string;
    /** The Backend object without Type; look keys up with `field`. */
    readonly options: Readonly<Record<string, unknown>>;
  };
}

/** What differs between the two families; the numbers are flannel's. */
interface FamilyRules {
  readonly family: IpFamily;
  readonly keys: { readonly network: string; readonly len: string; readonly min: string; readonly max: string };
  readonly preferredLen: number;
  readonly longestLen: number;
  readonly example: string;
}

const IPV4: FamilyRules = {
  family: 4,
  keys: { network: "Network", len: "SubnetLen", min: "SubnetMin", max: "SubnetMax" },
  preferredLen: 24,
  longestLen: 30,
  example: "10.244.0.0/16",
};

const IPV6: FamilyRules = {
  family: 6,
  keys: { network: "IPv6Network", len: "IPv6SubnetLen", min: "IPv6SubnetMin", max: "IPv6SubnetMax" },
  preferredLen: 64,
  longestLen: 126,
  example: "fd00:244::/48",
};

/** The Network holds at least four subnets, because the first one is not leased: two more bits. */
const SPARE_BITS = 2;

/**
 * Reads and checks a whole configuration.
 * @param source what the text is called in errors, e.g. its path
 * @throws BAD_CONFIG naming source, key, value and cure
 */
export function parseNetworkConfig(text: string, source: string): NetworkConfig {
  const json = new ConfigReader(parseObject(text, source), source);
  if (!json.boolean("EnableIPv4", true)) {
    throw json.fault("EnableIPv4", "a network without IPv4 is not supported", "remove the key or set it to true");
  }
  const v4 = json.range(IPV4);
  const v6 = json.boolean("EnableIPv6", false) ? json.range(IPV6) : null;
  return {
    network: v4.network,
    subnetLen: v4.min.length,
    subnetMin: v4.min,
    subnetMax: v4.max,
    networkV6: v6?.network ?? null,
    subnetLenV6: v6?.min.length ?? null,
    subnetMinV6: v6?.min ?? null,
    subnetMaxV6: v6?.max ?? null,
    backend: json.backend(),
  };
}

/** The configuration as JSON that parseNetworkConfig() reads back to the same. */
export function formatNetworkConfig(config: NetworkConfig): string {
  const address = ({ family, base }: Prefix): string => formatAddress(family, base);
  const { network, subnetMin, subnetMax, networkV6, subnetMinV6, subnetMaxV6 } = config;
  const hasV6 = networkV6 !== null && subnetMinV6 !== null && subnetMaxV6 !== null;
  const object = {
    Network: formatPrefix(network),
    SubnetLen: config.subnetLen,
    SubnetMin: address(subnetMin),
    SubnetMax: address(subnetMax),
    ...(hasV6 && {
      EnableIPv6: true,
      IPv6Network: formatPrefix(networkV6),
      IPv6SubnetLen: config.subnetLenV6,
      IPv6SubnetMin: address(subnetMinV6),
      IPv6SubnetMax: address(subnetMaxV6),
    }),
    Backend: { Type: config.backend.type, ...config.backend.options },
  };
  return `${JSON.stringify(object, null, 2)}\n`;
}

export function networksOf({ network, networkV6 }: NetworkConfig): Prefix[] {
  return networkV6 === null ? [network] : [network, networkV6];
}

function parseObject(text: string, source: string): JsonObject {
  const cure = `write at least {"Network": "${IPV4.example}"}`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new HopsackError("BAD_CONFIG", `${source} is not valid JSON (${messageOf(error)}); ${cure}`, {
      cause: error,
    });
  }
  if (!isJsonObject(value)) throw new HopsackError("BAD_CONFIG", `${source} is not a JSON object; ${cure}`);
  return value;
}

/** Typed access to the keys of one configuration; every fault names the source, the key and the value. */
class ConfigReader {
  readonly #object: JsonObject;
  readonly #source: string;

  constructor(object: JsonObject, source: string) {
    this.#object = object;
    this.#source = source;
  }

  fault(key: string, problem: string, cure: string): HopsackError {
    const value = field(this.#object, key);
    const shown = value === undefined ? key : `${key} ${JSON.stringify(value)}`;
    return new HopsackError("BAD_CONFIG", `${this.#source}: ${shown}: ${problem}; ${cure}`);
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = field(this.#object, key) ?? fallback;
    if (typeof value !== "boolean") throw this.fault(key, "not a boolean", "write true or false");
    return value;
  }

  /** Network, first and last subnet of one family. */
  range(rules: FamilyRules): { network: Prefix; min: Prefix; max: Prefix } {
    const network = this.#network(rules);
    const length = this.#subnetLen(rules, network);
    const size = 1n << BigInt(addressWidth(rules.family) - length);
    const first = { family: rules.family, base: network.base + size, length };
    const last = { family: rules.family, base: network.base + prefixSize(network) - size, length };
    const min = this.#bound(rules, rules.keys.min, network, length) ?? first;
    const max = this.#bound(rules, rules.keys.max, network, length) ?? last;
    if (min.base > max.base) {
      const problem = `no subnet lies between it and ${rules.keys.max} ${formatAddress(max.family, max.base)}`;
      throw this.fault(rules.keys.min, problem, "exchange or remove them");
    }
    return { network, min, max };
  }

  backend(): NetworkConfig["backend"] {
    const backend = field(this.#object, "Backend");
    if (backend === undefined) return { type: "udp", options: {} };
    if (!isJsonObject(backend)) throw this.fault("Backend", "not an object", 'write {"Type": "udp"}');
    const type = field(backend, "Type") ?? "";
    if (typeof type !== "string") throw this.fault("Backend", "Type is not a string", 'write {"Type": "udp"}');
    const options = Object.entries(backend).filter(([key]) => key.toLowerCase() !== "type");
    return { type: type.toLowerCase(), options: Object.fromEntries(options) };
  }

  #network({ family, keys, preferredLen, longestLen, example }: FamilyRules): Prefix {
    const text = field(this.#object, keys.network);
    if (text === undefined || text === null) throw this.fault(keys.network, "missing", `add e.g. "${example}"`);
    const parsed = typeof text === "string" ? parseInterfaceAddress(text) : undefined;
    if (parsed === undefined || parsed.family !== family) {
      throw this.fault(keys.network, `not an IPv${family} network`, `write e.g. "${example}"`);
    }
    const network = prefixOf(parsed, parsed.length);
    if (network.base !== parsed.bits) {
      throw this.fault(keys.network, "host bits are set", `write "${formatPrefix(network)}"`);
    }
    if (network.length > longestLen - SPARE_BITS) {
      const problem = `too small to hold four subnets of /${longestLen}`;
      throw this.fault(
        keys.network,
        problem,
        `use a /${longestLen - SPARE_BITS} or larger, best a /${preferredLen - 8}`,
      );
    }
    if (network.length === 0) throw this.fault(keys.network, "the whole internet", `write e.g. "${example}"`);
    return network;
  }

  #subnetLen({ keys, preferredLen, longestLen }: FamilyRules, network: Prefix): number {
    const given = field(this.#object, keys.len) ?? 0;
    const shortest = network.length + SPARE_BITS;
    const cure = `use a length from ${shortest} to ${longestLen}, or remove the key`;
    if (typeof given !== "number" || !Number.isInteger(given) || given < 0) {
      throw this.fault(keys.len, "not a prefix length", cure);
    }
    if (given === 0) return Math.max(preferredLen, shortest);
    if (given > longestLen) throw this.fault(keys.len, "such subnets are too small for a host's pods", cure);
    if (given < shortest) {
      throw this.fault(keys.len, `${keys.network} ${formatPrefix(network)} does not hold four such subnets`, cure);
    }
    return given;
  }

  /** SubnetMin or SubnetMax; null when absent. flannel takes the zero address for absent too. */
  #bound({ family }: FamilyRules, key: string, network: Prefix, length: number): Prefix | null {
    const text = field(this.#object, key);
    if (text === undefined || text === null) return null;
    const cure = `write the first address of a /${length} inside ${formatPrefix(network)}`;
    const address: Address | undefined = typeof text === "string" ? parseAddress(text) : undefined;
    if (address === undefined || address.family !== family) throw this.fault(key, `not an IPv${family} address`, cure);
    if (address.bits === 0n) return null;
    if (!contains(network, address.bits)) throw this.fault(key, "outside the network", cure);
    const subnet = prefixOf(address, length);
    if (subnet.base !== address.bits) {
      throw this.fault(key, `not on a /${length} boundary`, `write "${formatAddress(family, subnet.base)}"`);
    }
    return subnet;
  }
}
