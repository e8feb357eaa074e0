// Ethernet addresses: six octets ⇄ text with colons, lower case when written.

const OCTETS = 6;
const MAC_PATTERN = /^[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}$/;

/** The six octets, or undefined when `text` is not six hex octets joined by colons. */
export function parseMac(text: string): Uint8Array | undefined {
  if (!MAC_PATTERN.test(text)) return undefined;
  const octets = new Uint8Array(OCTETS);
  for (let index = 0; index < OCTETS; index++)
    octets[index] = Number.parseInt(text.slice(3 * index, 3 * index + 2), 16);
  return octets;
}

/** Whether six octets can be one host's address: neither multicast nor all zero. */
export function isUnicastMac(octets: Uint8Array): boolean {
  return ((octets[0] ?? 0) & 1) === 0 && octets.some((octet) => octet !== 0);
}

/** `02:00:5e:10:00:ff` */
export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}
