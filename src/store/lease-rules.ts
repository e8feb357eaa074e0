// Who may have which lease: the rules of acquire, renew, release and reserve, the same in every store that gives out subnets. Pure;
// the store makes reading, deciding and writing one step (a lock, a transaction).
import { HopsackError } from "../errors.js";
import { type Lease, type LeaseAttrs, leaseKey, type TimedLease } from "../lease/lease.js";
import {
  allocateSubnet,
  fitsConfig,
  pairsOverlap,
  type RandomBelow,
  type SubnetPair,
} from "../lease/subnet-allocator.js";
import { formatPrefix } from "../net/prefix.js";
import type { AcquireRequest, Reservation } from "./lease-store.js";

/** What a store holds at one moment. */
export interface StoredLeases {
  /** What the store is called in errors. */
  readonly description: string;
  /** Expired ones included. */
  readonly leases: readonly Lease[];
  /** Subnets of entries that cannot be read: taken, by whom nobody knows. */
  readonly unreadable: readonly SubnetPair[];
}

export interface LeaseTerms {
  readonly nowMs: number;
  readonly ttlMs: number;
  readonly randomBelow?: RandomBelow;
}

export interface AcquireDecision {
  /** To be written over whatever its key holds. */
  readonly lease: TimedLease;
  /**
   * Under other keys; to be removed with the same step or after it, never before: who watches is not to see a host that moves without
   * a lease. Expired ones, and leases of this host that no longer fit the configuration.
   */
  readonly remove: readonly Lease[];
}

/** Stands for the node of a hopsack host that is not this one, where the store does not keep its name. */
export const UNNAMED_NODE = "(another hopsack host)";
/** How many holders a NETWORK_FULL error names. */
const NAMED_HOLDERS_LIMIT = 20;

export function isLive(lease: Lease, nowMs: number): boolean {
  return typeof lease.expiresAt !== "number" || lease.expiresAt > nowMs;
}

/** @throws PUBLIC_IP_TAKEN, NETWORK_FULL */
export function decideAcquire(request: AcquireRequest, stored: StoredLeases, terms: LeaseTerms): AcquireDecision {
  const { config, attrs } = request;
  const live = stored.leases.filter((lease) => isLive(lease, terms.nowMs));
  const expired = stored.leases.filter((lease) => !isLive(lease, terms.nowMs));
  const mine = live.filter((lease) => lease.attrs.publicIp === attrs.publicIp);
  const rival = mine.find((lease) => lease.attrs.node !== null && lease.attrs.node !== attrs.node);
  if (rival !== undefined) throw publicIpTaken(rival, stored.description);

  const fitting = mine.filter((lease) => fitsConfig(config, lease));
  const reused = fitting.find((lease) => lease.expiresAt === null) ?? fitting[0];
  const dropped = mine.filter((lease) => lease !== reused && lease.expiresAt !== null);
  const remove = [...expired, ...dropped];
  if (reused !== undefined) {
    return { lease: { ...reused, attrs, expiresAt: nextExpiry(reused, terms) }, remove };
  }
  const taken = [...live.filter((lease) => !dropped.includes(lease)), ...stored.unreadable];
  const chosen = reclaimed(request, taken) ?? allocateSubnet(config, taken, terms.randomBelow);
  if (chosen === null) throw networkFull(request, stored, live);
  const { subnet, subnetV6 } = chosen;
  const lease = { subnet, subnetV6, attrs, expiresAt: terms.nowMs + terms.ttlMs };
  return { lease, remove: remove.filter((gone) => leaseKey(gone) !== leaseKey(lease)) };
}

/** The renewed lease with `attrs`; `stored` is what the store holds under the key of the lease we hold. @throws LEASE_LOST */
export function decideRenew(held: Lease, attrs: LeaseAttrs, stored: Lease | undefined, terms: LeaseTerms): TimedLease {
  if (stored === undefined) throw leaseLost(held, "is no longer in the store");
  if (!isSameHolder(held, stored)) throw leaseLost(held, `belongs to ${describeHolder(stored)} now`);
  if (!isLive(stored, terms.nowMs)) throw leaseLost(held, "has expired");
  return { ...held, attrs, expiresAt: nextExpiry(stored, terms) };
}

export function leaseLost(held: Lease, why: string): HopsackError {
  return new HopsackError("LEASE_LOST", `the lease of ${describeSubnets(held)} ${why}; acquire a subnet again`);
}

/**
 * What stays in the store when `lease` is given back: null for nothing, the bare reservation, or undefined when the stored
 * lease is not ours to change.
 */
export function decideRelease<L extends Lease>(lease: Lease, stored: L | undefined): L | null | undefined {
  if (stored === undefined || !isSameHolder(lease, stored)) return undefined;
  if (stored.expiresAt !== null) return null;
  return { ...stored, attrs: { ...stored.attrs, node: null, backendData: null, backendV6Data: null } };
}

