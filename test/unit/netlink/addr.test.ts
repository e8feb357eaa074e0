import { endianness } from "node:os";
import fc from "fast-check";
import t from "tap";
import {
  encodeAddressAdd,
  encodeAddressRemoval,
  parseInterfaceAddressMessage,
  RouteScope,
} from "../../../src/netlink/addr.js";
import { MessageType, parseMessage } from "../../../src/netlink/message.js";

/** Captured from Linux 6.18 on a little-endian machine. */
const golden = { skip: endianness() === "BE" ? "the captured bytes are little-endian" : false };

function parsed(hex: string) {
  const message = parseMessage(new Uint8Array(Buffer.from(hex, "hex")));
  return message && parseInterfaceAddressMessage(message.payload);
}

t.test("an IPv4 address is read", golden, async (t) => {
  const hex =
    "4c0000001400020001000000925000000218800003000000080001000a630001080002000a6300010700030076300000" +
    "080008008000000014000600ffffffffffffffff4daa06004daa0600";
  t.strictSame(parsed(hex), {
    linkIndex: 3,
    family: 4,
    address: "10.99.0.1",
    prefixLength: 24,
    scope: RouteScope.universe,
    isPermanent: true,
    isDeprecated: false,
    isTemporary: false,
    isTentative: false,
  });
});

t.test("on a point-to-point link the own address counts, not the peer's", golden, async (t) => {
  const hex =
    "4c0000001400020001000000925000000220800002000000080001000a620002080002000a6200010700030076310000" +
    "080008008000000014000600ffffffffffffffff4daa06004daa0600";
  t.match(parsed(hex), { address: "10.98.0.1", prefixLength: 32 });
});

t.test("IPv6 addresses are read, link-local ones with their scope", golden, async (t) => {
  const global =
    "480000001400020001000000925000000a40c0000300000014000100fd000000000000000000000000000001" +
    "14000600ffffffffffffffff4daa06004daa060008000800c0000000";
  t.match(parsed(global), {
    family: 6,
    address: "fd00::1",
    prefixLength: 64,
    scope: RouteScope.universe,
    linkIndex: 3,
  });
  const linkLocal =
    "500000001400020001000000925000000a40c0fd0200000014000100fe80000000000000bcf323fffe3b94fa" +
    "14000600ffffffffffffffff4daa06004daa060008000800c000000005000b0003000000";
  t.match(parsed(linkLocal), { address: "fe80::bcf3:23ff:fe3b:94fa", scope: RouteScope.link, isPermanent: true });
});

t.test("addresses that do not last, or may not be used yet, are told from others", async (t) => {
  const withFlags = (family: number, flags: number) => {
    const addressBytes = family === 2 ? "0a630001" : "fd000000000000000000000000000001";
    const attribute = `${family === 2 ? "08" : "14"}000100${addressBytes}`;
    const body = `${family === 2 ? "0218" : "0a40"}${flags.toString(16).padStart(2, "0")}0003000000`;
    return parseInterfaceAddressMessage(Uint8Array.from(Buffer.from(body + attribute, "hex")));
  };
  t.match(withFlags(10, 0x80), { isTemporary: false, isTentative: false });
  t.match(withFlags(10, 0x01), { isTemporary: true, isTentative: false });
  t.match(withFlags(10, 0xc0), { isTentative: true });
  t.match(withFlags(10, 0x88), { isTentative: true }, "detection failed: another host has it");
  t.match(withFlags(2, 0x81), { isTemporary: false }, "of an IPv4 address the bit says: secondary");
});

t.test("what is asked to be added is read back as the same address", async (t) => {
  for (const [text, family] of [
    ["10.55.30.0/32", 4],
    ["fd55:0:0:1::/128", 6],
  ] as const) {
    const message = parseMessage(encodeAddressAdd(3, 12, text));
    const [address, length] = text.split("/");
    t.equal(message?.type, MessageType.newAddress);
    t.match(message && parseInterfaceAddressMessage(message.payload), {
      linkIndex: 12,
      family,
      address,
      prefixLength: Number(length),
    });
  }
  t.equal(parseMessage(encodeAddressRemoval(3, 12, "10.55.30.0/32"))?.type, MessageType.delAddress);
  t.throws(() => encodeAddressAdd(1, 1, "10.55.30.0"), TypeError);
});

t.test("any bytes are an address or undefined, never an exception", async () => {
  const random = fc.uint8Array({ maxLength: 100 });
  const family = fc.constantFrom(2, 10);
  fc.assert(fc.property(random, (bytes) => void parseInterfaceAddressMessage(bytes)));
  fc.assert(fc.property(family, random, (af, bytes) => void parseInterfaceAddressMessage(Uint8Array.of(af, ...bytes))));
});
