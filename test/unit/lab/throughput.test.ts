// iperf3's report, and the median.
import t from "tap";
import { median, parseReport } from "../../../src/lab/throughput.js";

t.test("a report gives what the receiver counted", async (t) => {
  const text = JSON.stringify({
    end: {
      sum_sent: { bits_per_second: 2e9, retransmits: 3 },
      sum_received: { bits_per_second: 1.5e9, bytes: 187_500_000 },
      cpu_utilization_percent: { host_total: 40, remote_total: 60 },
    },
  });
  t.same(parseReport(text), {
    bitsPerSecond: 1.5e9,
    receivedBytes: 187_500_000,
    retransmits: 3,
    senderCpuPercent: 40,
    receiverCpuPercent: 60,
  });
});

t.test("a failed run is told in iperf3's words", async (t) => {
  t.throws(() => parseReport('{"error":"unable to connect to server"}'), {
    code: "TOOL_FAILED",
    message: /unable to connect to server$/,
  });
  t.throws(() => parseReport("{}"), { code: "TOOL_FAILED" });
  t.throws(() => parseReport("iperf3: what"), { code: "TOOL_FAILED", message: /no report: iperf3: what$/ });
});

t.test("the median is the middle, or the mean of the two in the middle", async (t) => {
  t.equal(median([3, 1, 2]), 2);
  t.equal(median([4, 1, 3, 2]), 2.5);
  t.equal(median([7]), 7);
  t.ok(Number.isNaN(median([])));
});
