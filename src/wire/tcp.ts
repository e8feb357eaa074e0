// TCP headers (RFC 9293). Bytes in, values out: never throws, whatever the bytes.

const TCP_MIN_HEADER_BYTES = 20;

/** Names of the flag bits, lowest bit first. */
const FLAG_NAMES = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"] as const;

type TcpFlag = (typeof FLAG_NAMES)[number];

export interface TcpSegment {
  readonly headerBytes: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly flags: readonly TcpFlag[];
  readonly window: number;
  /** What follows header and options; a view, not a copy. */
  readonly payload: Uint8Array;
}

/** The segment's header, or undefined when `bytes` does not begin with a whole TCP header. */
export function decodeTcp(bytes: Uint8Array): TcpSegment | undefined {
  if (bytes.length < TCP_MIN_HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const headerBytes = (view.getUint8(12) >> 4) * 4;
  if (headerBytes < TCP_MIN_HEADER_BYTES || bytes.length < headerBytes) return undefined;
  const flagBits = view.getUint8(13);
  return {
    headerBytes,
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    sequence: view.getUint32(4),
    acknowledgement: view.getUint32(8),
    flags: FLAG_NAMES.filter((_, bit) => (flagBits & (1 << bit)) !== 0),
    window: view.getUint16(14),
    payload: bytes.subarray(headerBytes),
  };
}
