// RTM_*QDISC and RTM_*TFILTER messages (linux/rtnetlink.h, linux/pkt_cls.h) for eBPF programs on a link's ways in and out: the
// queueing discipline `clsact`, which queues nothing, and the filters in it ⇄ Filter. Pure.
import {
  AddressFamily,
  type Attribute,
  encodeAttributes,
  encodeMessage,
  LITTLE_ENDIAN,
  MessageFlag,
  MessageType,
  parseAttributes,
  readText,
  text,
  u32,
  viewOf,
} from "./message.js";

export type Direction = "ingress" | "egress";

/** An eBPF filter as the kernel shows it. */
export interface Filter {
  readonly linkIndex: number;
  readonly direction: Direction;
  /** Lower ones come first. */
  readonly priority: number;
  /** Tells those of one priority apart. */
  readonly handle: number;
  /** Free text. */
  readonly name: string;
}

export interface NewFilter extends Omit<Filter, "handle"> {
  /** Of a program of type SCHED_CLS that says itself what becomes of the packet. */
  readonly programFd: number;
}

const TCA = { kind: 1, options: 2 };
const TCA_BPF = { fd: 6, name: 7, flags: 8 };
/** TCA_BPF_FLAG_ACT_DIRECT */
const DIRECT_ACTION = 1;

/** TC_H_CLSACT, and with TC_H_MIN_INGRESS and TC_H_MIN_EGRESS. */
const CLSACT_PARENT = 0xfffffff1;
const PARENTS: Readonly<Record<Direction, number>> = { ingress: 0xfffffff2, egress: 0xfffffff3 };
const CLSACT_HANDLE = 0xffff0000;
/** ETH_P_ALL in network order, as the low half of `info`. */
const ALL_PROTOCOLS = LITTLE_ENDIAN ? 0x0300 : 0x0003;

/** tcmsg: family, 3 bytes of padding, i32 index, u32 handle, u32 parent, u32 info. */
const BODY_BYTES = 20;

/** Fails with EEXIST where there is one, or the older `ingress`, which takes the same filters on the way in. */
export function encodeClsactAdd(sequence: number, linkIndex: number): Uint8Array {
  const flags = MessageFlag.request | MessageFlag.ack | MessageFlag.create | MessageFlag.exclusive;
  const body = tcBody({ linkIndex, handle: CLSACT_HANDLE, parent: CLSACT_PARENT });
  return encodeMessage({ type: MessageType.newQdisc, flags, sequence }, body, [kind("clsact")]);
}

/** With all filters in it. */
export function encodeClsactRemoval(sequence: number, linkIndex: number): Uint8Array {
  const flags = MessageFlag.request | MessageFlag.ack;
  const body = tcBody({ linkIndex, handle: CLSACT_HANDLE, parent: CLSACT_PARENT });
  return encodeMessage({ type: MessageType.delQdisc, flags, sequence }, body, [kind("clsact")]);
}

export function encodeFilterAdd(sequence: number, filter: NewFilter): Uint8Array {
  const options = encodeAttributes([
    { type: TCA_BPF.fd, value: u32(filter.programFd) },
    { type: TCA_BPF.name, value: text(filter.name) },
    { type: TCA_BPF.flags, value: u32(DIRECT_ACTION) },
  ]);
  const flags = MessageFlag.request | MessageFlag.ack | MessageFlag.create | MessageFlag.exclusive;
  const attributes = [kind("bpf"), { type: TCA.options, value: options }];
  return encodeMessage(
    { type: MessageType.newFilter, flags, sequence },
    filterBody({ ...filter, handle: 0 }),
    attributes,
  );
}

export function encodeFilterRemoval(sequence: number, filter: Omit<Filter, "name">): Uint8Array {
  const flags = MessageFlag.request | MessageFlag.ack;
  return encodeMessage({ type: MessageType.delFilter, flags, sequence }, filterBody(filter), [kind("bpf")]);
}

/** A dump of the filters of one direction; empty where the link has no `clsact`. */
export function encodeFilterDump(sequence: number, linkIndex: number, direction: Direction): Uint8Array {
  const flags = MessageFlag.request | MessageFlag.dump;
  const body = tcBody({ linkIndex, handle: 0, parent: PARENTS[direction] });
  return encodeMessage({ type: MessageType.getFilter, flags, sequence }, body, []);
}

/** The payload of an RTM_NEWTFILTER; undefined when it is of no eBPF filter with a name. */
export function parseFilter(payload: Uint8Array): Filter | undefined {
  if (payload.length < BODY_BYTES) return undefined;
  const view = viewOf(payload);
  const parent = view.getUint32(12, LITTLE_ENDIAN);
  const direction = parent === PARENTS.ingress ? "ingress" : parent === PARENTS.egress ? "egress" : undefined;
  const attributes = parseAttributes(payload.subarray(BODY_BYTES));
  const options = parseAttributes(attributes.get(TCA.options) ?? new Uint8Array());
  const name = readText(options.get(TCA_BPF.name));
  if (direction === undefined || readText(attributes.get(TCA.kind)) !== "bpf" || name === undefined) return undefined;
  return {
    linkIndex: view.getInt32(4, LITTLE_ENDIAN),
    handle: view.getUint32(8, LITTLE_ENDIAN),
    direction,
    priority: view.getUint32(16, LITTLE_ENDIAN) >>> 16,
    name,
  };
}

function kind(name: string): Attribute {
  return { type: TCA.kind, value: text(name) };
}

function filterBody({ linkIndex, direction, priority, handle }: Omit<Filter, "name">): Uint8Array {
  const info = ((priority << 16) | ALL_PROTOCOLS) >>> 0;
  return tcBody({ linkIndex, handle, parent: PARENTS[direction], info });
}

function tcBody(fields: { linkIndex: number; handle: number; parent: number; info?: number }): Uint8Array {
  const body = new Uint8Array(BODY_BYTES);
  const view = viewOf(body);
  view.setUint8(0, AddressFamily.unspecified);
  view.setInt32(4, fields.linkIndex, LITTLE_ENDIAN);
  view.setUint32(8, fields.handle, LITTLE_ENDIAN);
  view.setUint32(12, fields.parent, LITTLE_ENDIAN);
  view.setUint32(16, fields.info ?? 0, LITTLE_ENDIAN);
  return body;
}
