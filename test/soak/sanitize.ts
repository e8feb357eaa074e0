// `npm run sanitize`: the daemons with their addon under the address, undefined-behaviour and leak sanitizers, and under the thread sanitizer
// (test/support/sanitized.ts). Not among the tests: the addon is built twice for it.
import t from "tap";
import { makeHost, withDaemons } from "../support/hopsackd.js";
import { ADDRESS, runSanitized, THREAD, TRIALS, useAddonWith } from "../support/sanitized.js";

const LEASE_CHANGES = 300;
const LIMIT_SECONDS = 1100;

withDaemons(
  t,
  import.meta.url,
  async () => {
    const hosts = [await makeHost("a", "192.168.50.10"), await makeHost("b", "192.168.50.11")] as const;
    for (const sanitizer of [ADDRESS, THREAD]) {
      await t.test(sanitizer.name, async (t) => {
        t.setTimeout(LIMIT_SECONDS * 1000);
        useAddonWith(sanitizer);
        for (const trial of TRIALS) {
          await t.test(trial.name, async (t) => {
            const { leaseChanges, daemons, reports } = await runSanitized(t, sanitizer, hosts, trial, LEASE_CHANGES);
            const what = `${leaseChanges} lease changes, ${daemons} daemons`;
            t.comment(`${sanitizer.name} · ${trial.name}: ${what}, ${reports.length} reports`);
            for (const report of reports) t.comment(report);
            t.strictSame(reports, []);
          });
        }
      });
    }
  },
  LIMIT_SECONDS,
);
