// flannel's keys and values in etcd as leases: `<prefix>/config`, `<prefix>/subnets/10.55.30.0-24`. Pure.
import { createHash, randomBytes } from "node:crypto";
import { HopsackError, printable } from "../errors.js";
import { type Lease, type LeaseAttrs, leaseKey } from "../lease/lease.js";
import { parseLeaseAttrs } from "../lease/lease-json.js";
import type { SubnetPair } from "../lease/subnet-allocator.js";
import { type KeyValue, NO_LEASE } from "./etcd-client.js";
import { parseLeaseKey } from "./keys.js";
import { UNNAMED_NODE } from "./lease-rules.js";

/** One key under `<prefix>/subnets/`: a lease, or what is wrong with it. */
export type EtcdEntry =
  | { readonly keyValue: KeyValue; readonly pair: SubnetPair; readonly lease: Lease; readonly fault: null }
  | { readonly keyValue: KeyValue; readonly pair: SubnetPair | null; readonly lease: null; readonly fault: string };

export function configKey(prefix: string): string {
  return `${prefix}/config`;
}

export function subnetsFolder(prefix: string): string {
  return `${prefix}/subnets/`;
}

export function entryKey(prefix: string, pair: SubnetPair): string {
  return `${subnetsFolder(prefix)}${leaseKey(pair)}`;
}

export function readEntry(keyValue: KeyValue, prefix: string): EtcdEntry {
  const pair = parseLeaseKey(keyValue.key.slice(subnetsFolder(prefix).length)) ?? null;
  if (pair === null) {
    return {
      keyValue,
      pair,
      lease: null,
      fault: `etcd key ${printable(keyValue.key)} is not named after a subnet; remove it`,
    };
  }
  try {
    const attrs = parseLeaseAttrs(keyValue.value, `etcd key ${keyValue.key}`);
    return { keyValue, pair, lease: { ...pair, attrs, expiresAt: expiryOf(keyValue) }, fault: null };
  } catch (error) {
    if (!(error instanceof HopsackError)) throw error;
    return { keyValue, pair, lease: null, fault: error.message };
  }
}

/** Only etcd knows when; asking for each lease would be one call a lease. */
function expiryOf({ leaseId }: KeyValue): Lease["expiresAt"] {
  return leaseId === NO_LEASE ? null : "unknown";
}

// An ID of an etcd lease is ours to choose, 63 bits. flannel's JSON has no room for the node's name, so the ID tells
// whether a lease is this host's:   21 bits that say "hopsack" | 20 bits of SHA-256 of the node's name | 21 bits by chance
const MARK = 0x1a0b5cn;
const NODE_BITS = 20n;
const CHANCE_BITS = 21n;

/** A new ID for a lease of `node`. */
export function newLeaseId(node: string): string {
  const chance = BigInt(`0x${randomBytes(8).toString("hex")}`) & ((1n << CHANCE_BITS) - 1n);
  return String((((MARK << NODE_BITS) | nodeBits(node)) << CHANCE_BITS) | chance);
}

/** Whose lease an ID is: this node's, another hopsack host's, or one that does not say (flannel's, a reservation). */
export function holderOf(leaseId: string, node: string): "own" | "other" | "unknown" {
  const rest = BigInt(leaseId) >> CHANCE_BITS;
  if (rest >> NODE_BITS !== MARK) return "unknown";
  return (rest & ((1n << NODE_BITS) - 1n)) === nodeBits(node) ? "own" : "other";
}

function nodeBits(node: string): bigint {
  const digest = createHash("sha256").update(node).digest();
  return BigInt(digest.readUIntBE(0, 3)) >> (24n - NODE_BITS);
}

/** The lease with the node that its etcd lease tells, for the rules of who may have it. */
export function withNode(lease: Lease, { leaseId }: KeyValue, node: string): Lease {
  const holder = holderOf(leaseId, node);
  if (holder === "unknown") return lease;
  const attrs: LeaseAttrs = { ...lease.attrs, node: holder === "own" ? node : UNNAMED_NODE };
  return { ...lease, attrs };
}
