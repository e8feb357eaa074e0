import fc from "fast-check";
import t from "tap";
import { encodeLinkChange, encodeLinkDump, NO_SETTINGS, parseLink } from "../../../src/netlink/link.js";
import {
  type Attribute,
  encodeMessage,
  LITTLE_ENDIAN,
  MessageFlag,
  MessageType,
  parseAttributes,
  parseMessage,
  readU32,
  u32,
  viewOf,
} from "../../../src/netlink/message.js";

const text = (value: string) => new TextEncoder().encode(`${value}\0`);
const NAME = 3;
const LINK_INFO = 18;
const STATS64 = 23;

/** An ifinfomsg with attributes, as the kernel sends it. */
function payload(index: number, flags: number, attributes: Attribute[]): Uint8Array {
  const body = new Uint8Array([0, 0, 0, 0, ...u32(index), ...u32(flags), ...u32(0)]);
  return encodeMessage({ type: MessageType.newLink, flags: 0, sequence: 0 }, body, attributes).subarray(16);
}

t.test("a link is read with its kind, address and counters", async (t) => {
  const stats = new Uint8Array(200);
  for (let word = 0; word < 25; word++) viewOf(stats).setBigUint64(8 * word, BigInt(word + 1) << 33n, LITTLE_ENDIAN);
  const kind = new Uint8Array([8, 0, 1, 0, ...text("tun")]);
  const link = parseLink(
    payload(7, 0x41, [
      { type: NAME, value: text("flannel0") },
      { type: 4, value: u32(1472) },
      { type: 10, value: u32(3) },
      { type: 13, value: u32(500) },
      { type: LINK_INFO, value: kind },
      { type: STATS64, value: stats },
      { type: 1, value: Uint8Array.of(2, 0, 0, 0xab, 0xcd, 0xef) },
    ]),
  );
  t.strictSame(link, {
    index: 7,
    name: "flannel0",
    mtuBytes: 1472,
    isUp: true,
    isRunning: true,
    isLoopback: false,
    kind: "tun",
    vxlan: null,
    ipip: null,
    alias: null,
    hardwareAddress: "02:00:00:ab:cd:ef",
    masterIndex: 3,
    txQueueLength: 500,
    stats: {
      rxPackets: 2 ** 33,
      txPackets: 2 * 2 ** 33,
      rxBytes: 3 * 2 ** 33,
      txBytes: 4 * 2 ** 33,
      rxDropped: 7 * 2 ** 33,
      txDropped: 8 * 2 ** 33,
    },
  });
});

t.test("what a link does not have is null", async (t) => {
  const link = parseLink(payload(1, 0x8, [{ type: NAME, value: text("lo") }]));
  const absent = {
    kind: null,
    vxlan: null,
    ipip: null,
    alias: null,
    hardwareAddress: null,
    masterIndex: null,
    stats: null,
  };
  t.match(link, { index: 1, isUp: false, isRunning: false, isLoopback: true, ...absent });
  t.equal(parseLink(payload(1, 0, [])), undefined, "no name, no link");
});

t.test("any bytes are a link or undefined, never an exception", async () => {
  const attributes = fc.array(
    fc.record({ type: fc.integer({ min: 0, max: 64 }), value: fc.uint8Array({ maxLength: 70 }) }),
    { maxLength: 12 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (random) => void parseLink(random)));
  fc.assert(
    fc.property(attributes, (random) => void parseLink(payload(1, 1, [{ type: NAME, value: text("x") }, ...random]))),
  );
});

t.test("a change names only what is to change", async (t) => {
  const only = parseMessage(encodeLinkChange(5, 9, { ...NO_SETTINGS, mtuBytes: 1400 }));
  t.match(only, { type: MessageType.setLink, flags: MessageFlag.request | MessageFlag.ack, sequence: 5 });
  const view = viewOf(only?.payload ?? new Uint8Array(16));
  t.strictSame(
    [4, 8, 12].map((offset) => view.getUint32(offset, LITTLE_ENDIAN)),
    [9, 0, 0],
    "index, and no flag touched",
  );
  const attributes = parseAttributes(only?.payload.subarray(16) ?? new Uint8Array());
  t.strictSame([...attributes.keys()], [4]);
  t.equal(readU32(attributes.get(4)), 1400);
  const up = parseMessage(encodeLinkChange(5, 9, { ...NO_SETTINGS, isUp: true }));
  t.strictSame(up?.payload.slice(8), new Uint8Array([...u32(1), ...u32(1)]));
});

t.test("a dump asks for everything", async (t) => {
  const dump = parseMessage(encodeLinkDump(1));
  t.match(dump, { type: MessageType.getLink, flags: MessageFlag.request | MessageFlag.dump });
  t.strictSame(dump?.payload.slice(), new Uint8Array(16), "strict checking allows no filter here");
});
