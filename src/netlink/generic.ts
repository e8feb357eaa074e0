// Generic netlink: kernel families (like "fou") whose message types are numbers given at run time, asked for by name. Pure. The frame is
// message.ts's; the fixed struct behind it (genlmsghdr) is a command and a version.
import {
  type Attribute,
  type Attributes,
  encodeMessage,
  MessageFlag,
  parseAttributes,
  readU16,
  text,
} from "./message.js";

export const NETLINK_GENERIC = 16;

/** linux/genetlink.h: the family that knows the others. */
const CONTROL = { family: 16, version: 1, getFamily: 3, familyId: 1, familyName: 2 };
/** genlmsghdr: u8 command, u8 version, u16 reserved. */
const BODY_BYTES = 4;

export interface GenericCommand {
  /** Number of the family. */
  readonly family: number;
  readonly command: number;
  readonly version: number;
}

/** A command that is acknowledged. */
export function encodeCommand(sequence: number, command: GenericCommand, attributes: readonly Attribute[]): Uint8Array {
  return encodeGeneric(sequence, MessageFlag.request | MessageFlag.ack, command, attributes);
}

/** A command that lists all there is. The acknowledgement is asked for as well: by the type alone nobody sees here that it is a dump. */
export function encodeGenericDump(sequence: number, command: GenericCommand): Uint8Array {
  return encodeGeneric(sequence, MessageFlag.request | MessageFlag.ack | MessageFlag.dump, command, []);
}

/** Asks for the number of a family; ENOENT when there is none. The kernel may load the module that has it. */
export function encodeFamilyQuery(sequence: number, name: string): Uint8Array {
  const { family, version, getFamily: command, familyName } = CONTROL;
  return encodeCommand(sequence, { family, command, version }, [{ type: familyName, value: text(name) }]);
}

export function parseFamily(payload: Uint8Array): number | undefined {
  return readU16(parseGeneric(payload)?.get(CONTROL.familyId));
}

export function parseGeneric(payload: Uint8Array): Attributes | undefined {
  return payload.length < BODY_BYTES ? undefined : parseAttributes(payload.subarray(BODY_BYTES));
}

function encodeGeneric(
  sequence: number,
  flags: number,
  { family, command, version }: GenericCommand,
  attributes: readonly Attribute[],
): Uint8Array {
  return encodeMessage({ type: family, flags, sequence }, Uint8Array.of(command, version, 0, 0), attributes);
}
