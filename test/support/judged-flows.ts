// Flows of packets out of nothing but a seed, for kernel-judge.ts: TCP and UDP with all that may differ from one packet to the next, fragments,
// extension headers, and what neither merges nor cuts. Each is what a sender's kernel hands to a device: a packet, or a super-packet with a
// virtio_net_hdr that says how it is to be cut.
import fc from "fast-check";
import { foldSum, IPPROTO_TCP, IPPROTO_UDP, sumWords } from "../../src/wire/checksum.js";

/** The longest inner packet of any mode that is judged. */
const MTU_BYTES = 1450;
/** Of payload: what one send to a device may hold, less headers. */
const SUPER_PACKET_BYTES = 60_000;
const ETHERNET_BYTES = 14;
/** The first extension header of an IPv6 fragment. */
export const FRAGMENT_HEADER = 44;
const DESTINATION_OPTIONS = 60;
const NEEDS_CHECKSUM = 1;
const GSO_TCP_V4 = 1;
const GSO_TCP_V6 = 4;
const GSO_UDP = 5;
const GSO_ECN = 0x80;
const FLAG = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128 } as const;
/** From here on the last byte of a source address belongs to one flow alone. */
export const OWN_ADDRESSES = 128;

/** One send at the sender's link. */
export interface Shot {
  readonly offload: Buffer;
  readonly packet: Buffer;
  /** How many packets it is on the wire. */
  readonly packets: number;
}

export interface Flow {
  readonly description: string;
  readonly shots: readonly Shot[];
}

/** Most often the same, now and then something else. */
const seldom = <T>(usual: T, other: fc.Arbitrary<T>, weight = 12): fc.Arbitrary<T> =>
  fc.oneof({ weight, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: other });

/** What one packet, or super-packet, does otherwise than its flow; null: nothing. */
const anyStep = fc.record({
  segments: seldom(1, fc.integer({ min: 2, max: 45 }), 5),
  /** Of a packet, or of a super-packet's last segment; null: as long as all of the flow. */
  payloadBytes: seldom<number | null>(null, fc.nat(MTU_BYTES), 6),
  tos: seldom<number | null>(null, fc.nat(255)),
  ttl: seldom<number | null>(null, fc.integer({ min: 3, max: 255 })),
  id: seldom<number | null>(null, fc.nat(0xffff)),
  isDamaged: seldom(false, fc.constant(true), 25),
  fragments: fc.integer({ min: 1, max: 4 }),
  /** Beyond the length that the UDP header tells. */
  trailingBytes: seldom(0, fc.integer({ min: 1, max: 9 }), 20),
  flags: seldom(FLAG.ack as number, fc.integer({ min: 0, max: 255 }), 6),
  isPushed: seldom(false, fc.constant(true), 5),
  /** Sequence numbers that are left out, or sent again. */
  jump: seldom(0, fc.integer({ min: -3000, max: 3000 })),
  acknowledged: seldom(0, fc.nat(100_000), 5),
  window: seldom<number | null>(null, fc.constantFrom(0, 1, 0xffff), 6),
  urgent: seldom(0, fc.nat(0xffff), 20),
  clockTicks: seldom(0, fc.nat(1000), 4),
  dataOffset: seldom<number | null>(null, fc.nat(15), 60),
});

const anyFlow = fc.record({
  protocol: fc.oneof(
    { weight: 6, arbitrary: fc.constant(IPPROTO_TCP) },
    { weight: 4, arbitrary: fc.constant(IPPROTO_UDP) },
    fc.constantFrom(1, 47, 50, 132),
  ),
  isV6: fc.boolean(),
  tos: fc.nat(255),
  ttl: fc.integer({ min: 3, max: 255 }),
  flowLabel: fc.nat(0xfffff),
  dontFragment: fc.boolean(),
  ids: fc.constantFrom("constant", "counting", "random"),
  hasIpOptions: seldom(false, fc.constant(true), 9),
  isFragmented: seldom(false, fc.constant(true), 7),
  segmentBytes: fc.integer({ min: 1, max: MTU_BYTES }),
  hasChecksum: seldom(true, fc.constant(false), 5),
  options: fc.constantFrom("none", "timestamps", "sack", "both"),
  firstSequence: fc.nat(0xffffffff),
  steps: fc.array(anyStep, { minLength: 1, maxLength: 14 }),
});

