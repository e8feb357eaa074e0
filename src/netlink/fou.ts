// The kernel's FOU ports (linux/fou.h): UDP ports whose datagrams go on as packets of an IP protocol, without their UDP header. Pure.
// `ip fou` shows them. They have no name and no owner.
import { addressBytes } from "../net/prefix.js";
import { encodeCommand, encodeGenericDump, parseGeneric } from "./generic.js";
import { readAddress } from "./ip.js";
import { AddressFamily, type Attribute, readU16BigEndian, readU32, u16BigEndian } from "./message.js";

export const FOU_FAMILY = "fou";

/** What tells one port from another: the kernel has no two with the same of these. */
export interface FouKey {
  readonly port: number;
  /** Of this host, IPv4; null = all of them. */
  readonly localAddress: string | null;
}

export interface FouPort extends FouKey {
  /** IP protocol of what is inside; 4 = IPv4. */
  readonly protocol: number;
  /** Bare packets (not GUE) over IPv4, from any sender and by any link. */
  readonly isPlain: boolean;
}

const VERSION = 1;
const FOU_CMD = { add: 1, remove: 2, get: 3 };
const FOU_ATTR = { port: 1, family: 2, protocol: 3, type: 4, localV4: 6, peerV4: 8, linkIndex: 11 };
const FOU_ENCAP_DIRECT = 1;
const NO_ADDRESS = "0.0.0.0";

export function encodeFouDump(sequence: number, family: number): Uint8Array {
  return encodeGenericDump(sequence, { family, command: FOU_CMD.get, version: VERSION });
}

/** A plain port. Fails with EADDRINUSE where the UDP port is taken, by whomever. */
export function encodeFouAdd(sequence: number, family: number, port: FouPort): Uint8Array {
  return encodeCommand(sequence, { family, command: FOU_CMD.add, version: VERSION }, [
    ...keyAttributes(port),
    { type: FOU_ATTR.protocol, value: Uint8Array.of(port.protocol) },
    { type: FOU_ATTR.type, value: Uint8Array.of(FOU_ENCAP_DIRECT) },
  ]);
}

/** Fails with EINVAL when there is no such port. */
export function encodeFouRemoval(sequence: number, family: number, key: FouKey): Uint8Array {
  return encodeCommand(sequence, { family, command: FOU_CMD.remove, version: VERSION }, keyAttributes(key));
}

export function parseFouPort(payload: Uint8Array): FouPort | undefined {
  const attributes = parseGeneric(payload);
  const port = readU16BigEndian(attributes?.get(FOU_ATTR.port));
  if (attributes === undefined || port === undefined) return undefined;
  const byteOf = (type: number): number => attributes.get(type)?.[0] ?? 0;
  const addressOf = (type: number): string | null => {
    const address = readAddress(4, attributes.get(type)) ?? NO_ADDRESS;
    return address === NO_ADDRESS ? null : address;
  };
  return {
    port,
    localAddress: addressOf(FOU_ATTR.localV4),
    protocol: byteOf(FOU_ATTR.protocol),
    isPlain:
      byteOf(FOU_ATTR.type) === FOU_ENCAP_DIRECT &&
      byteOf(FOU_ATTR.family) === AddressFamily.inet &&
      addressOf(FOU_ATTR.peerV4) === null &&
      (readU32(attributes.get(FOU_ATTR.linkIndex)) ?? 0) === 0,
  };
}

function keyAttributes({ port, localAddress }: FouKey): Attribute[] {
  return [
    { type: FOU_ATTR.port, value: u16BigEndian(port) },
    { type: FOU_ATTR.family, value: Uint8Array.of(AddressFamily.inet) },
    ...(localAddress === null ? [] : [{ type: FOU_ATTR.localV4, value: addressBytes(localAddress) }]),
  ];
}
