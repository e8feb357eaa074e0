// `npm run scale`: thirty daemons in one lab (test/support/scale.ts), judged; what they take is drawn in build/scale-*.
import t from "tap";
import { withDaemons } from "../support/hopsackd.js";
import { describeScale, percentile, scale } from "../support/scale.js";
import { drawLoads } from "../support/scale-charts.js";

const HOSTS = 30;
const CHANGES = 20;
const ALL_PAIRS_LIMIT_MS = 3000;
const CHANGE_LIMIT_MS = 100;
const LIMIT_SECONDS = 300;

withDaemons(
  t,
  import.meta.url,
  async () => {
    await t.test("scale", async (t) => {
      t.setTimeout(LIMIT_SECONDS * 1000);
      const report = await scale(t, HOSTS, CHANGES);
      for (const line of describeScale(report)) t.comment(line);
      await drawLoads(report.loads, "build");
      t.ok(report.allPairsMs < ALL_PAIRS_LIMIT_MS, "all pairs in time");
      t.ok(percentile(report.changesMs, 0.99) < CHANGE_LIMIT_MS, "changes in time");
    });
  },
  LIMIT_SECONDS,
);
