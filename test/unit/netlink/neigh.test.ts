import { endianness } from "node:os";
import fc from "fast-check";
import t from "tap";
import { MessageFlag, MessageType, parseMessage } from "../../../src/netlink/message.js";
import {
  encodeFdbDump,
  encodeFdbRemoval,
  encodeFdbSet,
  encodeNeighborDump,
  encodeNeighborRemoval,
  encodeNeighborSet,
  linkOfNeighborMessage,
  parseFdbEntry,
  parseNeighbor,
} from "../../../src/netlink/neigh.js";

/** Captured from Linux 6.18 on a little-endian machine. */
const golden = { skip: endianness() === "BE" ? "the captured bytes are little-endian" : false };

const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"));
const MAC = "02:00:00:00:00:02";
const SET = MessageFlag.request | MessageFlag.ack | MessageFlag.create | MessageFlag.replace;

t.test("permanent neighbours of both families are read", golden, async (t) => {
  const v4 = fromHex(
    "020000000400000080000001080001000af402000a000200020000000002000008000400000000001400030000000000000000000000000001000000",
  );
  t.strictSame(parseNeighbor(v4), {
    linkIndex: 4,
    family: 4,
    address: "10.244.2.0",
    macAddress: MAC,
    isPermanent: true,
  });
  t.equal(linkOfNeighborMessage(v4), 4);
  t.equal(parseFdbEntry(v4), undefined, "no forwarding entry");
  const v6 = fromHex(
    "0a000000040000008000000114000100fd0000020000000000000000000000000a000200020000000002000008000400000000001400030000000000000000000000000001000000",
  );
  t.match(parseNeighbor(v6), { family: 6, address: "fd00:2::", macAddress: MAC, isPermanent: true });
});

t.test("a neighbour that failed has no MAC", golden, async (t) => {
  const failed = fromHex(
    "020000000400000020000001080001000af402000800040000000000140003004d0000004d0000004d00000001000000",
  );
  t.match(parseNeighbor(failed), { address: "10.244.2.0", macAddress: null, isPermanent: false });
});

t.test(
  "forwarding entries are read, and which of them are not for the device's own port and VNI",
  golden,
  async (t) => {
    const plain = fromHex(
      "0700000004000000c00002010a000200020000000002000008000100c0a832021400030000000000000000000000000000000000",
    );
    t.strictSame(parseFdbEntry(plain), {
      linkIndex: 4,
      macAddress: MAC,
      endpoint: "192.168.50.2",
      isPermanent: true,
      isSpecial: false,
    });
    t.equal(parseNeighbor(plain), undefined, "no neighbour");
    const special = fromHex(
      "0700000004000000c00002010a000200020000000003000008000100c0a832030600060012b5000008000700090000001400030000000000000000000000000000000000",
    );
    t.match(parseFdbEntry(special), { endpoint: "192.168.50.3", isSpecial: true });
  },
);

t.test("what is set is what is read back, in the place of whatever was there", async (t) => {
  for (const [address, family] of [
    ["10.244.2.0", 4],
    ["fd00:2::", 6],
  ] as const) {
    const target = { linkIndex: 4, address, macAddress: MAC };
    const message = parseMessage(encodeNeighborSet(1, target));
    t.match(message, { type: MessageType.newNeighbor, flags: SET, sequence: 1 });
    t.strictSame(message && parseNeighbor(message.payload), { ...target, family, isPermanent: true });
    const removal = parseMessage(encodeNeighborRemoval(2, target));
    t.match(removal, { type: MessageType.delNeighbor, flags: MessageFlag.request | MessageFlag.ack });
    t.match(removal && parseNeighbor(removal.payload), { linkIndex: 4, family, address });
  }
  const target = { linkIndex: 4, macAddress: MAC, endpoint: "192.168.50.2" };
  const message = parseMessage(encodeFdbSet(3, target));
  t.match(message, { type: MessageType.newNeighbor, flags: SET });
  t.strictSame(message && parseFdbEntry(message.payload), { ...target, isPermanent: true, isSpecial: false });
  t.equal(message?.payload[10], 2, "on the device itself, not on a bridge it may belong to");
  const removal = parseMessage(encodeFdbRemoval(4, target));
  t.equal(removal?.type, MessageType.delNeighbor);
  t.match(removal && parseFdbEntry(removal.payload), { linkIndex: 4, macAddress: MAC, endpoint: null });
});

t.test("dumps ask for one link only", async (t) => {
  for (const [encode, family] of [
    [encodeNeighborDump, 0],
    [encodeFdbDump, 7],
  ] as const) {
    const message = parseMessage(encode(5, 9));
    t.match(message, { type: MessageType.getNeighbor, flags: MessageFlag.request | MessageFlag.dump });
    t.strictSame([...(message?.payload.subarray(0, 12) ?? [])], [family, ...new Uint8Array(11)]);
    t.equal(message?.payload.length, 20, "and the link's index");
  }
});

t.test("any bytes are an entry or undefined, never an exception", async () => {
  fc.assert(
    fc.property(fc.constantFrom(2, 7, 10), fc.uint8Array({ maxLength: 120 }), (family, bytes) => {
      for (const payload of [bytes, Uint8Array.of(family, ...bytes)]) {
        parseNeighbor(payload);
        parseFdbEntry(payload);
        linkOfNeighborMessage(payload);
      }
    }),
  );
});
