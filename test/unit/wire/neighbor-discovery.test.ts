// wire/neighbor-discovery: solicitations as a kernel sends them, damaged ones, random bytes; checksums by wire/checksum.
import fc from "fast-check";
import t from "tap";
import { checkTransportChecksum, foldSum, sumWords } from "../../../src/wire/checksum.js";
import { decodeIpv6 } from "../../../src/wire/ipv6.js";
import {
  decodeNeighborSolicitation,
  encodeNeighborAdvertisement,
  type NeighborSolicitation,
} from "../../../src/wire/neighbor-discovery.js";
import { bytes } from "./packets.js";

const OWN_MAC = bytes("020000000001");
const SOURCE = "fe800000000000000000000000000002";
const TARGET = "fd000000000000010000000000000000";
const SOURCE_MAC_OPTION = "0101020000000002";

interface Parts {
  readonly source?: string;
  readonly target?: string;
  readonly hopLimit?: string;
  readonly type?: string;
  readonly options?: string;
}

/** A solicitation to the solicited-node address of its target, its checksum correct. */
function solicitation(parts: Parts = {}): Uint8Array {
  const { source = SOURCE, target = TARGET, hopLimit = "ff", type = "8700", options = SOURCE_MAC_OPTION } = parts;
  const message = bytes(`${type} 0000 00000000 ${target} ${options}`);
  const addresses = bytes(`${source} ff0200000000000000000001ff000000`);
  const sum = foldSum(sumWords(addresses) + 58 + message.length + sumWords(message));
  new DataView(message.buffer).setUint16(2, 0xffff - sum);
  const header = bytes(`60000000 00${message.length.toString(16).padStart(2, "0")} 3a ${hopLimit}`);
  return Uint8Array.of(...header, ...addresses, ...message);
}

function read(packet: Uint8Array): NeighborSolicitation {
  const found = decodeNeighborSolicitation(packet);
  if (found === undefined) throw new Error("not a solicitation");
  return found;
}

t.test("a solicitation tells who asks for which address", async (t) => {
  const expected = { source: "fe80::2", sourceMac: bytes("020000000002"), target: "fd00:0:0:1::" };
  t.same(read(solicitation()), expected);
  const nonce = "0e01aabbccddeeff";
  t.same(read(solicitation({ options: nonce + SOURCE_MAC_OPTION })), expected, "among other options");
  t.same(read(solicitation({ options: "" })), { ...expected, sourceMac: null });
  t.same(read(Uint8Array.of(...solicitation(), 0, 0)), expected, "behind the packet there may be padding");
});

t.test("the advertisement is solicited, says the MAC, and has a correct checksum", async (t) => {
  const packet = encodeNeighborAdvertisement(read(solicitation()), OWN_MAC);
  t.equal(checkTransportChecksum(packet), "correct");
  const ip = decodeIpv6(packet);
  t.match(ip, { source: "fd00:0:0:1::", destination: "fe80::2", nextHeader: 58, hopLimit: 255, payloadLength: 32 });
  const message = Buffer.from(ip?.payload ?? []).toString("hex");
  t.match(message, new RegExp(`^8800....e0000000${TARGET}0201020000000001$`));
  t.equal(decodeNeighborSolicitation(packet), undefined, "and is no solicitation");
});

t.test("a solicitation that RFC 4861 section 7.1.1 wants discarded is none", async (t) => {
  const damaged = solicitation();
  damaged[60] = (damaged[60] ?? 0) ^ 1;
  const cases: Readonly<Record<string, Uint8Array>> = {
    "a hop limit that a router lowered": solicitation({ hopLimit: "fe" }),
    "a wrong checksum": damaged,
    "another code": solicitation({ type: "8701" }),
    "another type": solicitation({ type: "8600" }),
    "an option without length": solicitation({ options: "0100020000000002" }),
    "an option that is cut off": solicitation({ options: "0102020000000002" }),
    "the beginning of an option": solicitation({ options: "0101" }),
  };
  for (const [name, packet] of Object.entries(cases)) t.equal(decodeNeighborSolicitation(packet), undefined, name);
  for (let length = 0; length < solicitation().length; length++) {
    t.equal(decodeNeighborSolicitation(solicitation().subarray(0, length)), undefined, `cut to ${length}`);
  }
});

t.test("whoever cannot be answered does not ask", async (t) => {
  t.equal(decodeNeighborSolicitation(solicitation({ source: "0".repeat(32), options: "" })), undefined, "::");
  t.equal(decodeNeighborSolicitation(solicitation({ source: `ff02${"0".repeat(27)}1` })), undefined, "multicast");
  for (const mac of ["030000000002", "000000000000"]) {
    t.equal(decodeNeighborSolicitation(solicitation({ options: `0101${mac}` })), undefined, mac);
  }
});

t.test("any solicitation is read as what it says, and its advertisement has a correct checksum", async () => {
  const hex = (count: number) =>
    fc.uint8Array({ minLength: count, maxLength: count }).map((octets) => Buffer.from(octets).toString("hex"));
  fc.assert(
    fc.property(hex(14), hex(16), hex(5), (source, target, mac) => {
      const parts = { source: `fd00${source}`, target, options: `010102${mac}` };
      const advertisement = encodeNeighborAdvertisement(read(solicitation(parts)), OWN_MAC);
      const text = Buffer.from(advertisement).toString("hex");
      return (
        checkTransportChecksum(advertisement) === "correct" &&
        text.slice(16, 80) === `${target}fd00${source}` &&
        text.slice(96, 128) === target
      );
    }),
  );
});

t.test("any bytes, and any change of a solicitation, are read without an error", async () => {
  const readable = (packet: Uint8Array): boolean => {
    const found = decodeNeighborSolicitation(packet);
    return found === undefined || encodeNeighborAdvertisement(found, OWN_MAC).length === 72;
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 128 }), readable));
  const options = fc.uint8Array({ maxLength: 40 }).map((octets) => Buffer.from(octets).toString("hex"));
  fc.assert(fc.property(options, (noise) => readable(solicitation({ options: noise }))));
});
