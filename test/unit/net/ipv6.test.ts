// net/ipv6: strict parsing against node:net as the oracle, formatting by the examples of RFC 5952.
import { isIPv6 } from "node:net";
import fc from "fast-check";
import t from "tap";
import { formatIpv6, isHostIpv6, parseIpv6 } from "../../../src/net/ipv6.js";

t.test("reads every notation of RFC 4291", async (t) => {
  t.equal(parseIpv6("::"), 0n);
  t.equal(parseIpv6("::1"), 1n);
  t.equal(parseIpv6("2001:DB8:0:0:8:800:200C:417A"), 0x20010db80000000000080800200c417an);
  t.equal(parseIpv6("1:2:3:4:5:6:7::"), 0x00010002000300040005000600070000n);
  t.equal(parseIpv6("::ffff:10.0.0.1"), 0xffff0a000001n);
  t.equal(parseIpv6("64:ff9b::192.0.2.33"), 0x64ff9b0000000000000000c0000221n);
});

t.test("refuses what is not one address", async (t) => {
  const refused = [
    "",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "12345::",
    "g::",
    "fe80::1%eth0",
  ];
  refused.push("1.2.3.4", "::1.2.3", "::01.2.3.4", "1.2.3.4::", "::1.2.3.4:5", "1:", ":1", "[::1]", " ::1");
  for (const text of refused) t.equal(parseIpv6(text), undefined, JSON.stringify(text));
});

t.test("agrees with node:net on near misses of every kind", async (t) => {
  const part = fc.oneof(
    fc.nat(0xfffff).map((n) => n.toString(16)),
    fc.constantFrom("", "0", "::", "1.2.3.4", "g"),
  );
  const nearly = fc.array(part, { minLength: 1, maxLength: 10 }).map((parts) => parts.join(":"));
  fc.assert(
    fc.property(fc.oneof(nearly, fc.ipV6(), fc.string()), (text) => {
      const expected = isIPv6(text) && !text.includes("%");
      return (parseIpv6(text) !== undefined) === expected;
    }),
    { numRuns: 3000 },
  );
  t.pass();
});

t.test("writes addresses as RFC 5952 recommends", async (t) => {
  const canonical = [
    "::",
    "::1",
    "1::",
    "2001:db8::1",
    "2001:db8:0:1:1:1:1:1",
    "2001:db8::1:0:0:1",
    "2001:0:0:1::1",
    "::ffff:192.0.2.1",
  ];
  for (const text of canonical) t.equal(formatIpv6(parseIpv6(text) ?? -1n), text);
  t.equal(formatIpv6(parseIpv6("FC00:0:0:1:0:0:0:0") ?? -1n), "fc00:0:0:1::");
});

t.test("what is formatted reads back as the same number", async (t) => {
  const sparse = fc.array(fc.constantFrom<bigint>(0n, 0n, 0n, 1n, 0xffffn), { minLength: 8, maxLength: 8 });
  const bits = fc.oneof(
    sparse.map((groups) => groups.reduce((sum, group) => (sum << 16n) | group, 0n)),
    fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }),
    fc.bigInt({ min: 0n, max: 0xffffffffffffn }),
  );
  fc.assert(
    fc.property(bits, (value) => parseIpv6(formatIpv6(value)) === value && isIPv6(formatIpv6(value))),
    { numRuns: 1000 },
  );
  t.pass();
});

t.test("an address of a host is one that other hosts can send to", async (t) => {
  for (const text of ["2001:db8::10", "fd00::", "fec0::1", "64:ff9b::c000:201"]) t.equal(isHostIpv6(text), true, text);
  const others = [
    "::",
    "::1",
    "::10.0.0.1",
    "::ffff:10.0.0.1",
    "fe80::1",
    "febf::1",
    "ff02::1",
    "ffff::",
    "10.0.0.1",
    "",
  ];
  for (const text of others) t.equal(isHostIpv6(text), false, text);
});
