// VXLAN headers (RFC 7348 §5), 8 bytes: what a tunnel end puts between the outer UDP header and the inner Ethernet frame.
//
//   flags 1 (I = 0x08: a VNI follows) | reserved 3 | VNI 3 | reserved 1
//
// Never throws on bytes from outside.

export const VXLAN_HEADER_BYTES = 8;
export const VXLAN_FLAG_VNI = 0x08;
export const VXLAN_VNI_OFFSET = 4;

/** The three bytes of a VNI. @throws RangeError for what has more than 24 bits */
export function encodeVni(vni: number): Uint8Array {
  if (!Number.isInteger(vni) || vni < 0 || vni > 0xffffff) throw new RangeError(`not a VNI: ${vni}`);
  return Uint8Array.of(vni >>> 16, (vni >>> 8) & 0xff, vni & 0xff);
}

/** A header with all reserved bits zero, as the kernel writes it. */
export function encodeVxlanHeader(vni: number): Uint8Array {
  const header = new Uint8Array(VXLAN_HEADER_BYTES);
  header[0] = VXLAN_FLAG_VNI;
  header.set(encodeVni(vni), VXLAN_VNI_OFFSET);
  return header;
}

export interface VxlanPacket {
  /** null: the flag that says there is one is missing, and RFC 7348 wants the packet dropped. */
  readonly vni: number | null;
  /** The inner Ethernet frame: a view, not a copy. */
  readonly frame: Uint8Array;
}

/** What a UDP payload holds, or undefined when it is shorter than a header. Reserved bits are ignored, as RFC 7348 asks. */
export function decodeVxlan(payload: Uint8Array): VxlanPacket | undefined {
  if (payload.length < VXLAN_HEADER_BYTES) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const hasVni = (view.getUint8(0) & VXLAN_FLAG_VNI) !== 0;
  return { vni: hasVni ? view.getUint32(VXLAN_VNI_OFFSET) >>> 8 : null, frame: payload.subarray(VXLAN_HEADER_BYTES) };
}
