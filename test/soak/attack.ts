// `npm run attack`: ten million malformed datagrams at full rate beside one good TCP stream (test/support/flood.ts), judged.
import t from "tap";
import { describeFlood, isComplete, kept, underFlood } from "../support/flood.js";
import { withDaemons } from "../support/hopsackd.js";

const DATAGRAMS = 10_000_000;
const ENOUGH = 0.7;
const LIMIT_SECONDS = 600;

withDaemons(
  t,
  import.meta.url,
  async () => {
    await t.test("attack", async (t) => {
      t.setTimeout(LIMIT_SECONDS * 1000);
      const report = await underFlood(t, DATAGRAMS);
      for (const line of describeFlood(report)) t.comment(line);
      t.ok(isComplete(report), "every datagram is accounted for");
      // The flood comes from this machine: what making it costs is no harm that it does to the receiver.
      t.ok(kept(report.flood, report.elsewhere) >= ENOUGH, "the stream keeps its rate");
    });
  },
  LIMIT_SECONDS,
);
