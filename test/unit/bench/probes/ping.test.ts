// ping's words, recorded with iputils 20221126.
import t from "tap";
import { parsePing, pingLoadReading, restartReading } from "../../../../src/bench/probes/ping.js";

const PINGS = `PING 10.64.2.1 (10.64.2.1) 56(84) bytes of data.
64 bytes from 10.64.2.1: icmp_seq=1 ttl=64 time=0.018 ms
64 bytes from 10.64.2.1: icmp_seq=2 ttl=64 time=0.041 ms
From 10.64.1.0 icmp_seq=3 Destination Net Unreachable
From 10.64.1.0 icmp_seq=4 Destination Net Unreachable
64 bytes from 10.64.2.1: icmp_seq=6 ttl=64 time=2.5 ms
64 bytes from 10.64.2.1: icmp_seq=5 ttl=64 time=17.5 ms

--- 10.64.2.1 ping statistics ---
8 packets transmitted, 4 received, +2 errors, 50% packet loss, time 28ms
rtt min/avg/max/mdev = 0.018/0.034/17.500/0.011 ms
`;
const STREAM = { sum_received: { bytes: 1e9, bits_per_second: 8e9, seconds: 1 } };

t.test("answers are read in the order of arrival; errors are none", async (t) => {
  t.same(parsePing(PINGS, ""), {
    sent: 8,
    answers: [
      { sequence: 1, microseconds: 18 },
      { sequence: 2, microseconds: 41 },
      { sequence: 6, microseconds: 2500 },
      { sequence: 5, microseconds: 17_500 },
    ],
  });
});

t.test("pings beside a stream give latencies, what was lost, and the stream", async (t) => {
  const { metrics, bytes } = pingLoadReading(STREAM, parsePing(PINGS, ""));
  t.match(metrics, { p50: 1270.5, lossRatio: 0.5, bitsPerSecond: 8e9 });
  t.equal(bytes, 1e9);
});

t.test("a restart gives what was lost in all, and the longest time without an answer, at the end too", async (t) => {
  const report = parsePing(PINGS, "");
  t.same(restartReading(STREAM, report, 2).metrics, { lost: 4, gapSeconds: 0.004 });
  t.same(restartReading(STREAM, { ...report, sent: 12 }, 2).metrics, { lost: 8, gapSeconds: 0.012 });
  const all = { sent: 2, answers: report.answers.slice(0, 2) };
  t.same(restartReading(STREAM, all, 2).metrics, { lost: 0, gapSeconds: 0 });
});

t.test("a ping that nobody answered is a failure, told in ping's words", async (t) => {
  const nothing =
    "\n--- 10.64.2.1 ping statistics ---\n3 packets transmitted, 0 received, 100% packet loss, time 28ms\n";
  t.throws(() => parsePing(nothing, ""), { code: "TOOL_FAILED", message: "ping failed: no ping was answered" });
  t.throws(() => parsePing("", "ping: connect: Network is unreachable\n"), { message: /Network is unreachable$/ });
});
