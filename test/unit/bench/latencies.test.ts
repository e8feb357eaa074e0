// Percentiles and histogram of many latencies.
import fc from "fast-check";
import t from "tap";
import { summariseLatencies } from "../../../src/bench/latencies.js";

t.test("percentiles are those of the values", async (t) => {
  const values = Array.from({ length: 1001 }, (_, index) => index);
  t.same(summariseLatencies(values).metrics, { p50: 500, p99: 990, p999: 999 });
});

t.test("the histogram has every value once, below its bound, in ascending order", async (t) => {
  const microseconds = fc.array(fc.double({ min: 0.1, max: 1e7, noNaN: true }), { minLength: 1, maxLength: 200 });
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(microseconds, (values) => {
        const latencies = summariseLatencies(values).latencies ?? [];
        const upTo = (end: number) => latencies.slice(0, end + 1).reduce((sum, [, count]) => sum + count, 0);
        const belowOf = (bound: number) => values.filter((value) => value <= bound * 1.0001).length;
        const isAscending = latencies.every(([bound], index) => bound > (latencies[index - 1]?.[0] ?? 0));
        const isBelow = latencies.every(([bound], index) => upTo(index) <= belowOf(bound));
        return isAscending && isBelow && upTo(latencies.length) === values.length;
      }),
    ),
  );
});
