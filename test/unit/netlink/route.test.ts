import { endianness } from "node:os";
import fc from "fast-check";
import t from "tap";
import { MessageFlag, MessageType, parseMessage } from "../../../src/netlink/message.js";
import {
  encodeBlackholeRemoval,
  encodeRouteAdd,
  encodeRouteQuery,
  encodeRouteRemoval,
  encodeRouteReplace,
  HOPSACK_ROUTE_PROTOCOL,
  MAIN_TABLE,
  parsePath,
  parseRoute,
  parseRouteAnswer,
  RouteType,
} from "../../../src/netlink/route.js";

/** Captured from Linux 6.18 on a little-endian machine. */
const golden = { skip: endianness() === "BE" ? "the captured bytes are little-endian" : false };
const fromHex = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));

function payload(hex: string): Uint8Array {
  return parseMessage(fromHex(hex))?.payload ?? new Uint8Array();
}

t.test("a connected route is read", golden, async (t) => {
  const hex =
    "3c00000018002200020000009250000002180000fe02fd010000000008000f00fe000000080001000a630000" +
    "080007000a6300010800040003000000";
  t.strictSame(parseRoute(payload(hex)), {
    family: 4,
    prefix: "10.99.0.0/24",
    table: MAIN_TABLE,
    protocol: 2,
    scope: 253,
    type: RouteType.unicast,
    metric: 0,
    preferredSource: "10.99.0.1",
    nextHops: [{ linkIndex: 3, gateway: null }],
  });
});

t.test("a multipath route has a next hop each, also by a gateway of the other family", golden, async (t) => {
  const hex =
    "6800000018002200020000009250000002100000fe0300010000000008000f00fe000000080001000a050000" +
    "0800060007000000340009001000000003000000080005000a6300032000000003000000160012000a00" +
    "fd0000000000000000000000000000090000";
  t.match(parseRoute(payload(hex)), {
    prefix: "10.5.0.0/16",
    metric: 7,
    nextHops: [
      { linkIndex: 3, gateway: "10.99.0.3" },
      { linkIndex: 3, gateway: "fd00::9" },
    ],
  });
});

t.test("a blackhole has no next hop, an IPv6 route its metric", golden, async (t) => {
  const blackhole = "2c00000018002200020000009250000002100000fe0300060000000008000f00fe000000080001000a060000";
  t.match(parseRoute(payload(blackhole)), { prefix: "10.6.0.0/16", type: RouteType.blackhole, nextHops: [] });
  const v6 =
    "740000001800220002000000925000000a400000fe0200010000000008000f00fe00000014000100fd00000000000000" +
    "0000000000000000080006000001000008000400030000002400" +
    "0c0000000000000000000000000000000000000000000000000000000000000000000500140000000000";
  t.match(parseRoute(payload(v6)), { family: 6, prefix: "fd00::/64", metric: 256, nextHops: [{ linkIndex: 3 }] });
});

t.test("the answer to a query is the way of that one address", golden, async (t) => {
  const hex =
    "8000000018000000030000009250000002200000fe0000010002000008000f00fe000000080001000a050101" +
    "0800040003000000080007000a630001160012000a00fd00000000000000000000000000000900000800190000000000" +
    "24000c000200000000000000000000000000000000000000000000000000000000000000";
  const hop = { linkIndex: 3, gateway: "fd00::9" };
  t.match(parseRouteAnswer(payload(hex)), { prefix: "10.5.1.1/32", preferredSource: "10.99.0.1", nextHops: [hop] });
  t.equal(parseRoute(payload(hex)), undefined, "a cached route is none of the table");
  t.equal(parsePath(payload(hex)), undefined, "a router of the other family is no path");
});

t.test("requests have the bytes that ip sends", golden, async (t) => {
  const target = { prefix: "10.7.0.0/16", linkIndex: 3, gateway: null, isOnLink: false, metric: null };
  const add = "2c000000180005060500000000000000" + "02100000fe55fd0100000000" + "080001000a070000" + "0800040003000000";
  t.strictSame(encodeRouteAdd(5, target), fromHex(add));
  const viaV6 = { prefix: "fd55::/48", linkIndex: 3, gateway: "fd00::2", isOnLink: false, metric: 9 };
  const message = parseMessage(encodeRouteReplace(6, viaV6));
  t.equal(message?.flags, MessageFlag.request | MessageFlag.ack | MessageFlag.create | MessageFlag.replace);
  t.match(message && parseRoute(message.payload), {
    prefix: "fd55::/48",
    protocol: HOPSACK_ROUTE_PROTOCOL,
    scope: 0,
    metric: 9,
    nextHops: [{ linkIndex: 3, gateway: "fd00::2" }],
  });
  const removal = parseMessage(encodeRouteRemoval(7, { ...target, protocol: 3 }));
  t.equal(removal?.type, MessageType.delRoute);
  t.match(removal && parseRoute(removal.payload), { protocol: 3, scope: 255 });
  const blackhole = parseMessage(encodeBlackholeRemoval(8, { prefix: "10.7.0.0/16", metric: 32, protocol: 12 }));
  t.equal(blackhole?.type, MessageType.delRoute);
  t.match(blackhole && parseRoute(blackhole.payload), { type: 6, protocol: 12, metric: 32, scope: 255, nextHops: [] });
  const query = "24000000" + "1a00" + "0500" + "0300000000000000" + "022000000000000000000000" + "080001000a050101";
  t.strictSame(encodeRouteQuery(3, "10.5.1.1"), fromHex(query));
  const fromUs = "2c000000" + "1a00" + "0500" + "0300000000000000" + "022020000000000000000000" + "080001000a050101";
  t.strictSame(encodeRouteQuery(3, "10.5.1.1", "10.99.0.1"), fromHex(`${fromUs}080002000a630001`));
});

t.test("any bytes are a route or undefined, never an exception", async () => {
  const random = fc.uint8Array({ maxLength: 120 });
  fc.assert(
    fc.property(fc.constantFrom(2, 10, 128), random, (family, bytes) => {
      parseRoute(bytes);
      parseRoute(Uint8Array.of(family, ...bytes));
      parseRouteAnswer(Uint8Array.of(family, ...bytes));
      parsePath(Uint8Array.of(family, ...bytes));
    }),
  );
});

t.test("next hops that claim more bytes than there are, or none, end the list", async (t) => {
  const body = [2, 16, 0, 0, 254, 2, 0, 1, 0, 0, 0, 0];
  for (const hops of [
    [12, 0, 9, 0, 64, 0, 0, 0, 3, 0, 0, 0],
    [12, 0, 9, 0, 0, 0, 0, 0, 3, 0, 0, 0],
  ]) {
    t.strictSame(parseRoute(Uint8Array.from([...body, ...hops]))?.nextHops, []);
  }
  t.equal(parseRoute(Uint8Array.from([2, 33, ...body.slice(2)])), undefined, "a length beyond the address");
});
