// Many real daemons in one lab, on one bridge, in UDP mode: who reaches whom after the last start, and how soon a change of one lease is
// everywhere. `npm run scale` starts thirty; the figures are printed, and judged there.
//
//   [h1 192.168.50.1, 10.244.1.0/24] … [hN 192.168.50.N, 10.244.N.0/24], all on br0
import t from "tap";
import { withDaemons } from "../support/hopsackd.js";
import { describeScale, scale } from "../support/scale.js";

const HOSTS = 6;
const CHANGES = 5;

withDaemons(t, import.meta.url, async () => {
  t.test("all hosts reach all, and a change of one lease comes to every one of them", async (t) => {
    const report = await scale(t, HOSTS, CHANGES);
    for (const line of describeScale(report)) t.comment(line);
    t.equal(report.pairs, HOSTS * (HOSTS - 1));
    t.equal(report.changesMs.length, HOSTS * CHANGES);
  });
});
