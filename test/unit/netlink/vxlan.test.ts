import { endianness } from "node:os";
import fc from "fast-check";
import t from "tap";
import { encodeLinkRemoval, encodeVxlanLinkAdd, parseLink } from "../../../src/netlink/link.js";
import { MessageFlag, MessageType, parseMessage } from "../../../src/netlink/message.js";
import { encodeVxlan, type NewVxlan, parseVxlan } from "../../../src/netlink/vxlan.js";

/** Captured from Linux 6.18 on a little-endian machine. */
const golden = { skip: endianness() === "BE" ? "the captured bytes are little-endian" : false };

const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"));

/** As the kernel shows `type vxlan id 7 dev 3 local 192.168.50.1 dstport 8472 nolearning`. */
const SHOWN =
  "0800010007000000080003000300000008000400c0a83201050005000000000005001c0000000000050006000000000005001d0000000000" +
  "08001a00000000000800200000000000050007000000000005000b000000000005000c000000000005000d000000000005000e0000000000" +
  "0500190000000000080008002c010000080009000000000006000f00211800000500120001000000050013000000000005001400000000" +
  "000500150000000000050016000000000005001f000100000008000a0000000000";
const NEW: NewVxlan = {
  vni: 7,
  port: 8472,
  localAddress: "192.168.50.1",
  underlayIndex: 3,
  isLearning: false,
  hasUdpChecksum: true,
  isGroupPolicy: false,
};

t.test("a device is read as the kernel shows it", golden, async (t) => {
  t.strictSame(parseVxlan(fromHex(SHOWN)), { ...NEW, remoteAddress: null, isExternal: false });
});

t.test("what is asked for is what is read back", async (t) => {
  const others = { isLearning: true, hasUdpChecksum: false, isGroupPolicy: true, localAddress: "fd00::1" };
  for (const vxlan of [NEW, { ...NEW, ...others }, { ...NEW, localAddress: null, underlayIndex: null }]) {
    t.strictSame(parseVxlan(encodeVxlan(vxlan)), { ...vxlan, remoteAddress: null, isExternal: false });
  }
});

t.test("a new device is one request with name, MTU, MAC and parameters, and never takes another's place", async (t) => {
  const link = { linkName: "flannel.7", mtuBytes: 1450, hardwareAddress: "02:00:00:00:00:01", vxlan: NEW };
  const message = parseMessage(encodeVxlanLinkAdd(4, link));
  t.equal(message?.type, MessageType.newLink);
  const flags = MessageFlag.request | MessageFlag.ack | MessageFlag.create | MessageFlag.exclusive;
  t.equal(message?.flags, flags);
  t.match(message && parseLink(message.payload), {
    name: "flannel.7",
    mtuBytes: 1450,
    kind: "vxlan",
    hardwareAddress: "02:00:00:00:00:01",
    vxlan: NEW,
  });
  t.throws(() => encodeVxlanLinkAdd(4, { ...link, hardwareAddress: "02:00" }), TypeError);
});

t.test("a removal names the link by its index alone", async (t) => {
  const message = parseMessage(encodeLinkRemoval(9, 12));
  t.match(message, { type: MessageType.delLink, flags: MessageFlag.request | MessageFlag.ack, sequence: 9 });
  t.equal(message?.payload.length, 16);
});

t.test("any bytes are a device's parameters or undefined, never an exception", async () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (random) => void parseVxlan(random)));
});
