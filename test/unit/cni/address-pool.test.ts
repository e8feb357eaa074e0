// cni/address-pool: no address twice, the oldest first, rest before use.
import fc from "fast-check";
import t from "tap";
import {
  type AddressPool,
  EMPTY_POOL,
  freeCount,
  type PoolRules,
  release,
  reserve,
} from "../../../src/cni/address-pool.js";
import { type Prefix, parsePrefix } from "../../../src/net/prefix.js";

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`bad prefix in a test: ${text}`);
  return parsed;
}

function rules(subnet: string, nowSeconds = 1000, coolDownSeconds = 30): PoolRules {
  return { lease: { subnet: prefix(subnet), subnetV6: null }, nowSeconds, coolDownSeconds };
}

function filled(subnet: string, count: number): AddressPool {
  let pool = EMPTY_POOL;
  for (let index = 0; index < count; index++) pool = reserve(pool, `c${index}:eth0`, null, rules(subnet)).pool;
  return pool;
}

t.test("begins behind the gateway, ends before the broadcast address", async (t) => {
  const pool = filled("10.1.1.0/29", 5);
  t.strictSame(
    Object.values(pool.held).map(({ v4 }) => v4),
    ["10.1.1.2", "10.1.1.3", "10.1.1.4", "10.1.1.5", "10.1.1.6"],
  );
  t.throws(() => reserve(pool, "x:eth0", null, rules("10.1.1.0/29")), { code: "NETWORK_FULL" });
  t.equal(freeCount(pool, rules("10.1.1.0/29")), 0);
});

t.test("never used ones go first, then the one released longest ago, after its rest", async (t) => {
  const full = release(release(filled("10.1.1.0/29", 5), "c3:eth0", 100), "c0:eth0", 110);
  const at = (seconds: number) => reserve(full, "x:eth0", null, rules("10.1.1.0/29", seconds)).addresses.v4;
  t.throws(() => at(129), { code: "NETWORK_FULL", retryable: true, message: /can be used in 1 s/ });
  t.equal(at(130), "10.1.1.5");
  t.equal(at(99), "10.1.1.5", "a clock that was set back keeps nothing away");
  t.equal(freeCount(full, rules("10.1.1.0/29", 135)), 1);
  const roomy = release(filled("10.1.1.0/28", 5), "c0:eth0", 100);
  t.equal(reserve(roomy, "x:eth0", null, rules("10.1.1.0/28", 5000)).addresses.v4, "10.1.1.7");
});

t.test("both families have the same place, and a smaller IPv6 lease is refused", async (t) => {
  const lease = { subnet: prefix("10.1.1.0/24"), subnetV6: prefix("fd00:1::/64") };
  t.strictSame(reserve(EMPTY_POOL, "a:eth0", null, { ...rules("10.1.1.0/24"), lease }).addresses, {
    v4: "10.1.1.2",
    v6: "fd00:1::2",
  });
  const narrow = { ...lease, subnetV6: prefix("fd00:1::/127") };
  t.throws(() => reserve(EMPTY_POOL, "a:eth0", null, { ...rules("10.1.1.0/24"), lease: narrow }), {
    code: "NETWORK_FULL",
  });
});

t.test("after a change of the lease old pods keep theirs, and old releases are forgotten", async (t) => {
  const pool = release(filled("10.1.1.0/29", 2), "c0:eth0", 100);
  const after = reserve(pool, "x:eth0", null, rules("10.9.9.0/29"));
  t.equal(after.addresses.v4, "10.9.9.2");
  t.strictSame(after.pool.released, []);
  t.match(after.pool.held, { "c1:eth0": { v4: "10.1.1.3" } });
});

t.test("whatever comes and goes, nobody shares an address, and nobody gets one early", async () => {
  const step = fc.record({ pod: fc.integer({ min: 0, max: 9 }), wait: fc.integer({ min: 0, max: 20 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let pool: AddressPool = EMPTY_POOL;
      let now = 1000;
      const releasedAt = new Map<string, number>();
      for (const { pod, wait } of steps) {
        now += wait;
        const key = `c${pod}:eth0`;
        const before = pool.held[key];
        if (before !== undefined) {
          pool = release(pool, key, now);
          releasedAt.set(before.v4, now);
          continue;
        }
        try {
          const { pool: after, addresses } = reserve(pool, key, null, rules("10.1.1.0/29", now));
          if (now - (releasedAt.get(addresses.v4) ?? 0) < 30) throw new Error(`${addresses.v4} had no rest`);
          pool = after;
        } catch (error) {
          if (error instanceof Error && /belongs to a pod|a moment ago/.test(error.message)) continue;
          throw error;
        }
        const held = Object.values(pool.held).map(({ v4 }) => v4);
        if (new Set(held).size !== held.length) throw new Error("an address has two pods");
      }
    }),
  );
});
