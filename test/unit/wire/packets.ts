// Packets for the tests of wire/: real bytes, and frames built from parts.

/** Bytes of hex text; blanks and line ends are ignored. */
export function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replace(/\s/g, ""), "hex"));
}

/** ICMP echo request 10.244.1.2 → 10.244.2.2, identifier 0x1234, sequence 1, payload "hopsack!"; checksums correct. */
export const INNER_PING = bytes(`
  4500 0024 1c46 4000 4001 05a8 0af4 0102 0af4 0202
  0800 4063 1234 0001 686f 7073 6163 6b21`);

/** The same on the underlay 192.168.50.10 → .11, UDP 8285 → 8285 without checksum. */
export const TUNNELLED_PING = Uint8Array.from([
  ...bytes("02aa 0000 0002 02aa 0000 0001 0800"),
  ...bytes("4500 0040 0001 4000 4011 5546 c0a8 320a c0a8 320b"),
  ...bytes("205d 205d 002c 0000"),
  ...INNER_PING,
]);
