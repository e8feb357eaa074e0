// Reads the classic pcap format (tcpdump -w), both byte orders, micro- and nanosecond stamps. Never throws: reading stops
// where the bytes stop making sense, so the capture of a tcpdump that was ended half-way is read up to there.

const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
/** tcpdump's own limit (MAXIMUM_SNAPLEN); a longer record is damage. */
const MAX_RECORD_BYTES = 262144;

export const LINK_TYPE_ETHERNET = 1;
/** Linux cooked capture, version 2: `cooked.ts`. */
export const LINK_TYPE_LINUX_SLL2 = 276;

export interface CapturedPacket {
  readonly timeSeconds: number;
  /** Length on the wire; `bytes` is shorter when the capture was cut. */
  readonly originalLength: number;
  /** A view on what was read, not a copy. */
  readonly bytes: Uint8Array;
}

export interface Capture {
  readonly linkType: number;
  readonly packets: readonly CapturedPacket[];
}

/** The packets of a pcap file, or undefined when `file` is not one. */
export function parsePcap(file: Uint8Array): Capture | undefined {
  const reader = new PcapReader();
  const packets = reader.read(file);
  return reader.linkType === null ? undefined : { linkType: reader.linkType, packets };
}

interface FileHeader {
  readonly isLittleEndian: boolean;
  /** Of a second, in which the second word of a stamp counts. */
  readonly fraction: number;
  readonly linkType: number;
}

/** Reads a capture as it is being written, in whatever pieces it comes. */
export class PcapReader {
  #header: FileHeader | null = null;
  #isOver = false;
  #pending: Uint8Array = new Uint8Array(0);

  /** null until the file's header has come, and for what is no pcap file. */
  get linkType(): number | null {
    return this.#header?.linkType ?? null;
  }

  /** The packets that `chunk` makes whole. */
  read(chunk: Uint8Array): CapturedPacket[] {
    const bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    let offset = 0;
    if (this.#header === null) {
      if (bytes.length < FILE_HEADER_BYTES) {
        this.#pending = bytes;
        return [];
      }
      this.#header = parseFileHeader(bytes);
      this.#isOver = this.#header === null;
      offset = FILE_HEADER_BYTES;
    }
    const packets: CapturedPacket[] = [];
    while (!this.#isOver) {
      const record = this.#record(bytes, offset);
      if (record === null) break;
      packets.push(record);
      offset += RECORD_HEADER_BYTES + record.bytes.length;
    }
    this.#pending = this.#isOver ? new Uint8Array(0) : bytes.subarray(offset);
    return packets;
  }

  #record(bytes: Uint8Array, offset: number): CapturedPacket | null {
    const start = offset + RECORD_HEADER_BYTES;
    if (this.#header === null || start > bytes.length) return null;
    const { isLittleEndian, fraction } = this.#header;
    const view = new DataView(bytes.buffer, bytes.byteOffset + offset, RECORD_HEADER_BYTES);
    const length = view.getUint32(8, isLittleEndian);
    if (length > MAX_RECORD_BYTES) this.#isOver = true;
    if (this.#isOver || start + length > bytes.length) return null;
    return {
      timeSeconds: view.getUint32(0, isLittleEndian) + view.getUint32(4, isLittleEndian) * fraction,
      originalLength: view.getUint32(12, isLittleEndian),
      bytes: bytes.subarray(start, start + length),
    };
  }
}

function parseFileHeader(bytes: Uint8Array): FileHeader | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, FILE_HEADER_BYTES);
  const isLittleEndian = [MAGIC_MICROSECONDS, MAGIC_NANOSECONDS].includes(view.getUint32(0, true));
  const magic = view.getUint32(0, isLittleEndian);
  if (magic !== MAGIC_MICROSECONDS && magic !== MAGIC_NANOSECONDS) return null;
  const fraction = magic === MAGIC_MICROSECONDS ? 1e-6 : 1e-9;
  return { isLittleEndian, fraction, linkType: view.getUint32(20, isLittleEndian) & 0x0fffffff };
}
