// store/keys: flannel's lease keys, there and back.
import fc from "fast-check";
import t from "tap";
import { leaseKey } from "../../../src/lease/lease.js";
import { prefixOf } from "../../../src/net/prefix.js";
import { parseLeaseKey } from "../../../src/store/keys.js";

t.test("reads flannel's keys, single and dual stack", async (t) => {
  t.same(parseLeaseKey("10.55.30.0-24"), { subnet: { family: 4, base: 0x0a371e00n, length: 24 }, subnetV6: null });
  const dual = parseLeaseKey("10.55.30.0-24&fc00:0:0:1::-64");
  t.same(dual?.subnetV6, { family: 6, base: 0xfc000000000000010000000000000000n, length: 64 });
});

t.test("refuses everything else", async (t) => {
  const refused = [
    "",
    "10.55.30.0",
    "10.55.30.1-24",
    "10.55.30.0/24",
    "fc00::-64",
    "10.55.30.0-24&",
    "10.55.30.0-24&10.0.0.0-8",
  ];
  refused.push("10.55.30.0-24&fc00::-64&fc01::-64", "10.55.30.0-24 ", "../10.55.30.0-24", "-", "&");
  for (const key of refused) t.equal(parseLeaseKey(key), undefined, JSON.stringify(key));
});

t.test("reads back every key that leases have", async (t) => {
  const v4 = fc.tuple(fc.bigInt({ min: 0n, max: 0xffffffffn }), fc.nat(32));
  const v6 = fc.tuple(fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), fc.nat(128));
  fc.assert(
    fc.property(v4, fc.option(v6), ([bits, length], part) => {
      const subnet = prefixOf({ family: 4, bits }, length);
      const subnetV6 = part === null ? null : prefixOf({ family: 6, bits: part[0] }, part[1]);
      const key = leaseKey({ subnet, subnetV6 });
      const parsed = parseLeaseKey(key);
      return parsed !== undefined && leaseKey(parsed) === key;
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => parseLeaseKey(text) === undefined || text.includes("-")),
  );
  t.pass();
});
