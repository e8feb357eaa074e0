import assert from "node:assert/strict";
import { endianness } from "node:os";
import fc from "fast-check";
import t from "tap";
import {
  encodeMessage,
  MessageFlag,
  MessageType,
  parseAck,
  parseAttributes,
  parseMessage,
  readText,
  readU32,
  u32,
} from "../../../src/netlink/message.js";

const bytes = fc.uint8Array({ maxLength: 200 });
const fromHex = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));
/** Captured on a little-endian machine. */
const golden = { skip: endianness() === "BE" ? "the captured bytes are little-endian" : false };

t.test("a message comes back as it was encoded, each part padded to 4 bytes", async () => {
  const attributes = fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 0x3fff }), fc.uint8Array({ maxLength: 20 })), {
    selector: ([type]) => type,
    maxLength: 6,
  });
  const body = fc.uint8Array({ minLength: 12, maxLength: 12 });
  const u16 = fc.integer({ min: 0, max: 0xffff });
  fc.assert(
    fc.property(u16, u16, fc.nat(0xffffffff), body, attributes, (type, flags, sequence, body, attributes) => {
      const pairs = attributes.map(([type, value]) => ({ type, value }));
      const encoded = encodeMessage({ type, flags, sequence }, body, pairs);
      const { payload, ...head } = parseMessage(encoded) ?? { payload: new Uint8Array() };
      assert.equal(encoded.length % 4, 0);
      assert.deepEqual(head, { type, flags, sequence });
      assert.deepEqual(payload.slice(0, 12), body);
      assert.deepEqual(
        [...parseAttributes(payload.subarray(12))].map(([type, value]) => [type, value.slice()]),
        attributes,
      );
    }),
  );
});

t.test("no parser throws, whatever the bytes", async (t) => {
  fc.assert(
    fc.property(bytes, (random) => {
      parseAttributes(random);
      const message = parseMessage(random);
      if (message !== undefined) parseAck(message);
      for (const type of [MessageType.error, MessageType.done]) {
        for (const flags of [0, MessageFlag.ackAttributes, MessageFlag.ackAttributes | MessageFlag.capped]) {
          parseAck({ type, flags, sequence: 1, payload: random });
        }
      }
      readU32(random);
      readText(random);
    }),
  );
  t.equal(parseMessage(new Uint8Array(15)), undefined);
  t.equal(parseMessage(new Uint8Array(16)), undefined, "a length below the header's");
});

t.test("attributes end at the first that does not fit, and flags are no part of a type", async (t) => {
  const good = encodeMessage({ type: 0, flags: 0, sequence: 0 }, new Uint8Array(), [
    { type: 0x8000 | 7, value: u32(5) },
  ]);
  const attributes = good.subarray(16);
  t.strictSame([...parseAttributes(attributes).keys()], [7]);
  t.equal(readU32(parseAttributes(attributes).get(7)), 5);
  t.equal(parseAttributes(attributes.subarray(0, 7)).size, 0);
  t.equal(parseAttributes(Uint8Array.of(0, 0, 1, 0)).size, 0, "a length of 0 does not loop");
});

t.test("a refusal carries errno and the kernel's words", golden, async (t) => {
  const refusal =
    "440000000200000305000000925000009bffffff34000000180005060500000000000000" +
    "200001004e657874686f702068617320696e76616c6964206761746577617900";
  const message = parseMessage(fromHex(refusal));
  t.strictSame(message && parseAck(message), { errno: 101, words: "Nexthop has invalid gateway" });
});

t.test("an acknowledgement is errno 0, the end of a dump too", golden, async (t) => {
  const ack = parseMessage(fromHex("2400000002000001030000009250000000000000240000001a0005000300000000000000"));
  t.strictSame(ack && parseAck(ack), { errno: 0, words: null });
  t.equal(ack?.sequence, 3);
  const done = parseMessage(fromHex("1400000003000200010000009250000000000000"));
  t.strictSame(done && parseAck(done), { errno: 0, words: null });
  const link = parseMessage(fromHex("10000000100002000100000092500000"));
  t.equal(link && parseAck(link), undefined);
});

t.test("without CAP_ACK the words follow the whole quoted request", async (t) => {
  const words = { type: 1, value: new TextEncoder().encode("no\0") };
  const request = encodeMessage({ type: MessageType.newRoute, flags: 5, sequence: 9 }, new Uint8Array(12), [
    { type: 1, value: u32(1) },
  ]);
  const quoted = new Uint8Array([...u32(-22 >>> 0), ...request]);
  const flags = MessageFlag.ackAttributes;
  const message = parseMessage(encodeMessage({ type: MessageType.error, flags, sequence: 9 }, quoted, [words]));
  t.strictSame(message && parseAck(message), { errno: 22, words: "no" });
});

t.test("text ends at its NUL or with its bytes", async (t) => {
  t.equal(readText(Uint8Array.of(108, 111, 0, 120)), "lo");
  t.equal(readText(Uint8Array.of(108, 111)), "lo");
  t.equal(readText(undefined), undefined);
});
