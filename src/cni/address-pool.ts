// Which pod has which address of the host's lease. An address that was never used goes first, then the one released longest
// ago, so that nobody meets the successor of a pod it knew. Pure; address-book.ts keeps it on disk.
import { HopsackError } from "../errors.js";
import { contains, formatAddress, formatPrefix, type Prefix, parseAddress, prefixSize } from "../net/prefix.js";
import type { HostLease } from "./host-lease.js";
import type { Attachment } from "./request.js";

/** The same place in both subnets, so that one list of released addresses does for both. */
export interface PodAddresses {
  readonly v4: string;
  readonly v6: string | null;
}

export interface AddressPool {
  /** By attachmentKey(). */
  readonly held: Readonly<Record<string, PodAddresses>>;
  /** IPv4 addresses in the order of their release, with the second (Unix time) of it. */
  readonly released: readonly (readonly [address: string, atSeconds: number])[];
}

export interface Reservation {
  readonly pool: AddressPool;
  readonly addresses: PodAddresses;
}

/** What the choice depends on. */
export interface PoolRules {
  readonly lease: Pick<HostLease, "subnet" | "subnetV6">;
  readonly nowSeconds: number;
  readonly coolDownSeconds: number;
}

export const EMPTY_POOL: AddressPool = { held: {}, released: [] };

/** Base and gateway. */
const FIRST_OFFSET = 2n;

/** A container's ID has no colon. */
export function attachmentKey({ containerId, ifName }: Attachment): string {
  return `${containerId}:${ifName}`;
}

/**
 * @param wanted an IPv4 address that the pod must have; null: any
 * @throws ALREADY_ATTACHED, ADDRESS_REFUSED for a wanted one that is not to be had, NETWORK_FULL (retryable while addresses cool down)
 */
export function reserve(pool: AddressPool, key: string, wanted: string | null, rules: PoolRules): Reservation {
  if (pool.held[key] !== undefined) {
    throw new HopsackError("ALREADY_ATTACHED", `${key} is attached already; DEL it before it is added again`);
  }
  const v4 = wanted === null ? nextAddress(pool, rules) : checkWanted(pool, wanted, rules.lease.subnet);
  const addresses = { v4, v6: twin(v4, rules.lease) };
  const released = pool.released.filter(([address]) => address !== v4 && isInside(rules.lease.subnet, address));
  return { pool: { held: { ...pool.held, [key]: addresses }, released }, addresses };
}

/** Nothing changes when the attachment is not known. */
export function release(pool: AddressPool, key: string, nowSeconds: number): AddressPool {
  const { [key]: gone, ...held } = pool.held;
  return gone === undefined ? pool : { held, released: [...pool.released, [gone.v4, nowSeconds]] };
}

/** Addresses that a pod could get now. */
export function freeCount(pool: AddressPool, rules: PoolRules): number {
  const { subnet } = rules.lease;
  const usable = prefixSize(subnet) - FIRST_OFFSET - 1n;
  const inUse = heldAddresses(pool).filter((address) => isInside(subnet, address)).length;
  return (
    Number(usable) -
    inUse -
    pool.released.filter((entry) => isInside(subnet, entry[0]) && isCooling(entry, rules)).length
  );
}

function nextAddress(pool: AddressPool, rules: PoolRules): string {
  const { subnet } = rules.lease;
  const known = new Set([...heldAddresses(pool), ...pool.released.map(([address]) => address)]);
  for (let offset = FIRST_OFFSET; offset < prefixSize(subnet) - 1n; offset++) {
    const address = formatAddress(4, subnet.base + offset);
    if (!known.has(address)) return address;
  }
  const [oldest] = pool.released.filter(([address]) => isInside(subnet, address));
  if (oldest === undefined) {
    const problem = `every address of the lease ${formatPrefix(subnet)} belongs to a pod`;
    throw new HopsackError("NETWORK_FULL", `${problem}; remove some, or give this host a larger subnet`);
  }
  if (!isCooling(oldest, rules)) return oldest[0];
  const seconds = oldest[1] + rules.coolDownSeconds - rules.nowSeconds;
  const problem = `the free addresses of the lease ${formatPrefix(subnet)} were released a moment ago`;
  const cure = `the first can be used in ${seconds} s (coolDownSeconds)`;
  throw new HopsackError("NETWORK_FULL", `${problem}; ${cure}`, { retryable: true });
}

/** A clock that was set back must not keep an address away for longer than the cool-down. */
function isCooling([, atSeconds]: readonly [string, number], { nowSeconds, coolDownSeconds }: PoolRules): boolean {
  return atSeconds <= nowSeconds && nowSeconds < atSeconds + coolDownSeconds;
}

function checkWanted(pool: AddressPool, wanted: string, subnet: Prefix): string {
  const refuse = (why: string): HopsackError =>
    new HopsackError(
      "ADDRESS_REFUSED",
      `the address ${wanted} that was asked for ${why}; ask for another one, or for none`,
    );
  const bits = parseAddress(wanted)?.bits;
  if (bits === undefined || !isInside(subnet, wanted)) throw refuse(`is not one of the lease ${formatPrefix(subnet)}`);
  const offset = bits - subnet.base;
  if (offset < FIRST_OFFSET || offset === prefixSize(subnet) - 1n) throw refuse("is not for a pod");
  if (heldAddresses(pool).includes(wanted)) throw refuse("belongs to another pod");
  return wanted;
}

function twin(v4: string, { subnet, subnetV6 }: PoolRules["lease"]): string | null {
  if (subnetV6 === null) return null;
  const offset = (parseAddress(v4)?.bits ?? 0n) - subnet.base;
  if (offset < prefixSize(subnetV6)) return formatAddress(6, subnetV6.base + offset);
  throw new HopsackError("NETWORK_FULL", `the IPv6 lease ${formatPrefix(subnetV6)} is smaller than the IPv4 one`);
}

function heldAddresses({ held }: AddressPool): string[] {
  return Object.values(held).map(({ v4 }) => v4);
}

function isInside(subnet: Prefix, text: string): boolean {
  const address = parseAddress(text);
  return address?.family === subnet.family && contains(subnet, address.bits);
}
