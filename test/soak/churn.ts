// `npm run churn`: one daemon whose store never stands still (test/support/churn.ts), judged by whether it ends with the leases of the store.
import t from "tap";
import { churn, describeChurn, etcdLeases, fileLeases } from "../support/churn.js";
import { makeHosts } from "../support/etcd-daemons.js";
import { withDaemons } from "../support/hopsackd.js";

const PLAN = { leases: 10_000, changesPerSecond: 100, seconds: 10 };
const LIMIT_SECONDS = 300;

withDaemons(
  t,
  import.meta.url,
  async () => {
    const { a } = await makeHosts();
    for (const open of [fileLeases, etcdLeases]) {
      await t.test(open.name, async (t) => {
        t.setTimeout(LIMIT_SECONDS * 1000);
        const report = await churn(t, a, await open(t), PLAN);
        for (const line of describeChurn(report, PLAN)) t.comment(line);
        t.ok(report.isTrue, "exactly the leases of the store");
      });
    }
  },
  LIMIT_SECONDS,
);
