// sockperf's words and its log, recorded with sockperf 3.7.
import t from "tap";
import { answersIn, parseLog } from "../../../../src/bench/probes/sockperf.js";

const LOG = `------------------------------
test was performed using the following parameters: --mps=600000 --burst=1 --reply-every=1 --msg-size=64 --time=1 --full-rtt
------------------------------
sockperf: ---> percentile 50.000 =   12.829
------------------------------
packet, txTime(sec), rxTime(sec), rtt(usec)
0, 2.429652077, 2.429664555, 12.478
1, 2.429664576, 2.429677034, 12.458
2, 2.429677064, 2.429689543, 1312.479
------------------------------
`;
const TOTAL =
  "sockperf: [Total Run] RunTime=1.000 sec; Warm up time=400 msec; SentMessages=43694; ReceivedMessages=43693";

t.test("the log gives every answer's time, and nothing else of it", async (t) => {
  t.same(parseLog(LOG), [12.478, 12.458, 1312.479]);
});

t.test("the answers of the whole run are counted", async (t) => {
  const valid = "sockperf: [Valid Duration] RunTime=0.550 sec; SentMessages=25267; ReceivedMessages=25267";
  t.equal(answersIn(`${TOTAL}\n${valid}\n`), 43693);
});

t.test("a run without answers after the warm-up is told in sockperf's words", async (t) => {
  const words = "sockperf: Starting test...\nsockperf: ERROR: Can`t connect socket (errno=111 Connection refused)\n";
  t.throws(() => answersIn(words), { code: "TOOL_FAILED", message: /^sockperf failed: .*Connection refused\)$/ });
  t.throws(() => answersIn("sockperf: Test ended\n"), { code: "TOOL_FAILED", message: /no message came back$/ });
  t.throws(() => answersIn(`${TOTAL}\n`), { code: "TOOL_FAILED", message: /no message came back$/ });
});
