// Chooses a free subnet: uniformly at random among all that are free, so that hosts starting together rarely meet.
// Works on the gaps between taken ranges, never on single candidates: an IPv6 network has 2^60 of them. Pure.
import { randomBytes } from "node:crypto";
import { overlaps, type Prefix, prefixSize } from "../net/prefix.js";
import type { Lease } from "./lease.js";
import type { NetworkConfig } from "./network-config.js";

/** What one host holds: an IPv4 subnet and, in dual-stack networks, an IPv6 one. */
export type SubnetPair = Pick<Lease, "subnet" | "subnetV6">;

/** A random number from 0 to `limit` − 1. */
export type RandomBelow = (limit: bigint) => bigint;

/** Inclusive range of subnet numbers, counted from the smallest subnet. */
interface Range {
  readonly first: bigint;
  readonly last: bigint;
}

/** A subnet (pair) of `config` that overlaps nothing in `taken`, or null when one of the families is full. */
export function allocateSubnet(
  config: NetworkConfig,
  taken: readonly SubnetPair[],
  randomBelow: RandomBelow = cryptoRandomBelow,
): SubnetPair | null {
  const takenV4 = taken.map((pair) => pair.subnet);
  const subnet = pickFree(config.subnetMin, config.subnetMax, takenV4, randomBelow);
  if (subnet === null) return null;
  if (config.subnetMinV6 === null || config.subnetMaxV6 === null) return { subnet, subnetV6: null };
  const takenV6 = taken.flatMap((pair) => (pair.subnetV6 === null ? [] : [pair.subnetV6]));
  const subnetV6 = pickFree(config.subnetMinV6, config.subnetMaxV6, takenV6, randomBelow);
  return subnetV6 === null ? null : { subnet, subnetV6 };
}

/** Whether a lease of these subnets may be used under `config`: right lengths, inside the leasable range. */
export function fitsConfig(config: NetworkConfig, pair: SubnetPair): boolean {
  if (!isBetween(config.subnetMin, config.subnetMax, pair.subnet)) return false;
  if (config.subnetMinV6 === null || config.subnetMaxV6 === null) return pair.subnetV6 === null;
  return pair.subnetV6 !== null && isBetween(config.subnetMinV6, config.subnetMaxV6, pair.subnetV6);
}

/** Whether the two share an address in either family. */
export function pairsOverlap(a: SubnetPair, b: SubnetPair): boolean {
  if (overlaps(a.subnet, b.subnet)) return true;
  return a.subnetV6 !== null && b.subnetV6 !== null && overlaps(a.subnetV6, b.subnetV6);
}

/** For each of `pairs` that shares addresses with others: those others. Fast for the usual case, thousands and no overlap. */
export function overlappingPairs<P extends SubnetPair>(pairs: readonly P[]): Map<P, P[]> {
  const found = new Map<P, P[]>();
  const note = (a: P, b: P) => found.get(a)?.push(b) ?? found.set(a, [b]);
  for (const family of ["subnet", "subnetV6"] as const) {
    if (areAllApart(pairs, family)) continue;
    const parts = pairs.flatMap((pair) => (pair[family] === null ? [] : [{ pair, prefix: pair[family] }]));
    parts.sort((a, b) => compare(a.prefix.base, b.prefix.base) || a.prefix.length - b.prefix.length);
    const enclosing: typeof parts = []; // prefixes nest or are apart: a stack is enough
    for (const part of parts) {
      while (enclosing.length > 0 && !overlaps(enclosing.at(-1)?.prefix ?? part.prefix, part.prefix)) enclosing.pop();
      for (const { pair } of enclosing) {
        note(pair, part.pair);
        note(part.pair, pair);
      }
      enclosing.push(part);
    }
  }
  return found;
}

/** The usual case, and told quickly: prefixes of one length, none twice. */
function areAllApart(pairs: readonly SubnetPair[], family: keyof SubnetPair): boolean {
  const bases = new Set<bigint>();
  let commonLength: number | null = null;
  for (const { [family]: prefix } of pairs) {
    if (prefix === null) continue;
    commonLength ??= prefix.length;
    if (prefix.length !== commonLength || bases.has(prefix.base)) return false;
    bases.add(prefix.base);
  }
  return true;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function isBetween(min: Prefix, max: Prefix, subnet: Prefix): boolean {
  return (
    subnet.family === min.family && subnet.length === min.length && subnet.base >= min.base && subnet.base <= max.base
  );
}

function pickFree(min: Prefix, max: Prefix, taken: readonly Prefix[], randomBelow: RandomBelow): Prefix | null {
  const size = prefixSize(min);
  const count = (max.base - min.base) / size + 1n;
  const blocked = mergedRanges(min.base, size, count, taken);
  const free = blocked.reduce((left, range) => left - (range.last - range.first + 1n), count);
  if (free === 0n) return null;
  let number = randomBelow(free);
  for (const range of blocked) {
    if (number < range.first) break;
    number += range.last - range.first + 1n;
  }
  return { family: min.family, base: min.base + number * size, length: min.length };
}

/** The subnet numbers that `taken` blocks, sorted and without overlap; larger and smaller prefixes count too. */
function mergedRanges(base: bigint, size: bigint, count: bigint, taken: readonly Prefix[]): Range[] {
  const end = base + count * size;
  const ranges = taken
    .filter((prefix) => prefix.base < end && prefix.base + prefixSize(prefix) > base)
    .map((prefix) => {
      const lastAddress = prefix.base + prefixSize(prefix) - 1n;
      return {
        first: prefix.base <= base ? 0n : (prefix.base - base) / size,
        last: lastAddress >= end ? count - 1n : (lastAddress - base) / size,
      };
    })
    .sort((a, b) => compare(a.first, b.first));
  const merged: Range[] = [];
  for (const range of ranges) {
    const previous = merged.at(-1);
    if (previous === undefined || range.first > previous.last) merged.push(range);
    else if (range.last > previous.last) merged[merged.length - 1] = { first: previous.first, last: range.last };
  }
  return merged;
}

/** 64 bits more than an IPv6 address has, so that the remainder is even to any eye. */
const RANDOM_BYTES = 24;

function cryptoRandomBelow(limit: bigint): bigint {
  return BigInt(`0x${randomBytes(RANDOM_BYTES).toString("hex")}`) % limit;
}
