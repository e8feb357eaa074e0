// wire/arp beside bytes that a kernel sent: who has 10.244.1.0, asked by 10.244.2.0.
import fc from "fast-check";
import t from "tap";
import { formatIpv4 } from "../../../src/net/ipv4.js";
import { type ArpRequest, decodeArpRequest, encodeArpReply } from "../../../src/wire/arp.js";
import { bytes } from "./packets.js";

const REQUEST = bytes("0001 0800 0604 0001 020000000002 0af40200 000000000000 0af40100");
const OWN_MAC = bytes("020000000001");

/** The request with these bytes changed. */
function changed(changes: Readonly<Record<number, number>>): Uint8Array {
  const copy = REQUEST.slice();
  for (const [offset, byte] of Object.entries(changes)) copy[Number(offset)] = byte;
  return copy;
}

/** The request, read; fails the test when it is none. */
function read(payload: Uint8Array): ArpRequest {
  const request = decodeArpRequest(payload);
  if (request === undefined) throw new Error("not a request");
  return request;
}

t.test("a request tells who asks for which address", async (t) => {
  t.same(read(REQUEST), {
    senderMac: bytes("020000000002"),
    senderAddress: "10.244.2.0",
    target: "10.244.1.0",
  });
  t.same(read(Uint8Array.of(...REQUEST, ...new Uint8Array(18))), read(REQUEST), "padded to Ethernet's 60 bytes");
});

t.test("the reply is the kernel's to the byte", async (t) => {
  const reply = encodeArpReply(read(REQUEST), OWN_MAC);
  t.same(reply, bytes("0001 0800 0604 0002 020000000001 0af40100 020000000002 0af40200"));
  t.equal(decodeArpRequest(reply), undefined, "and no request");
});

t.test("what is no request of a host over Ethernet for an IPv4 address is none", async (t) => {
  for (const [offset, byte] of [
    [1, 6],
    [2, 0x86],
    [4, 8],
    [5, 16],
    [7, 2],
    [7, 0],
    [7, 3],
    [8, 3],
  ] as const) {
    t.equal(decodeArpRequest(changed({ [offset]: byte })), undefined, `byte ${offset} = ${byte}`);
  }
  t.equal(decodeArpRequest(changed({ 8: 0, 13: 0 })), undefined, "MAC 00:00:00:00:00:00");
  for (let length = 0; length < REQUEST.length; length++) {
    t.equal(decodeArpRequest(REQUEST.subarray(0, length)), undefined, `cut to ${length}`);
  }
});

t.test("any request is read as what it says, and any bytes are read without an error", async () => {
  const octets = (count: number) => fc.uint8Array({ minLength: count, maxLength: count });
  fc.assert(
    fc.property(octets(5), octets(4), octets(4), (mac, from, to) => {
      const senderMac = Uint8Array.of(2, ...mac);
      const payload = Uint8Array.of(...REQUEST.subarray(0, 8), ...senderMac, ...from, ...new Uint8Array(6), ...to);
      const text = (address: Uint8Array) => formatIpv4(new DataView(address.buffer).getUint32(0));
      const request = read(payload);
      const reply = Buffer.from(encodeArpReply(request, OWN_MAC));
      return (
        Buffer.from(request.senderMac).equals(senderMac) &&
        request.senderAddress === text(from) &&
        request.target === text(to) &&
        reply.subarray(8).equals(Buffer.from([...OWN_MAC, ...to, ...senderMac, ...from]))
      );
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.boolean(), (noise, isLikely) => {
      const payload = isLikely ? Uint8Array.of(...REQUEST.subarray(0, 8), ...noise) : noise;
      const request = decodeArpRequest(payload);
      return request === undefined || encodeArpReply(request, OWN_MAC).length === 28;
    }),
  );
});
