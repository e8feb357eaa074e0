// Reads the classic pcap format (tcpdump -w), both byte orders, micro- and nanosecond stamps. Never throws: reading stops
// where the bytes stop making sense, so the capture of a tcpdump that was ended half-way is read up to there.

const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
/** tcpdump's own limit (MAXIMUM_SNAPLEN); a longer record is damage. */
const MAX_RECORD_BYTES = 262144;

export const LINK_TYPE_ETHERNET = 1;

export interface CapturedPacket {
  readonly timeSeconds: number;
  /** Length on the wire; `bytes` is shorter when the capture was cut. */
  readonly originalLength: number;
  /** A view on the file, not a copy. */
  readonly bytes: Uint8Array;
}

export interface Capture {
  readonly linkType: number;
  readonly packets: readonly CapturedPacket[];
}

/** The packets of a pcap file, or undefined when `file` is not one. */
export function parsePcap(file: Uint8Array): Capture | undefined {
  if (file.length < FILE_HEADER_BYTES) return undefined;
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const isLittleEndian = [MAGIC_MICROSECONDS, MAGIC_NANOSECONDS].includes(view.getUint32(0, true));
  const magic = view.getUint32(0, isLittleEndian);
  if (magic !== MAGIC_MICROSECONDS && magic !== MAGIC_NANOSECONDS) return undefined;
  const fraction = magic === MAGIC_MICROSECONDS ? 1e-6 : 1e-9;
  const packets: CapturedPacket[] = [];
  let offset = FILE_HEADER_BYTES;
  while (offset + RECORD_HEADER_BYTES <= file.length) {
    const length = view.getUint32(offset + 8, isLittleEndian);
    const start = offset + RECORD_HEADER_BYTES;
    if (length > MAX_RECORD_BYTES || start + length > file.length) break;
    packets.push({
      timeSeconds: view.getUint32(offset, isLittleEndian) + view.getUint32(offset + 4, isLittleEndian) * fraction,
      originalLength: view.getUint32(offset + 12, isLittleEndian),
      bytes: file.subarray(start, start + length),
    });
    offset = start + length;
  }
  return { linkType: view.getUint32(20, isLittleEndian) & 0x0fffffff, packets };
}
