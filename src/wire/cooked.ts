// Linux cooked captures, version 2 (LINKTYPE_LINUX_SLL2): what packet sockets tell of a packet when all devices are captured at once.
//
//   protocol 2 | 0 2 | device 4 | hardware type 2 | direction 1 | address length 1 | sender's address 8
//
// Never throws on bytes from outside.

export const COOKED_HEADER_BYTES = 20;
const DIRECTION_OUT = 4; // PACKET_OUTGOING

export interface CookedPacket {
  /** An EtherType. */
  readonly protocol: number;
  readonly linkIndex: number;
  /** As the device sees it: `out` leaves it. */
  readonly direction: "in" | "out";
  /** Begins with the IP (or ARP) header; a view, not a copy. */
  readonly payload: Uint8Array;
}

export function decodeCooked(bytes: Uint8Array): CookedPacket | undefined {
  if (bytes.length < COOKED_HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    protocol: view.getUint16(0),
    linkIndex: view.getUint32(4),
    direction: view.getUint8(10) === DIRECTION_OUT ? "out" : "in",
    payload: bytes.subarray(COOKED_HEADER_BYTES),
  };
}
