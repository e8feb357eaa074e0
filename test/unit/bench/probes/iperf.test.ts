// iperf3's reports, recorded with iperf3 3.12 and cut down.
import t from "tap";
import { parseIperf, tcpReading, udpReading } from "../../../../src/bench/probes/iperf.js";

t.test("a stream gives what the receiver counted", async (t) => {
  const text = JSON.stringify({
    end: {
      sum_sent: { start: 0, end: 1.003376, bytes: 1323433984, bits_per_second: 10551848830.34, retransmits: 13 },
      sum_received: { start: 0, end: 1.00397, seconds: 1.00397, bytes: 1323433984, bits_per_second: 10545605816.9 },
    },
  });
  t.same(tcpReading(parseIperf(text)), {
    point: null,
    metrics: { bitsPerSecond: 10545605816.9 },
    latencies: null,
    bytes: 1323433984,
  });
});

t.test("two directions are added up", async (t) => {
  const text = JSON.stringify({
    end: {
      sum_received: { seconds: 1.05273, bytes: 740687872, bits_per_second: 5628701543.5 },
      sum_received_bidir_reverse: { seconds: 1.05273, bytes: 896990856, bits_per_second: 6816493163.5 },
    },
  });
  t.match(tcpReading(parseIperf(text)), { metrics: { bitsPerSecond: 12445194707 }, bytes: 1637678728 });
});

t.test("a flood gives what was offered, what arrived, and what was lost", async (t) => {
  const received = {
    ...{ seconds: 2, bytes: 4190720, bits_per_second: 33137258.8 },
    ...{ lost_packets: 56340, packets: 121820, lost_percent: 46.2 },
  };
  const reading = udpReading(parseIperf(JSON.stringify({ end: { sum_received: received } })), 800);
  t.match(reading, { point: 800, bytes: 4190720 });
  t.same(reading.metrics, {
    bitsPerSecond: 33137258.8,
    packetsPerSecond: (121820 - 56340) / 2,
    offeredPerSecond: 60910,
    lossRatio: 56340 / 121820,
  });
});

t.test("a flood of which nothing arrived is lost, not well", async (t) => {
  const received = { seconds: 0, bytes: 0, bits_per_second: 0, packets: 0, lost_packets: 0 };
  const { metrics } = udpReading(parseIperf(JSON.stringify({ end: { sum_received: received } })), null);
  t.same(metrics, { bitsPerSecond: 0, packetsPerSecond: 0, offeredPerSecond: 0, lossRatio: 1 });
});

t.test("a failed run is told in iperf3's words", async (t) => {
  t.throws(() => parseIperf('{"error":"unable to connect to server"}'), {
    code: "TOOL_FAILED",
    message: /unable to connect to server$/,
  });
  t.throws(() => parseIperf("{}"), { code: "TOOL_FAILED", message: /its report has no result$/ });
  t.throws(() => parseIperf("iperf3: what"), { code: "TOOL_FAILED", message: /no report: iperf3: what$/ });
});
