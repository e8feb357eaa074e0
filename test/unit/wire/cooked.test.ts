// Cooked captures, from the bytes that a packet socket gave, and files for Wireshark made of them.
import t from "tap";
import { decodeCooked } from "../../../src/wire/cooked.js";
import { pcapngHeader, pcapngInterface, pcapngPacket } from "../../../src/wire/pcapng.js";
import { bytes, INNER_PING } from "./packets.js";

const FROM_PEER = "0800 0000 0000 0002 0001 00 06 a2a5 33e4 4028 0000";

t.test("device, direction and packet are told", async (t) => {
  const incoming = decodeCooked(Uint8Array.from([...bytes(FROM_PEER), ...INNER_PING]));
  t.match(incoming, { protocol: 0x0800, linkIndex: 2, direction: "in" });
  t.same(incoming?.payload, INNER_PING);
  const outgoing = bytes(FROM_PEER);
  outgoing[10] = 4;
  t.equal(decodeCooked(outgoing)?.direction, "out");
});

t.test("what is shorter than a header is none", async (t) => {
  t.equal(decodeCooked(bytes(FROM_PEER).subarray(0, 19)), undefined);
});

t.test("blocks of pcapng say their length at both ends, and are padded to four bytes", async (t) => {
  const packet = { timeSeconds: 1_700_000_000.25, originalLength: 60, bytes: Uint8Array.of(1, 2, 3) };
  for (const block of [pcapngHeader(), pcapngInterface("flannel.1", 276), pcapngPacket(1, packet)]) {
    const view = new DataView(block.buffer);
    t.equal(block.length % 4, 0);
    t.equal(view.getUint32(4, true), block.length);
    t.equal(view.getUint32(block.length - 4, true), block.length);
  }
  const view = new DataView(pcapngPacket(1, packet).buffer);
  t.equal(view.getUint32(8, true), 1, "the device");
  const stamp = (BigInt(view.getUint32(12, true)) << 32n) | BigInt(view.getUint32(16, true));
  t.equal(stamp, 1_700_000_000_250_000n, "microseconds");
  t.same([view.getUint32(20, true), view.getUint32(24, true)], [3, 60]);
});