/**
 * The reservation as it is to be written, over whatever its key holds: the public IP's own lease of these subnets made
 * permanent, or a new entry. @throws SUBNET_TAKEN
 */
export function decideReserve(reservation: Reservation, stored: StoredLeases, nowMs: number): TimedLease {
  const live = stored.leases.filter((lease) => isLive(lease, nowMs));
  const isOwn = (lease: Lease): boolean =>
    leaseKey(lease) === leaseKey(reservation) && lease.attrs.publicIp === reservation.attrs.publicIp;
  const rival = live.find((lease) => !isOwn(lease) && pairsOverlap(lease, reservation));
  if (rival !== undefined) throw subnetTaken(reservation, rival, describeHolder(rival), stored.description);
  const unreadable = stored.unreadable.find((pair) => pairsOverlap(pair, reservation));
  if (unreadable !== undefined) throw subnetTaken(reservation, unreadable, "an unreadable entry", stored.description);
  return { ...reservation, ...live.find(isOwn), expiresAt: null };
}

/** A lease without a node was written by flannel or by hand: its public IP alone says whose it is. */
function isSameHolder(lease: Lease, stored: Lease): boolean {
  if (lease.attrs.publicIp !== stored.attrs.publicIp) return false;
  return stored.attrs.node === null || stored.attrs.node === lease.attrs.node;
}

function nextExpiry(stored: Lease, terms: LeaseTerms): number | null {
  return stored.expiresAt === null ? null : terms.nowMs + terms.ttlMs;
}

function reclaimed({ config, previous }: AcquireRequest, taken: readonly SubnetPair[]): SubnetPair | null {
  if (previous === null || !fitsConfig(config, previous)) return null;
  return taken.some((pair) => pairsOverlap(pair, previous)) ? null : previous;
}

function publicIpTaken(rival: Lease, description: string): HopsackError {
  const until = expiryWords(rival);
  const holder = rival.attrs.node === UNNAMED_NODE ? "another hopsack host" : `host ${rival.attrs.node}`;
  return new HopsackError(
    "PUBLIC_IP_TAKEN",
    `public IP ${rival.attrs.publicIp} belongs to ${holder}, which holds ${describeSubnets(rival)} ${until}; ` +
      `give this host another address with --public-ip or --iface, or, if that host is gone or renamed, remove lease ${leaseKey(rival)} from ${description}`,
  );
}

function subnetTaken(wanted: Reservation, held: SubnetPair, holder: string, description: string): HopsackError {
  const isSame = leaseKey(wanted) === leaseKey(held);
  const overlap = isSame ? `belongs to ${holder}` : `overlaps ${describeSubnets(held)} of ${holder}`;
  const cure = `choose another subnet, or remove lease ${leaseKey(held)} from ${description} first`;
  return new HopsackError("SUBNET_TAKEN", `${describeSubnets(wanted)} ${overlap}; ${cure}`);
}

function expiryWords({ expiresAt }: Lease): string {
  if (expiresAt === null) return "as a reservation";
  return expiresAt === "unknown" ? "for now" : `until ${new Date(expiresAt).toISOString()}`;
}

function networkFull({ config }: AcquireRequest, stored: StoredLeases, live: readonly Lease[]): HopsackError {
  const holders = [
    ...live.map((lease) => `${describeSubnets(lease)} by ${describeHolder(lease)}`),
    ...stored.unreadable.map((pair) => `${describeSubnets(pair)} by an unreadable entry`),
  ];
  const named = holders.slice(0, NAMED_HOLDERS_LIMIT).join(", ");
  const more = holders.length > NAMED_HOLDERS_LIMIT ? `, and ${holders.length - NAMED_HOLDERS_LIMIT} more` : "";
  const ranges = [range(config.subnetMin, config.subnetMax)];
  if (config.subnetMinV6 !== null && config.subnetMaxV6 !== null) {
    ranges.push(range(config.subnetMinV6, config.subnetMaxV6));
  }
  return new HopsackError(
    "NETWORK_FULL",
    `no subnet is free in ${ranges.join(" with ")}: taken ${named}${more}; ` +
      `remove leases of hosts that are gone from ${stored.description}, or enlarge the network`,
    { retryable: true },
  );
}

function range(min: SubnetPair["subnet"], max: SubnetPair["subnet"]): string {
  return `${formatPrefix(min)} … ${formatPrefix(max)}`;
}

/** `10.244.1.0/24`, dual stack `10.244.1.0/24 and fd00::/64`. */
export function describeSubnets({ subnet, subnetV6 }: SubnetPair): string {
  return subnetV6 === null ? formatPrefix(subnet) : `${formatPrefix(subnet)} and ${formatPrefix(subnetV6)}`;
}

/** `h1 (192.168.50.10)`, or the address alone. */
export function describeHolder({ attrs }: Lease): string {
  return attrs.node === null || attrs.node === UNNAMED_NODE ? attrs.publicIp : `${attrs.node} (${attrs.publicIp})`;
}
