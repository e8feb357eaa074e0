// Datagrams that no honest host sends, made byte by byte, and the script that sends them.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseIpv4 } from "../../src/net/ipv4.js";
import { foldSum, sumWords } from "../../src/wire/checksum.js";
import type { Host } from "./hopsackd.js";

const SCRIPT = fileURLToPath(new URL("forge.py", import.meta.url));
const PROTOCOL_UDP = 17;
const HEADER_BYTES = 20;

export interface Forgery {
  /** Address of the sending host. */
  readonly source: string;
  readonly payload: Uint8Array;
  readonly count: number;
}

/** What `send` can say beside where to. */
interface Road {
  readonly to: string;
  readonly port: number;
  /** Without an outer UDP checksum. */
  readonly unchecked?: boolean;
}

export function send(from: Host, { to, port, unchecked = false }: Road, forgeries: readonly Forgery[]): void {
  const datagrams = forgeries.map(({ source, payload, count }) => ({
    source,
    hex: Buffer.from(payload).toString("hex"),
    count,
  }));
  const input = JSON.stringify({ to, port, unchecked, datagrams });
  execFileSync("ip", ["netns", "exec", from.name, "python3", SCRIPT], { input });
}

/** An IPv4 packet with a right header checksum, and a UDP datagram in it unless `payload` is given. */
export function innerPacket(
  source: string,
  destination: string,
  { fragment = 0, payload = innerUdp() }: { readonly fragment?: number; readonly payload?: Uint8Array } = {},
): Buffer {
  const packet = Buffer.alloc(HEADER_BYTES + payload.length);
  packet.writeUInt16BE(0x4500, 0);
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt16BE(fragment, 6);
  packet.writeUInt16BE((64 << 8) | PROTOCOL_UDP, 8);
  packet.writeUInt32BE(parseIpv4(source) ?? 0, 12);
  packet.writeUInt32BE(parseIpv4(destination) ?? 0, 16);
  packet.set(payload, HEADER_BYTES);
  packet.writeUInt16BE(~foldSum(sumWords(packet.subarray(0, HEADER_BYTES))) & 0xffff, 10);
  return packet;
}

/** The same packet with bytes of its header replaced. */
export function changed(packet: Buffer, offset: number, ...bytes: readonly number[]): Buffer {
  const copy = Buffer.from(packet);
  copy.set(bytes, offset);
  return copy;
}

/** To port 9, with no payload unless told, and no checksum. */
export function innerUdp({ port = 9, payloadBytes = 0 } = {}): Buffer {
  const datagram = Buffer.alloc(8 + payloadBytes);
  datagram.writeUInt16BE(9, 0);
  datagram.writeUInt16BE(port, 2);
  datagram.writeUInt16BE(datagram.length, 4);
  return datagram;
}
