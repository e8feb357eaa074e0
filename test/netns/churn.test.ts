// A daemon that follows a store whose leases never stand still: a small part of `npm run churn`.
import t from "tap";
import { churn, describeChurn, etcdLeases, fileLeases } from "../support/churn.js";
import { makeHosts } from "../support/etcd-daemons.js";
import { withDaemons } from "../support/hopsackd.js";
import { Trials } from "../support/trials.js";

const PLAN = { leases: 1000, changesPerSecond: 100, seconds: 4 };

withDaemons(t, import.meta.url, async () => {
  const { a } = await makeHosts();
  const trials = new Trials(import.meta.url, "Leases that never stand still");

  for (const open of [fileLeases, etcdLeases]) {
    t.test(`${open.name}: the daemon ends with exactly the store's leases`, async (t) => {
      const report = await churn(t, a, await open(t), PLAN);
      for (const line of describeChurn(report, PLAN)) t.comment(line);
      t.ok(report.isTrue);
    });
  }
  t.test("what happened, in TRIALS.md", async () => {
    trials.row({
      tried: "a hundred changes a second among a thousand leases, in a file store and in etcd",
      happened: "the daemon ends with exactly the leases of the store",
    });
  });
});
