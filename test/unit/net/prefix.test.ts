// net/prefix: both families through one set of functions; node:net's BlockList is the oracle of containment.
import { BlockList } from "node:net";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import t from "tap";
import {
  addressBytes,
  contains,
  covers,
  formatAddress,
  formatPrefix,
  type IpFamily,
  overlaps,
  type Prefix,
  parseAddress,
  parseInterfaceAddress,
  parsePrefix,
  prefixOf,
  prefixSize,
} from "../../../src/net/prefix.js";

const anyAddress = fc.oneof(
  fc.record({ family: fc.constant<IpFamily>(4), bits: fc.bigInt({ min: 0n, max: 0xffffffffn }) }),
  fc.record({ family: fc.constant<IpFamily>(6), bits: fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }) }),
);
const anyPrefix = fc
  .tuple(anyAddress, fc.nat(128))
  .map(([address, length]) => prefixOf(address, address.family === 4 ? length % 33 : length));

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`bad prefix in a test: ${text}`);
  return parsed;
}

t.test("reads prefixes of both families", async (t) => {
  t.same(parsePrefix("10.244.0.0/16"), { family: 4, base: 0x0af40000n, length: 16 });
  t.same(parsePrefix("0.0.0.0/0"), { family: 4, base: 0n, length: 0 });
  t.same(parsePrefix("fd00::/8"), { family: 6, base: 0xfdn << 120n, length: 8 });
  t.same(parsePrefix("::1/128"), { family: 6, base: 1n, length: 128 });
});

t.test("refuses host bits, bad lengths and bad addresses", async (t) => {
  const refused = [
    "10.0.0.1/8",
    "10.0.0.0/33",
    "10.0.0.0/08",
    "10.0.0.0/",
    "10.0.0.0",
    "/8",
    "10.0.0.0/8/8",
    "10.0.0.0/-1",
    "10.0.0.0/8 ",
  ];
  refused.push("fd00::/129", "fd00::1/64", "010.0.0.0/8", "", "10.0.0.0/1e1");
  for (const text of refused) t.equal(parsePrefix(text), undefined, JSON.stringify(text));
});

t.test("reads an interface address with its host bits", async (t) => {
  t.same(parseInterfaceAddress("10.55.30.1/24"), { family: 4, bits: 0x0a371e01n, length: 24 });
  t.equal(parseInterfaceAddress("10.55.30.1"), undefined);
});

t.test("prefixes and addresses read back as they were written", async (t) => {
  fc.assert(fc.property(anyPrefix, (value) => isDeepStrictEqual(parsePrefix(formatPrefix(value)), value)));
  fc.assert(
    fc.property(anyAddress, ({ family, bits }) =>
      isDeepStrictEqual(parseAddress(formatAddress(family, bits)), { family, bits }),
    ),
  );
  t.pass();
});

t.test("no text makes the parsers throw", async (t) => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: "binary" }),
        fc.tuple(fc.ipV6(), fc.string()).map((pair) => pair.join("/")),
      ),
      (text) => {
        parsePrefix(text);
        parseAddress(text);
        return true;
      },
    ),
    { numRuns: 2000 },
  );
  t.pass();
});

t.test("containment agrees with node:net", async (t) => {
  fc.assert(
    fc.property(anyPrefix, anyAddress, fc.boolean(), (outer, address, isNear) => {
      const width = outer.family === 4 ? 32n : 128n;
      const bits = isNear ? outer.base ^ (address.bits & ((1n << (width / 4n)) - 1n)) : address.bits;
      if (!isNear && address.family !== outer.family) return true;
      const family = outer.family === 4 ? "ipv4" : "ipv6";
      const oracle = new BlockList();
      oracle.addSubnet(formatAddress(outer.family, outer.base), outer.length, family);
      return contains(outer, bits) === oracle.check(formatAddress(outer.family, bits), family);
    }),
    { numRuns: 1000 },
  );
  t.pass();
});

t.test("covers and overlaps know sizes and families", async (t) => {
  t.ok(covers(prefix("10.0.0.0/8"), prefix("10.1.0.0/16")));
  t.ok(covers(prefix("10.0.0.0/8"), prefix("10.0.0.0/8")));
  t.notOk(covers(prefix("10.1.0.0/16"), prefix("10.0.0.0/8")));
  t.ok(overlaps(prefix("10.1.0.0/16"), prefix("10.0.0.0/8")));
  t.notOk(overlaps(prefix("10.0.0.0/9"), prefix("10.128.0.0/9")));
  t.notOk(overlaps(prefix("0.0.0.0/0"), prefix("::/0")), "families never overlap");
  t.equal(prefixSize(prefix("10.0.0.0/24")), 256n);
});

t.test("gives address bytes in network order", async (t) => {
  t.same([...addressBytes("10.244.1.2")], [10, 244, 1, 2]);
  t.same([...addressBytes("fd00::102")], [0xfd, ...Array(13).fill(0), 1, 2]);
  t.throws(() => addressBytes("10.1"), TypeError);
});
