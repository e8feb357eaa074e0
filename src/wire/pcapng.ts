// Writes pcapng, which Wireshark and tcpdump read: unlike pcap it has a name for each device. All blocks are little-endian.
//
//   type 4 | length 4 | body, padded to 4 | length 4          body of a packet: device 4 | time 8 | captured 4 | original 4 | bytes
import type { CapturedPacket } from "./pcap.js";

const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION = 1;
const ENHANCED_PACKET = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const OPTION_IF_NAME = 2;
const SNAP_LENGTH = 262144;
const MICROSECONDS = 1e6;

/** What a file begins with. */
export function pcapngHeader(): Uint8Array {
  const body = new Uint8Array(16);
  const view = new DataView(body.buffer);
  view.setUint32(0, BYTE_ORDER_MAGIC, true);
  view.setUint16(4, 1, true); // version 1.0
  view.setBigInt64(8, -1n, true); // how long the section becomes is not known
  return block(SECTION_HEADER, body);
}

/** Devices are numbered in the order of these blocks, from 0. tcpdump reads only files in which all have one link type. */
export function pcapngInterface(name: string, linkType: number): Uint8Array {
  const text = new TextEncoder().encode(name);
  const body = new Uint8Array(8 + 4 + padded(text.length) + 4);
  const view = new DataView(body.buffer);
  view.setUint16(0, linkType, true);
  view.setUint32(4, SNAP_LENGTH, true);
  view.setUint16(8, OPTION_IF_NAME, true);
  view.setUint16(10, text.length, true);
  body.set(text, 12);
  return block(INTERFACE_DESCRIPTION, body);
}

export function pcapngPacket(device: number, packet: CapturedPacket): Uint8Array {
  const { bytes, timeSeconds, originalLength } = packet;
  const body = new Uint8Array(20 + padded(bytes.length));
  const view = new DataView(body.buffer);
  const stamp = BigInt(Math.round(timeSeconds * MICROSECONDS));
  view.setUint32(0, device, true);
  view.setUint32(4, Number(stamp >> 32n), true);
  view.setUint32(8, Number(stamp & 0xffffffffn), true);
  view.setUint32(12, bytes.length, true);
  view.setUint32(16, originalLength, true);
  body.set(bytes, 20);
  return block(ENHANCED_PACKET, body);
}

function block(type: number, body: Uint8Array): Uint8Array {
  const length = 12 + body.length;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, length, true);
  bytes.set(body, 8);
  view.setUint32(length - 4, length, true);
  return bytes;
}

function padded(length: number): number {
  return Math.ceil(length / 4) * 4;
}
