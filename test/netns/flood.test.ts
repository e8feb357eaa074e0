// The program of `npm run attack`, for a moment: what it sends is counted to the datagram. Rates are judged by the whole only.
import t from "tap";
import { describeFlood, KINDS, underFlood } from "../support/flood.js";
import { withDaemons } from "../support/hopsackd.js";
import { Trials } from "../support/trials.js";

const DATAGRAMS = 120_000;

withDaemons(t, import.meta.url, async () => {
  const trials = new Trials(import.meta.url, "A flood of malformed datagrams beside a stream");
  t.test("every datagram of a flood is dropped by its name or counted as lost, and the stream goes on", async (t) => {
    const report = await underFlood(t, DATAGRAMS, ["--offload", "tso,uso,udp-gro,tun-gro"]); // a packet is a datagram
    for (const line of describeFlood(report)) t.comment(line);
    t.equal(report.flood.datagrams, DATAGRAMS);
    t.equal(report.unexplained, 0);
    t.ok(report.flood.streamBytes > 0);
    const reasons = new Set(KINDS.map(([, , reason]) => reason));
    t.strictSame(new Set(Object.keys(report.dropped)), reasons, "all of its reasons, and no other");
    trials.row({
      tried: "six kinds of malformed datagrams at full rate, beside one TCP stream",
      happened:
        "the stream goes on; every datagram is counted by its name or as `receive_buffer_full`, none is missing",
    });
  });
});
