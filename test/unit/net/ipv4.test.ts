// net/ipv4: strict dotted quads, against node:net as the oracle.
import { isIPv4 } from "node:net";
import fc from "fast-check";
import t from "tap";
import { formatIpv4, parseIpv4 } from "../../../src/net/ipv4.js";

t.test("reads a dotted quad as an unsigned number", async (t) => {
  t.equal(parseIpv4("0.0.0.0"), 0);
  t.equal(parseIpv4("10.244.1.2"), 0x0af40102);
  t.equal(parseIpv4("255.255.255.255"), 0xffffffff);
});

t.test("refuses every other notation of an address", async (t) => {
  const refused = [
    "010.0.0.1",
    "10.1",
    "0x7f.1",
    "1",
    "",
    "1.2.3",
    "1.2.3.4.5",
    "256.0.0.1",
    "1.2.3.-4",
    " 1.2.3.4",
    "1.2.3.4\n",
  ];
  for (const text of refused) t.equal(parseIpv4(text), undefined, JSON.stringify(text));
});

t.test("agrees with node:net on near misses of every kind", async (t) => {
  const part = fc.oneof(fc.nat(300).map(String), fc.constantFrom("", "00", "01", "1e1", "0x1", "+1", "999999999999"));
  const nearly = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join("."));
  fc.assert(
    fc.property(fc.oneof(nearly, fc.ipV4(), fc.string()), (text) => (parseIpv4(text) !== undefined) === isIPv4(text)),
    { numRuns: 2000 },
  );
  t.pass();
});

t.test("what is formatted reads back as the same number", async (t) => {
  fc.assert(fc.property(fc.nat(0xffffffff), (bits) => parseIpv4(formatIpv4(bits)) === bits));
  t.equal(formatIpv4(0xffffffff), "255.255.255.255");
});
