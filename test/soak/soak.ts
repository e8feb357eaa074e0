// `npm run soak`: a day in fourteen minutes (test/support/soak.ts), judged. Not among the tests: nobody waits for it there.
import t from "tap";
import { withDaemons } from "../support/hopsackd.js";
import { describeReport, shortcomings, soak } from "../support/soak.js";

const isQuick = process.env.HOPSACK_SOAK === "quick";
const SECONDS = isQuick ? 60 : 845;

withDaemons(
  t,
  import.meta.url,
  async () => {
    await t.test("soak", async (t) => {
      t.setTimeout((SECONDS + 120) * 1000);
      const report = await soak(t, SECONDS);
      // In a minute a heap has not yet found its size.
      const short = shortcomings(report).filter((what) => !isQuick || !what.endsWith("resident memory"));
      for (const line of describeReport(report)) t.comment(line);
      t.comment(short.length === 0 ? "PASS" : `SHORT: ${short.join(", ")}`);
      t.same(short, []);
    });
  },
  SECONDS + 200,
);
