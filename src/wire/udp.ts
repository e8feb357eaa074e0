// UDP headers (RFC 768). Bytes in, values out: never throws, whatever the bytes.

export const UDP_HEADER_BYTES = 8;

export interface UdpDatagram {
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Header included, as the header says. */
  readonly length: number;
  /** 0 = none was computed. */
  readonly checksum: number;
  /** What follows the header, cut to `length` and to what was captured; a view, not a copy. */
  readonly payload: Uint8Array;
}

/** The datagram's header, or undefined when `bytes` does not begin with a whole UDP header. */
export function decodeUdp(bytes: Uint8Array): UdpDatagram | undefined {
  if (bytes.length < UDP_HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const length = view.getUint16(4);
  if (length < UDP_HEADER_BYTES) return undefined;
  return {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    length,
    checksum: view.getUint16(6),
    payload: bytes.subarray(UDP_HEADER_BYTES, length),
  };
}
