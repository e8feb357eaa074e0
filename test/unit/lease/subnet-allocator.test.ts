// lease/subnet-allocator: every answer is free, every free subnet can be the answer, and size does not matter.
import assert from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import { type NetworkConfig, parseNetworkConfig } from "../../../src/lease/network-config.js";
import { allocateSubnet, fitsConfig, pairsOverlap, type SubnetPair } from "../../../src/lease/subnet-allocator.js";
import { formatPrefix, type Prefix, parsePrefix } from "../../../src/net/prefix.js";

function config(object: Record<string, unknown>): NetworkConfig {
  return parseNetworkConfig(JSON.stringify(object), "test");
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`bad prefix in a test: ${text}`);
  return parsed;
}

function pair(subnet: string, subnetV6?: string): SubnetPair {
  return { subnet: prefix(subnet), subnetV6: subnetV6 === undefined ? null : prefix(subnetV6) };
}

function text(allocated: SubnetPair | null): (string | null)[] | null {
  if (allocated === null) return null;
  return [formatPrefix(allocated.subnet), allocated.subnetV6 === null ? null : formatPrefix(allocated.subnetV6)];
}

const DUAL = config({ Network: "10.0.0.0/16", EnableIPv6: true, IPv6Network: "fd00::/48" });

t.test("fills a network to the last subnet, each one once, and then says it is full", async (t) => {
  const small = config({ Network: "10.0.0.0/20" });
  const taken: SubnetPair[] = [];
  for (let next = allocateSubnet(small, taken); next !== null; next = allocateSubnet(small, taken)) taken.push(next);
  const expected = Array.from({ length: 15 }, (_, index) => `10.0.${index + 1}.0/24`);
  t.same(taken.map(({ subnet }) => formatPrefix(subnet)).sort(), expected.sort());
});

t.test("finds the one free subnet among leases of other sizes", async (t) => {
  const small = config({ Network: "10.0.0.0/22" });
  t.same(text(allocateSubnet(small, [pair("10.0.1.128/25"), pair("10.0.2.0/30")])), ["10.0.3.0/24", null]);
  t.equal(allocateSubnet(small, [pair("10.0.0.0/8")]), null, "a larger lease blocks all it covers");
  t.not(allocateSubnet(small, [pair("10.0.0.0/24"), pair("192.168.0.0/16")]), null, "leases elsewhere block nothing");
});

t.test("every free subnet is chosen by some random number, and no taken one", async (t) => {
  const sixteen = config({ Network: "10.0.0.0/24", SubnetLen: 28, SubnetMin: "10.0.0.0" });
  const anyTaken = fc.array(
    fc.tuple(fc.integer({ min: 26, max: 30 }), fc.nat(63)).map(([length, number]) => {
      const size = 2 ** (32 - length);
      return pair(`10.0.0.${(number * size) % 256}/${length}`);
    }),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(anyTaken, (taken) => {
      const all = Array.from({ length: 16 }, (_, index) => pair(`10.0.0.${index * 16}/28`));
      const free = all.filter((candidate) => !taken.some((other) => pairsOverlap(other, candidate)));
      const chosen = free.map((_, number) => {
        return allocateSubnet(sixteen, taken, (limit) => {
          assert.equal(limit, BigInt(free.length));
          return BigInt(number);
        });
      });
      assert.deepEqual(chosen, free);
      if (free.length === 0) assert.equal(allocateSubnet(sixteen, taken), null);
    }),
    { numRuns: 300 },
  );
  t.pass();
});

t.test("chooses both halves of a dual-stack pair, and none when one family is full", async (t) => {
  const allocated = allocateSubnet(DUAL, [pair("10.0.1.0/24", "fd00:0:0:1::/64")], () => 0n);
  t.same(text(allocated), ["10.0.2.0/24", "fd00:0:0:2::/64"]);
  t.equal(allocateSubnet(DUAL, [pair("10.9.0.0/16", "fd00::/48")]), null);
});

t.test("an IPv6 network of 2^60 subnets with 10,000 leases takes milliseconds", async (t) => {
  const huge = config({ Network: "10.0.0.0/8", EnableIPv6: true, IPv6Network: "fd00::/16", IPv6SubnetLen: 76 });
  const taken: SubnetPair[] = [];
  for (let number = 1; number <= 10_000; number++) {
    const subnet = { family: 4, base: 0x0a000000n + BigInt(number) * 256n, length: 24 } as const;
    const subnetV6 = { family: 6, base: (0xfd00n << 112n) + (BigInt(number) << 52n), length: 76 } as const;
    taken.push({ subnet, subnetV6 });
  }
  const before = process.cpuUsage();
  const allocated = allocateSubnet(huge, taken);
  const { user, system } = process.cpuUsage(before);
  const milliseconds = (user + system) / 1000; // of processor time: who else wants the processor does not count
  t.ok(allocated !== null && fitsConfig(huge, allocated));
  t.notOk(taken.some((other) => allocated !== null && pairsOverlap(other, allocated)));
  t.ok(milliseconds < 1000, `${milliseconds} ms`);
});

t.test("fitsConfig demands the length, the range and the right families", async (t) => {
  const plain = config({ Network: "10.0.0.0/16", SubnetMax: "10.0.9.0" });
  t.ok(fitsConfig(plain, pair("10.0.9.0/24")));
  for (const subnet of ["10.0.0.0/24", "10.0.10.0/24", "10.0.2.0/25", "10.1.2.0/24"])
    t.notOk(fitsConfig(plain, pair(subnet)), subnet);
  t.notOk(fitsConfig(plain, pair("10.0.2.0/24", "fd00:0:0:1::/64")));
  t.ok(fitsConfig(DUAL, pair("10.0.2.0/24", "fd00:0:0:1::/64")));
  t.notOk(fitsConfig(DUAL, pair("10.0.2.0/24")));
});
