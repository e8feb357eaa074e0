// pcap files in both byte orders, cut short, and random.
import fc from "fast-check";
import t from "tap";
import { LINK_TYPE_ETHERNET, parsePcap } from "../../../src/wire/pcap.js";

/** A pcap file of `packets`, all stamped 1,000.5 s. */
function pcapFile(packets: readonly Uint8Array[], isLittleEndian: boolean, isNanoseconds: boolean): Buffer {
  const words = (...values: number[]) => {
    const buffer = Buffer.alloc(values.length * 4);
    for (const [index, value] of values.entries()) {
      if (isLittleEndian) buffer.writeUInt32LE(value, index * 4);
      else buffer.writeUInt32BE(value, index * 4);
    }
    return buffer;
  };
  const header = words(isNanoseconds ? 0xa1b23c4d : 0xa1b2c3d4, 0x0004_0002, 0, 0, 262144, LINK_TYPE_ETHERNET);
  const half = isNanoseconds ? 500_000_000 : 500_000;
  const records = packets.flatMap((packet) => [words(1000, half, packet.length, packet.length + 7), packet]);
  return Buffer.concat([header, ...records]);
}

t.test("what was written is read back, in either byte order and resolution", async (t) => {
  const packets = [Uint8Array.of(1, 2, 3), new Uint8Array(0), Uint8Array.of(4)];
  for (const isLittleEndian of [true, false]) {
    for (const isNanoseconds of [true, false]) {
      const capture = parsePcap(pcapFile(packets, isLittleEndian, isNanoseconds));
      t.equal(capture?.linkType, LINK_TYPE_ETHERNET);
      t.same(
        capture?.packets.map((packet) => [...packet.bytes]),
        [[1, 2, 3], [], [4]],
      );
      t.equal(capture?.packets[0]?.timeSeconds, 1000.5);
      t.equal(capture?.packets[0]?.originalLength, 10);
    }
  }
});

t.test("a file cut in the middle of a record gives the records before it", async (t) => {
  const file = pcapFile([Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5, 6)], true, false);
  t.equal(parsePcap(file.subarray(0, file.length - 1))?.packets.length, 1);
  t.equal(parsePcap(file.subarray(0, 30))?.packets.length, 0);
});

t.test("a record length beyond every snap length ends the reading", async (t) => {
  const file = pcapFile([Uint8Array.of(1)], true, false);
  file.writeUInt32LE(0x7fffffff, 24 + 8);
  t.equal(parsePcap(file)?.packets.length, 0);
});

t.test("what is no pcap file is refused", async (t) => {
  t.equal(parsePcap(new Uint8Array(0)), undefined);
  t.equal(parsePcap(new Uint8Array(100)), undefined);
});

t.test("random bytes after a good header never throw", async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (noise, isLittleEndian) => {
        parsePcap(Buffer.concat([pcapFile([], isLittleEndian, false), noise]));
      }),
    ),
  );
});
