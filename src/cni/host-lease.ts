// What this host may give to its pods: the lease as subnet.env tells it, by flannel's rules for reading it.
import { readFileSync } from "node:fs";
import { errnoOf, messageOf } from "../errors.js";
import { subnetEnvWords } from "../lease/subnet-env.js";
import {
  formatAddress,
  type IpFamily,
  type Prefix,
  parseInterfaceAddress,
  parsePrefix,
  prefixOf,
} from "../net/prefix.js";
import { CniCode, CniError } from "./cni-error.js";

export interface HostLease {
  /** Of both families: what pods reach through the overlay. */
  readonly networks: readonly Prefix[];
  readonly subnet: Prefix;
  readonly subnetV6: Prefix | null;
  readonly mtuBytes: number;
  /** The daemon masquerades, so nobody else has to. */
  readonly hasMasquerade: boolean;
}

/** @throws CniError tryAgainLater while the file is not there, badConfig when it cannot be used */
export function readHostLease(path: string): HostLease {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const isMissing = errnoOf(error) === "ENOENT";
    const cure = isMissing ? "hopsackd writes it when it has a lease; start it, or set subnetFile" : messageOf(error);
    throw new CniError(
      isMissing ? CniCode.tryAgainLater : CniCode.ioFailure,
      `the lease file ${path} ${isMissing ? "is not there" : "cannot be read"}; ${cure}`,
    );
  }
  return parseHostLease(text, path);
}

/** @throws CniError badConfig naming the line */
export function parseHostLease(text: string, path: string): HostLease {
  const words = subnetEnvWords(text);
  const take = <T>(key: string, parse: (value: string) => T | undefined): T => {
    const value = words.get(key);
    const parsed = value === undefined ? undefined : parse(value);
    if (parsed !== undefined) return parsed;
    const problem = value === undefined ? `has no ${key}` : `has ${key}=${value}, which cannot be used`;
    throw new CniError(CniCode.badConfig, `the lease file ${path} ${problem}; hopsackd writes it anew when it starts`);
  };
  const hasV6 = words.has("FLANNEL_IPV6_SUBNET");
  return {
    networks: [
      ...take("FLANNEL_NETWORK", networksOf(4)),
      ...(hasV6 ? take("FLANNEL_IPV6_NETWORK", networksOf(6)) : []),
    ],
    subnet: take("FLANNEL_SUBNET", subnetOf(4)),
    subnetV6: hasV6 ? take("FLANNEL_IPV6_SUBNET", subnetOf(6)) : null,
    mtuBytes: take("FLANNEL_MTU", (value) => (/^[1-9][0-9]{0,4}$/.test(value) ? Number(value) : undefined)),
    hasMasquerade: take("FLANNEL_IPMASQ", (value) => ({ true: true, false: false })[value]),
  };
}

/** The bridge's address, and the one a pod must not get. */
export function firstAddress(subnet: Prefix): string {
  return formatAddress(subnet.family, subnet.base + 1n);
}

/** flannel writes several networks with commas, and repeats some. */
function networksOf(family: IpFamily): (value: string) => Prefix[] | undefined {
  return (value) => {
    const prefixes = [...new Set(value.split(","))].map((text) => parsePrefix(text.trim()));
    const good = prefixes.filter((prefix) => prefix?.family === family).filter((prefix) => prefix !== undefined);
    return good.length === prefixes.length ? good : undefined;
  };
}

function subnetOf(family: IpFamily): (value: string) => Prefix | undefined {
  return (value) => {
    const parsed = parseInterfaceAddress(value);
    return parsed?.family === family ? prefixOf(parsed, parsed.length) : undefined;
  };
}
