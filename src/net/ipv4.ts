// IPv4 addresses: strict text ⇄ unsigned 32-bit number. Strict, because `010.0.0.1`, `10.1` and `0x7f.1` mean different
// hosts to different programs.

const OCTET = "(0|[1-9][0-9]{0,2})";
const DOTTED_QUAD = new RegExp(`^${OCTET}\\.${OCTET}\\.${OCTET}\\.${OCTET}$`);

/** The address as an unsigned 32-bit number, or undefined when `text` is not a plain dotted quad. */
export function parseIpv4(text: string): number | undefined {
  const octets = DOTTED_QUAD.exec(text)?.slice(1).map(Number);
  if (octets === undefined || octets.some((octet) => octet > 255)) return undefined;
  return octets.reduce((bits, octet) => bits * 256 + octet, 0);
}

/** Dotted quad of an unsigned 32-bit number. */
export function formatIpv4(bits: number): string {
  return [bits >>> 24, bits >>> 16, bits >>> 8, bits].map((part) => part & 0xff).join(".");
}