type FlowSpec = typeof anyFlow extends fc.Arbitrary<infer Spec> ? Spec : never;
type Step = FlowSpec["steps"][number];

/**
 * The same for the same seed. At most 14,000, which have names of their own.
 * @param superMtuBytes how long a whole segment of a TCP super-packet is with its headers; null: as it comes
 */
export function flowsOf(seed: number, count: number, superMtuBytes: number | null): Flow[] {
  const specs = fc.sample(anyFlow, { seed, numRuns: count });
  return specs.map((spec, number) => new FlowWriter(spec, number, superMtuBytes).flow());
}

/** Whom a flow's packets are from and to: the TCP and UDP ones that are whole share few addresses, the others have their own. */
function addressesOf({ isV6, isFragmented, hasIpOptions, protocol }: FlowSpec, number: number): Buffer {
  const isAlone = isFragmented || hasIpOptions || (protocol !== IPPROTO_TCP && protocol !== IPPROTO_UDP);
  const [source, target] = isAlone
    ? [OWN_ADDRESSES + (number % 120), OWN_ADDRESSES + (Math.floor(number / 120) % 120)]
    : [16 + (number % 4), OWN_ADDRESSES + (number % 4)];
  if (!isV6) return Buffer.of(10, 244, 1, source, 10, 244, 2, target);
  const address = (subnet: number, last: number): string =>
    `fd0000000000000${subnet}00000001000000${last.toString(16).padStart(2, "0")}`;
  return Buffer.from(address(1, source) + address(2, target), "hex");
}

class FlowWriter {
  readonly #spec: FlowSpec;
  readonly #number: number;
  readonly #addresses: Buffer;
  readonly #superMtuBytes: number | null;
  #sequence: number;
  #acknowledged = 1;
  #clock = 1;
  #id: number;

  constructor(spec: FlowSpec, number: number, superMtuBytes: number | null) {
    this.#superMtuBytes = superMtuBytes;
    this.#spec = spec;
    this.#number = number;
    this.#addresses = addressesOf(spec, number);
    this.#sequence = spec.firstSequence;
    this.#id = spec.firstSequence & 0xffff;
  }

