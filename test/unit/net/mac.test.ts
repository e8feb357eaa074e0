import assert from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import { formatMac, isUnicastMac, parseMac } from "../../../src/net/mac.js";

t.test("six hex octets in any case are a MAC, written back in lower case", async (t) => {
  t.strictSame(parseMac("02:00:5E:10:0a:fF"), Uint8Array.of(2, 0, 0x5e, 0x10, 0x0a, 0xff));
  t.equal(formatMac(Uint8Array.of(2, 0, 0x5e, 0x10, 0x0a, 0xff)), "02:00:5e:10:0a:ff");
});

t.test("anything else is none", async (t) => {
  const others = ["", "02:00:5e:10:0a", "02:00:5e:10:0a:ff:01", "2:0:5e:10:a:ff", "02-00-5e-10-0a-ff", "02005e100aff"];
  for (const text of [...others, "0g:00:5e:10:0a:ff", " 02:00:5e:10:0a:ff", "02:00:5e:10:0a:ff\n"]) {
    t.equal(parseMac(text), undefined, JSON.stringify(text));
  }
});

t.test("every six octets survive text and back", async () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (octets) => {
      assert.deepEqual(parseMac(formatMac(octets)), octets);
    }),
  );
});

t.test("a host's address is neither multicast nor all zero", async (t) => {
  t.ok(isUnicastMac(Uint8Array.of(2, 0, 0, 0, 0, 1)));
  t.ok(isUnicastMac(Uint8Array.of(0, 0, 0, 0, 0, 1)));
  for (const first of [0x01, 0x33, 0xff]) t.notOk(isUnicastMac(Uint8Array.of(first, 0, 0, 0, 0, 1)));
  t.notOk(isUnicastMac(new Uint8Array(6)));
});
