// IPv6 addresses: strict text (RFC 4291 section 2.2, no zone) ⇄ 128-bit number; written as RFC 5952 says.
import { formatIpv4, parseIpv4 } from "./ipv4.js";

const GROUPS = 8;
const HEX_GROUP = /^[0-9a-fA-F]{1,4}$/;

/** The address as a 128-bit number, or undefined when `text` is not an IPv6 address; zones (`%eth0`) are refused. */
export function parseIpv6(text: string): bigint | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? "", halves.length === 1);
  const tail = parseGroups(halves[1] ?? "", true);
  if (head === undefined || tail === undefined) return undefined;
  const missing = GROUPS - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...Array<number>(missing).fill(0), ...tail];
  return groups.reduce((bits, group) => (bits << 16n) | BigInt(group), 0n);
}

/** 16-bit groups of one side of `::`; only the end of an address may be written as a dotted quad. */
function parseGroups(text: string, isEnd: boolean): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (HEX_GROUP.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const quad = isEnd && index === parts.length - 1 ? parseIpv4(part) : undefined;
    if (quad === undefined) return undefined;
    groups.push(quad >>> 16, quad & 0xffff);
  }
  return groups;
}

/** RFC 5952: lower case, the longest run of two or more zero groups as `::`, IPv4-mapped addresses with a dotted quad. */
export function formatIpv6(bits: bigint): string {
  if (bits >> 32n === 0xffffn) return `::ffff:${formatIpv4(Number(bits & 0xffffffffn))}`;
  const groups = Array.from({ length: GROUPS }, (_, index) => Number((bits >> BigInt(16 * (7 - index))) & 0xffffn));
  const { start, length } = longestZeroRun(groups);
  const hex = groups.map((group) => group.toString(16));
  if (length < 2) return hex.join(":");
  return `${hex.slice(0, start).join(":")}::${hex.slice(start + length).join(":")}`;
}

/** Whether other hosts can send to it: neither unspecified, loopback, link-local nor multicast, and no IPv4 address. */
export function isHostIpv6(text: string): boolean {
  const bits = parseIpv6(text);
  if (bits === undefined || bits >> 32n === 0n || bits >> 32n === 0xffffn) return false;
  return bits >> 118n !== 0xfe80n >> 6n && bits >> 120n !== 0xffn;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (const [index, group] of groups.entries()) {
    if (group !== 0) start = index + 1;
    else if (index + 1 - start > best.length) best = { start, length: index + 1 - start };
  }
  return best;
}
