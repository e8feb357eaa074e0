// Addresses as they stand in attributes (4 or 16 bytes, network order) ⇄ the canonical text that plans are made of.
import { addressBytes, addressWidth, formatAddress, type IpFamily, parseInterfaceAddress } from "../net/prefix.js";
import { AddressFamily } from "./message.js";

export interface AddressAndLength {
  readonly family: IpFamily;
  readonly bytes: Uint8Array;
  readonly length: number;
}

export function familyOf(addressFamily: number | undefined): IpFamily | undefined {
  if (addressFamily === AddressFamily.inet) return 4;
  return addressFamily === AddressFamily.inet6 ? 6 : undefined;
}

export function familyNumber(family: IpFamily): number {
  return family === 4 ? AddressFamily.inet : AddressFamily.inet6;
}

/** undefined when the bytes are not an address of that family. */
export function readAddress(family: IpFamily, bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined || bytes.length !== addressWidth(family) / 8) return undefined;
  if (family === 4) return bytes.join("."); // the way of every address of a thousand peers
  return formatAddress(
    family,
    bytes.reduce((bits, byte) => (bits << 8n) | BigInt(byte), 0n),
  );
}

/** `10.244.1.1/24` in the parts of a message. @throws TypeError for text that is not that: callers have canonical text. */
export function addressAndLength(text: string): AddressAndLength {
  const address = parseInterfaceAddress(text);
  if (address === undefined) throw new TypeError(`not an address with prefix length: ${JSON.stringify(text)}`);
  const { family, bits, length } = address;
  return { family, bytes: addressBytes(formatAddress(family, bits)), length };
}