  flow(): Flow {
    const { steps, ...traits } = this.#spec;
    return { description: JSON.stringify(traits), shots: steps.flatMap((step) => this.#shots(step)) };
  }

  #shots(any: Step): Shot[] {
    const { isFragmented, hasChecksum, protocol, isV6, hasIpOptions } = this.#spec;
    const isCut = protocol === IPPROTO_TCP || (protocol === IPPROTO_UDP && hasChecksum);
    // Behind IPv6 extension headers a kernel that forwards misjudges how long the segments are.
    const isSuper = any.segments > 1 && isCut && !isFragmented && !(isV6 && hasIpOptions);
    // No kernel makes a super-packet of what it could not send as one packet.
    const step = isSuper ? { ...any, dataOffset: null, trailingBytes: 0 } : any;
    const header = this.#transportHeader(step);
    const headerBytes = this.#ipHeaderBytes() + header.length;
    const room = MTU_BYTES - headerBytes - step.trailingBytes;
    const given = isSuper && protocol === IPPROTO_TCP ? this.#superMtuBytes : null;
    const full = given === null ? Math.min(this.#spec.segmentBytes, room) : given - headerBytes;
    const last = Math.min(step.payloadBytes ?? full, isSuper ? full : room);
    const segments = isSuper ? Math.min(step.segments, Math.floor(SUPER_PACKET_BYTES / full)) : 1;
    const payload = this.#payload((segments - 1) * full + last);
    const transport = Buffer.concat([header, payload, Buffer.alloc(step.trailingBytes)]);
    const packets = isSuper ? Math.ceil(payload.length / full) : 1;
    if (protocol === IPPROTO_UDP) transport.writeUInt16BE(header.length + payload.length, 4);
    this.#sumUp(transport, step, packets > 1);
    const shots = this.#wrapped(transport, step, packets, full);
    this.#sequence = (this.#sequence + payload.length + step.jump) >>> 0;
    return shots;
  }

  #transportHeader(step: Step): Buffer {
    const { protocol } = this.#spec;
    if (protocol === IPPROTO_TCP) return this.#tcpHeader(step);
    const header = Buffer.alloc(8);
    if (protocol === IPPROTO_UDP) this.#writePorts(header);
    return header;
  }

  #tcpHeader(step: Step): Buffer {
    this.#acknowledged = (this.#acknowledged + step.acknowledged) >>> 0;
    this.#clock += step.clockTicks;
    const fixed = Buffer.alloc(20);
    const options = this.#tcpOptions();
    this.#writePorts(fixed);
    fixed.writeUInt32BE(this.#sequence, 4);
    fixed.writeUInt32BE(this.#acknowledged, 8);
    fixed[12] = (step.dataOffset ?? (20 + options.length) / 4) << 4;
    fixed[13] = step.flags | (step.isPushed ? FLAG.psh : 0);
    fixed.writeUInt16BE(step.window ?? 0x1234, 14);
    fixed.writeUInt16BE(step.urgent, 18);
    return Buffer.concat([fixed, options]);
  }

  #tcpOptions(): Buffer {
    const { options } = this.#spec;
    const [timestamps, sack] = [Buffer.alloc(12, 1), Buffer.alloc(12, 1)];
    timestamps.set([8, 10], 2);
    timestamps.writeUInt32BE(this.#clock, 4);
    timestamps.writeUInt32BE(this.#number, 8);
    sack.set([5, 10], 2);
    sack.writeUInt32BE(this.#acknowledged, 4);
    sack.writeUInt32BE((this.#acknowledged + 1448) >>> 0, 8);
    const chosen = { none: [], timestamps: [timestamps], sack: [sack], both: [timestamps, sack] };
    return Buffer.concat(chosen[options]);
  }

  /** Among the flows that share addresses no two have the same. */
  #writePorts(header: Buffer): void {
    header.writeUInt16BE(1000 + this.#number, 0);
    header.writeUInt16BE(5000 + (this.#number % 7), 2);
  }

  /** Of two packets no stretch is the same. */
  #payload(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let i = 0; i < length; i++) {
      const position = this.#sequence + i;
      bytes[i] = position ^ (position >>> 8) ^ (this.#number * 29);
    }
    return bytes;
  }

  /** The checksum; of a super-packet what the device must have to finish it. */
  #sumUp(transport: Buffer, { isDamaged }: Step, isSuper: boolean): void {
    const { protocol, hasChecksum } = this.#spec;
    const offset = checksumOffset(protocol);
    if (offset === null || (protocol === IPPROTO_UDP && !hasChecksum)) return;
    transport.writeUInt16BE(0, offset);
    const pseudo = sumWords(this.#addresses) + protocol + transport.length;
    const sum = isSuper ? foldSum(pseudo) : ~foldSum(pseudo + sumWords(transport)) & 0xffff;
    const field = sum === 0 && protocol === IPPROTO_UDP ? 0xffff : sum;
    transport.writeUInt16BE(isDamaged && !isSuper ? field ^ 0x5555 : field, offset);
  }

  #ipHeaderBytes(): number {
    const { isV6, hasIpOptions, isFragmented } = this.#spec;
    if (!isV6) return hasIpOptions ? 24 : 20;
    return 40 + (hasIpOptions ? 8 : 0) + (isFragmented ? 8 : 0);
  }

  #wrapped(transport: Buffer, step: Step, packets: number, segmentBytes: number): Shot[] {
    const id = this.#nextId(step, packets);
    if (this.#spec.isFragmented) return this.#fragmented(transport, step, id);
    const packet = this.#ipPacket(transport, step, id, null);
    const offload =
      packets > 1 ? this.#offload(packet.length - transport.length, step, segmentBytes) : Buffer.alloc(10);
    return [{ offload, packet, packets }];
  }

  #nextId({ id }: Step, packets: number): number {
    const { ids } = this.#spec;
    const next = id ?? (ids === "random" ? (this.#id * 40503 + 12345) & 0xffff : this.#id);
    this.#id = ids === "counting" ? (next + packets) & 0xffff : next;
    return next;
  }

  #fragmented(transport: Buffer, step: Step, id: number): Shot[] {
    const pieceBytes = Math.max(8, Math.ceil(transport.length / step.fragments / 8) * 8);
    const offsets = Array.from({ length: Math.ceil(transport.length / pieceBytes) }, (_, i) => i * pieceBytes);
    return offsets.map((offset) => {
      const isLast = offset + pieceBytes >= transport.length;
      const fragment = { offset, isLast };
      const packet = this.#ipPacket(transport.subarray(offset, offset + pieceBytes), step, id, fragment);
      return { offload: Buffer.alloc(10), packet, packets: 1 };
    });
  }

  #ipPacket(payload: Buffer, step: Step, id: number, fragment: { offset: number; isLast: boolean } | null): Buffer {
    const header = this.#spec.isV6 ? this.#v6Header(step, id, fragment) : this.#v4Header(step, id, fragment);
    const packet = Buffer.concat([header, payload]);
    if (this.#spec.isV6) {
      packet.writeUInt16BE(packet.length - 40, 4);
    } else {
      packet.writeUInt16BE(packet.length, 2);
      packet.writeUInt16BE(~foldSum(sumWords(packet.subarray(0, header.length))) & 0xffff, 10);
    }
    return packet;
  }

  #v4Header(step: Step, id: number, fragment: { offset: number; isLast: boolean } | null): Buffer {
    const { tos, ttl, dontFragment, hasIpOptions, protocol } = this.#spec;
    const header = Buffer.alloc(hasIpOptions ? 24 : 20, 1); // options: no operation, four times
    const place =
      fragment === null ? (dontFragment ? 0x4000 : 0) : (fragment.offset / 8) | (fragment.isLast ? 0 : 0x2000);
    header.set([0x40 | (header.length / 4), step.tos ?? tos], 0);
    header.writeUInt16BE(id, 4);
    header.writeUInt16BE(place, 6);
    header.set([step.ttl ?? ttl, protocol, 0, 0], 8);
    header.set(this.#addresses, 12);
    return header;
  }

  #v6Header(step: Step, id: number, fragment: { offset: number; isLast: boolean } | null): Buffer {
    const { tos, ttl, flowLabel, hasIpOptions, protocol } = this.#spec;
    const header = Buffer.alloc(40);
    header.writeUInt32BE(0x60000000 + ((step.tos ?? tos) << 20) + flowLabel, 0);
    header[7] = step.ttl ?? ttl;
    header.set(this.#addresses, 8);
    const behind: { type: number; bytes: Buffer }[] = [];
    if (fragment !== null) {
      const bytes = Buffer.alloc(8);
      bytes.writeUInt16BE(fragment.offset | (fragment.isLast ? 0 : 1), 2);
      bytes.writeUInt32BE(id, 4);
      behind.push({ type: FRAGMENT_HEADER, bytes });
    }
    if (hasIpOptions) behind.push({ type: DESTINATION_OPTIONS, bytes: Buffer.of(0, 0, 1, 4, 0, 0, 0, 0) }); // PadN
    header[6] = behind[0]?.type ?? protocol;
    for (const [i, { bytes }] of behind.entries()) bytes[0] = behind[i + 1]?.type ?? protocol;
    return Buffer.concat([header, ...behind.map(({ bytes }) => bytes)]);
  }

  /** A virtio_net_hdr, whose offsets begin at the Ethernet header. */
  #offload(ipHeaderBytes: number, { flags }: Step, segmentBytes: number): Buffer {
    const { protocol, isV6, options } = this.#spec;
    const header = Buffer.alloc(10);
    const isTcp = protocol === IPPROTO_TCP;
    const ecn = isTcp && (flags & FLAG.cwr) !== 0 ? GSO_ECN : 0;
    header[0] = NEEDS_CHECKSUM;
    header[1] = (isTcp ? (isV6 ? GSO_TCP_V6 : GSO_TCP_V4) : GSO_UDP) | ecn;
    const transportBytes = isTcp ? 20 + { none: 0, timestamps: 12, sack: 12, both: 24 }[options] : 8;
    header.writeUInt16LE(ETHERNET_BYTES + ipHeaderBytes + transportBytes, 2);
    header.writeUInt16LE(segmentBytes, 4);
    header.writeUInt16LE(ETHERNET_BYTES + ipHeaderBytes, 6);
    header.writeUInt16LE(checksumOffset(protocol) ?? 0, 8);
    return header;
  }
}

function checksumOffset(protocol: number): number | null {
  return protocol === IPPROTO_TCP ? 16 : protocol === IPPROTO_UDP ? 6 : null;
}
