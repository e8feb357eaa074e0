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

/** IP in IP (RFC 2003), 192.168.50.10 → .11, its 20 bytes in front of the whole packet. */
export const IPIP_PING = Uint8Array.from([
  ...bytes("4500 0038 0000 4000 3f04 565c c0a8 320a c0a8 320b"),
  ...INNER_PING,
]);

/** The ping in VXLAN of VNI 1, 192.168.50.10 → .11, UDP 52896 → 8472 without checksum. */
export const VXLAN_PING = Uint8Array.from([
  ...bytes("4500 0056 0001 0000 4011 9530 c0a8 320a c0a8 320b"),
  ...bytes("cea0 2118 0042 0000 0800 0000 0000 0100"),
  ...bytes("6aba e353 8046 0e77 a1ad 0e3b 0800"),
  ...INNER_PING,
]);

/** Who has 10.244.2.0? Tell 10.244.1.0. */
export const ARP_QUESTION = bytes("0001 0800 0604 0001 0e77 a1ad 0e3b 0af4 0100 0000 0000 0000 0af4 0200");
