// curl's words, recorded with curl 7.88.1.
import t from "tap";
import { connectReading } from "../../../../src/bench/probes/connect.js";

t.test("answered connections give latencies, and failed ones only count", async (t) => {
  const { metrics, latencies, bytes } = connectReading("0.000500 200\n0.000700 200\n5.001000 000\n0.000600 200\n", "");
  t.match(metrics, { p50: 600, lossRatio: 0.25 });
  t.equal(
    latencies?.reduce((sum, [, count]) => sum + count, 0),
    3,
  );
  t.ok(bytes > 100);
});

t.test("when nothing was answered, it is told in curl's words", async (t) => {
  const words = "curl: (7) Failed to connect to 10.64.2.1 port 8080 after 0 ms: Couldn't connect to server\n";
  t.throws(() => connectReading("0.000142 000\n", words), {
    code: "TOOL_FAILED",
    message: /^curl failed: curl: \(7\)/,
  });
});
