// RTM_*ADDR messages (linux/if_addr.h) ⇄ InterfaceAddress. Pure.
import type { IpFamily } from "../net/prefix.js";
import { addressAndLength, familyNumber, familyOf, readAddress } from "./ip.js";
import { encodeMessage, LITTLE_ENDIAN, MessageFlag, MessageType, parseAttributes, readU32, viewOf } from "./message.js";

/** An address of this host on one of its links. */
export interface InterfaceAddress {
  readonly linkIndex: number;
  readonly family: IpFamily;
  /** Canonical text without length. */
  readonly address: string;
  readonly prefixLength: number;
  /** RouteScope. */
  readonly scope: number;
  /** Set by hand or by a program, not by DHCP or router advertisements with a lifetime. */
  readonly isPermanent: boolean;
  readonly isDeprecated: boolean;
  /** An IPv6 privacy address (RFC 8981), which is replaced by another one every day. */
  readonly isTemporary: boolean;
  /** Duplicate address detection is under way, or has failed. */
  readonly isTentative: boolean;
}

/** rtnetlink's scopes, of addresses and routes alike. */
export const RouteScope = { universe: 0, link: 253, host: 254, nowhere: 255 } as const;

const IFA = { address: 1, local: 2, flags: 8 };
const IFA_F = { temporary: 0x01, noDad: 0x02, dadFailed: 0x08, deprecated: 0x20, tentative: 0x40, permanent: 0x80 };

/** ifaddrmsg: family, prefix length, flags, scope, u32 link index. */
const BODY_BYTES = 8;

/** A dump of all addresses of both families. */
export function encodeAddressDump(sequence: number): Uint8Array {
  const flags = MessageFlag.request | MessageFlag.dump;
  return encodeMessage({ type: MessageType.getAddress, flags, sequence }, new Uint8Array(BODY_BYTES), []);
}

/**
 * @param address with prefix length: `10.244.1.0/32`
 * @param scope RouteScope: how far away the address may be known; the kernel chooses no narrower one as a source for others
 */
export function encodeAddressAdd(
  sequence: number,
  linkIndex: number,
  address: string,
  scope: number = RouteScope.universe,
): Uint8Array {
  const flags = MessageFlag.request | MessageFlag.ack | MessageFlag.create | MessageFlag.replace;
  return encodeAddress({ type: MessageType.newAddress, flags, sequence }, linkIndex, address, scope);
}

export function encodeAddressRemoval(sequence: number, linkIndex: number, address: string): Uint8Array {
  const flags = MessageFlag.request | MessageFlag.ack;
  return encodeAddress({ type: MessageType.delAddress, flags, sequence }, linkIndex, address, RouteScope.universe);
}

function encodeAddress(
  head: Parameters<typeof encodeMessage>[0],
  linkIndex: number,
  text: string,
  scope: number,
): Uint8Array {
  const { family, bytes, length } = addressAndLength(text);
  const body = new Uint8Array(BODY_BYTES);
  const view = viewOf(body);
  view.setUint8(0, familyNumber(family));
  view.setUint8(1, length);
  // Nobody else is on our device: duplicate address detection would only keep the address from being used for a second.
  view.setUint8(2, family === 6 ? IFA_F.noDad : 0);
  view.setUint8(3, scope);
  view.setUint32(4, linkIndex, LITTLE_ENDIAN);
  const attributes = [IFA.local, IFA.address].map((type) => ({ type, value: bytes }));
  return encodeMessage(head, body, attributes);
}

/** The payload of an RTM_NEWADDR or RTM_DELADDR; undefined when it is not of an IP address. */
export function parseInterfaceAddressMessage(payload: Uint8Array): InterfaceAddress | undefined {
  if (payload.length < BODY_BYTES) return undefined;
  const view = viewOf(payload);
  const family = familyOf(view.getUint8(0));
  if (family === undefined) return undefined;
  const attributes = parseAttributes(payload.subarray(BODY_BYTES));
  // On a point-to-point link IFA_ADDRESS is the peer's address, and IFA_LOCAL the own one.
  const address = readAddress(family, attributes.get(IFA.local) ?? attributes.get(IFA.address));
  if (address === undefined) return undefined;
  const flags = readU32(attributes.get(IFA.flags)) ?? view.getUint8(2);
  return {
    linkIndex: view.getUint32(4, LITTLE_ENDIAN),
    family,
    address,
    prefixLength: view.getUint8(1),
    scope: view.getUint8(3),
    isPermanent: (flags & IFA_F.permanent) !== 0,
    isDeprecated: (flags & IFA_F.deprecated) !== 0,
    isTemporary: family === 6 && (flags & IFA_F.temporary) !== 0, // of an IPv4 address the same bit says: secondary
    isTentative: (flags & (IFA_F.tentative | IFA_F.dadFailed)) !== 0,
  };
}
