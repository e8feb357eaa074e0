// The header decoders: known packets, damaged packets, and random bytes.
import fc from "fast-check";
import t from "tap";
import { decodeEthernet } from "../../../src/wire/ethernet.js";
import { decodeIcmp } from "../../../src/wire/icmp.js";
import { decodeIpv4 } from "../../../src/wire/ipv4.js";
import { decodeIpv6 } from "../../../src/wire/ipv6.js";
import { decodeTcp } from "../../../src/wire/tcp.js";
import { decodeUdp } from "../../../src/wire/udp.js";
import { bytes, INNER_PING, TUNNELLED_PING } from "./packets.js";

t.test("an Ethernet header gives addresses, type and the rest", async (t) => {
  t.match(decodeEthernet(TUNNELLED_PING), {
    destination: "02:aa:00:00:00:02",
    source: "02:aa:00:00:00:01",
    etherType: 0x0800,
  });
  t.equal(decodeEthernet(TUNNELLED_PING)?.payload.byteOffset, 14);
  t.equal(decodeEthernet(TUNNELLED_PING.subarray(0, 13)), undefined);
});

t.test("an IPv4 header gives its fields", async (t) => {
  t.match(decodeIpv4(INNER_PING), {
    headerBytes: 20,
    totalLength: 36,
    identification: 0x1c46,
    dontFragment: true,
    moreFragments: false,
    fragmentOffset: 0,
    ttl: 64,
    protocol: 1,
    isHeaderChecksumCorrect: true,
    source: "10.244.1.2",
    destination: "10.244.2.2",
  });
});

t.test("a flipped bit in an IPv4 header is seen by its checksum", async (t) => {
  const damaged = INNER_PING.slice();
  damaged[8] = 63;
  t.equal(decodeIpv4(damaged)?.isHeaderChecksumCorrect, false);
});

t.test("an IPv4 payload ends where the header says, not where the capture ends", async (t) => {
  const padded = Uint8Array.from([...INNER_PING, 0, 0, 0]);
  t.equal(decodeIpv4(padded)?.payload.length, 16);
  t.equal(decodeIpv4(INNER_PING.subarray(0, 30))?.payload.length, 10);
});

t.test("what is no IPv4 header is refused", async (t) => {
  t.equal(decodeIpv4(INNER_PING.subarray(0, 19)), undefined, "too short");
  t.equal(decodeIpv4(bytes(`60${"00".repeat(40)}`)), undefined, "version 6");
  t.equal(decodeIpv4(bytes(`44 000028${"00".repeat(40)}`)), undefined, "header of 16 bytes");
  t.equal(decodeIpv4(bytes(`4f 000028${"00".repeat(40)}`)), undefined, "header longer than the bytes");
  t.equal(decodeIpv4(bytes(`45 000013${"00".repeat(40)}`)), undefined, "total length shorter than the header");
});

t.test("an IPv6 header gives its fields", async (t) => {
  const packet = bytes(`6b01 2345 0004 3a40 fd00 0010 0244 0001 0000 0000 0000 0002
    fd00 0010 0244 0002 0000 0000 0000 0002 8000 0000 ff`);
  t.match(decodeIpv6(packet), {
    trafficClass: 0xb0,
    flowLabel: 0x12345,
    payloadLength: 4,
    nextHeader: 58,
    hopLimit: 64,
    source: "fd00:10:244:1::2",
    destination: "fd00:10:244:2::2",
  });
  t.equal(decodeIpv6(packet)?.payload.length, 4);
  t.equal(decodeIpv6(packet.subarray(0, 39)), undefined);
  t.equal(decodeIpv6(INNER_PING), undefined);
});

t.test("a UDP header gives ports, length and checksum", async (t) => {
  const datagram = bytes("205d 2118 000b abcd 010203 ffff");
  t.match(decodeUdp(datagram), { sourcePort: 8285, destinationPort: 8472, length: 11, checksum: 0xabcd });
  t.same(decodeUdp(datagram)?.payload, bytes("010203"));
  t.equal(decodeUdp(bytes("205d 2118 0007 abcd")), undefined, "length shorter than the header");
  t.equal(decodeUdp(datagram.subarray(0, 7)), undefined);
});

t.test("a TCP header gives ports, numbers, flags and the bytes after its options", async (t) => {
  const segment = bytes("1451 c350 00000001 ffffffff 6018 0400 0000 0000 01010101 6869");
  t.match(decodeTcp(segment), {
    headerBytes: 24,
    sourcePort: 5201,
    destinationPort: 50000,
    sequence: 1,
    acknowledgement: 0xffffffff,
    flags: ["PSH", "ACK"],
    window: 1024,
  });
  t.same(decodeTcp(segment)?.payload, bytes("6869"));
  t.equal(decodeTcp(bytes("1451 c350 00000001 ffffffff 4018 0400 0000 0000")), undefined, "header of 16 bytes");
  t.equal(decodeTcp(segment.subarray(0, 23)), undefined, "options cut off");
});

t.test("an ICMP echo has identifier and sequence, other messages have none", async (t) => {
  t.match(decodeIcmp(bytes("0800 0000 1234 0001 61"), 4), {
    name: "Echo request",
    echo: { identifier: 0x1234, sequence: 1 },
  });
  t.match(decodeIcmp(bytes("0304 0000 0000 05c0"), 4), { name: "Destination unreachable", code: 4, echo: null });
  t.match(decodeIcmp(bytes("0200 0000 0000 05c0"), 6), { name: "Packet too big", echo: null });
  t.match(decodeIcmp(bytes("2a00 0000 0000 0000"), 4), { name: "Type 42", echo: null });
  t.equal(decodeIcmp(bytes("0800 0000 1234 00"), 4), undefined);
});

t.test("no decoder throws on random bytes, and no payload reaches beyond them", async (t) => {
  const decoders = [
    decodeEthernet,
    decodeIpv4,
    decodeIpv6,
    decodeUdp,
    decodeTcp,
    (data: Uint8Array) => decodeIcmp(data, 4),
    (data: Uint8Array) => decodeIcmp(data, 6),
  ];
  const firstByte = fc.constantFrom(0x45, 0x46, 0x4f, 0x60, 0x00, 0xff);
  const packet = fc.tuple(firstByte, fc.uint8Array({ maxLength: 120 })).map(([first, rest]) => [first, ...rest]);
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), packet), (data) => {
        const whole = Uint8Array.from([0xee, ...data, 0xee]);
        const window = whole.subarray(1, whole.length - 1); // the neighbours' bytes must not be read
        for (const decode of decoders) {
          const payload = decode(window)?.payload;
          if (payload === undefined) continue;
          if (payload.byteOffset + payload.length > window.byteOffset + window.length)
            throw new Error("beyond the end");
        }
      }),
    ),
  );
});
