// Addresses and prefixes of both families as numbers: parse, format, compare. Everything above net/ uses these, so that
// text is parsed once, at the border.
import { formatIpv4, parseIpv4 } from "./ipv4.js";
import { formatIpv6, parseIpv6 } from "./ipv6.js";

export type IpFamily = 4 | 6;

/** A range of addresses; `base` has no bits beyond `length`. */
export interface Prefix {
  readonly family: IpFamily;
  readonly base: bigint;
  readonly length: number;
}

export interface Address {
  readonly family: IpFamily;
  readonly bits: bigint;
}

const LENGTH = /^(0|[1-9][0-9]{0,2})$/;

/** Bits of an address: 32 or 128. */
export function addressWidth(family: IpFamily): number {
  return family === 4 ? 32 : 128;
}

export function parseAddress(text: string): Address | undefined {
  const v4 = parseIpv4(text);
  if (v4 !== undefined) return { family: 4, bits: BigInt(v4) };
  const v6 = parseIpv6(text);
  return v6 === undefined ? undefined : { family: 6, bits: v6 };
}

export function formatAddress(family: IpFamily, bits: bigint): string {
  return family === 4 ? formatIpv4(Number(bits)) : formatIpv6(bits);
}

/** `10.244.1.1/24` as address and length, host bits allowed; undefined when it is neither family's notation. */
export function parseInterfaceAddress(text: string): (Address & { readonly length: number }) | undefined {
  const slash = text.indexOf("/");
  const address = parseAddress(text.slice(0, Math.max(slash, 0)));
  const lengthText = text.slice(slash + 1);
  if (address === undefined || !LENGTH.test(lengthText)) return undefined;
  const length = Number(lengthText);
  return length > addressWidth(address.family) ? undefined : { ...address, length };
}

/** A prefix whose host bits are all zero, or undefined. */
export function parsePrefix(text: string): Prefix | undefined {
  const parsed = parseInterfaceAddress(text);
  if (parsed === undefined) return undefined;
  const prefix = prefixOf(parsed, parsed.length);
  return prefix.base === parsed.bits ? prefix : undefined;
}

/** Plans name the same thousands of prefixes again and again; each is written once. */
const writtenPrefixes = new WeakMap<Prefix, string>();

export function formatPrefix(prefix: Prefix): string {
  const known = writtenPrefixes.get(prefix);
  if (known !== undefined) return known;
  const text = `${formatAddress(prefix.family, prefix.base)}/${prefix.length}`;
  writtenPrefixes.set(prefix, text);
  return text;
}

/** The prefix of `length` bits that holds the address. */
export function prefixOf(address: Address, length: number): Prefix {
  const hostBits = BigInt(addressWidth(address.family) - length);
  return { family: address.family, base: (address.bits >> hostBits) << hostBits, length };
}

/** How many addresses the prefix holds. */
export function prefixSize(prefix: Prefix): bigint {
  return 1n << BigInt(addressWidth(prefix.family) - prefix.length);
}

/** Whether an address (of the prefix's own family) lies inside. */
export function contains(prefix: Prefix, bits: bigint): boolean {
  const hostBits = BigInt(addressWidth(prefix.family) - prefix.length);
  return bits >> hostBits === prefix.base >> hostBits;
}

/** Whether every address of `inner` lies in `outer`. */
export function covers(outer: Prefix, inner: Prefix): boolean {
  return outer.family === inner.family && outer.length <= inner.length && contains(outer, inner.base);
}

export function overlaps(a: Prefix, b: Prefix): boolean {
  return covers(a, b) || covers(b, a);
}

/** 4 or 16 bytes in network order. @throws TypeError when `text` is no address: callers pass canonical text. */
export function addressBytes(text: string): Uint8Array {
  const address = parseAddress(text);
  if (address === undefined) throw new TypeError(`not an IP address: ${JSON.stringify(text)}`);
  const bytes = new Uint8Array(addressWidth(address.family) / 8);
  let rest = address.bits;
  for (let index = bytes.length - 1; index >= 0; index--) {
    bytes[index] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}
