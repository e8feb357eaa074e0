// netlink/ipip: what is asked for, and how a device of the kernel's is read. Devices of a real kernel: scripts/vm-ipip.
import fc from "fast-check";
import t from "tap";
import { encodeImpossibleIpip, encodeIpip, INHERIT_TOS, parseIpip } from "../../../src/netlink/ipip.js";
import { encodeIpipLinkAdd, encodeIpipProbe, parseLink } from "../../../src/netlink/link.js";
import { encodeAttributes, MessageFlag, MessageType, parseMessage, u16 } from "../../../src/netlink/message.js";

const NEW = { localAddress: "192.168.50.10", tos: INHERIT_TOS, fouPort: null };
const AS_INNER_PACKET = { remoteAddress: null, ttl: 0, hasPathMtuDiscovery: false, isPlain: true };

t.test("what is asked for is what is read back", async (t) => {
  t.strictSame(parseIpip(encodeIpip(NEW)), { ...NEW, ...AS_INNER_PACKET });
  t.strictSame(parseIpip(encodeIpip({ localAddress: null, tos: 0, fouPort: null })), {
    ...{ localAddress: null, tos: 0, fouPort: null },
    ...AS_INNER_PACKET,
  });
  t.strictSame(parseIpip(encodeIpip({ ...NEW, fouPort: 8285 })), { ...NEW, ...AS_INNER_PACKET, fouPort: 8285 });
});

t.test("a new device is one request with name, MTU and parameters, and never takes another's place", async (t) => {
  const message = parseMessage(encodeIpipLinkAdd(4, { linkName: "flannel.ipip", mtuBytes: 1480, ipip: NEW }));
  const flags = MessageFlag.request | MessageFlag.ack | MessageFlag.create | MessageFlag.exclusive;
  t.match(message, { type: MessageType.newLink, flags });
  t.match(message && parseLink(message.payload), {
    name: "flannel.ipip",
    mtuBytes: 1480,
    kind: "ipip",
    hardwareAddress: null,
    ipip: NEW,
  });
});

t.test("a device that is more than IPv4 in IPv4 is told apart", async (t) => {
  const plain = encodeIpip(NEW);
  const withAttribute = (type: number, ...value: number[]) =>
    parseIpip(Uint8Array.from([...plain, ...encodeAttributes([{ type, value: Uint8Array.from(value) }])]));
  t.equal(withAttribute(19).isPlain, false, "collect metadata");
  t.equal(withAttribute(9, 137).isPlain, false, "MPLS");
  t.equal(withAttribute(10, 1).hasPathMtuDiscovery, true);
  t.equal(withAttribute(3, 192, 168, 50, 11).remoteAddress, "192.168.50.11");
});

t.test("a device that is not the FOU that we make is told apart", async (t) => {
  const fou = encodeIpip({ ...NEW, fouPort: 8285 });
  const withAttribute = (type: number, ...value: number[]) =>
    parseIpip(Uint8Array.from([...fou, ...encodeAttributes([{ type, value: Uint8Array.from(value) }])]));
  const others = { isPlain: false, fouPort: null };
  t.match(withAttribute(15, ...u16(2)), others, "GUE");
  t.match(withAttribute(16, ...u16(0)), others, "without checksum");
  t.match(withAttribute(16, ...u16(5)), others, "with remote checksum offload");
  t.match(withAttribute(17, 0, 0), others, "a source port for each flow");
  t.match(withAttribute(18, 0x20, 0x5e), others, "to another port than from");
  t.match(
    withAttribute(15, ...u16(0)),
    { isPlain: true, fouPort: null },
    "what stands there without encapsulation is nothing",
  );
});

t.test("the question for ipip names the type and an impossible protocol, and no device", async (t) => {
  const message = parseMessage(encodeIpipProbe(3));
  t.equal(message?.type, MessageType.newLink);
  t.equal(message && parseLink(message.payload), undefined);
  t.equal(parseIpip(encodeImpossibleIpip()).isPlain, false);
});

t.test("any bytes are read without an exception", async () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (random) => void parseIpip(random)));
});
