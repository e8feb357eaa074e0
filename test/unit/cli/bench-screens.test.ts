// What a benchmark shows.
import t from "tap";
import type { BenchResults } from "../../../src/bench/results.js";
import { SCENARIOS } from "../../../src/bench/scenarios.js";
import { eventLine, resultLines } from "../../../src/cli/bench-screens.js";
import { paintFor } from "../../../src/cli/output.js";

const plain = paintFor({}, {});
const [tcp] = SCENARIOS;
if (tcp === undefined) throw new Error("there are scenarios");

function sampleOf(mode: string, round: number, bitsPerSecond: number): BenchResults["samples"][number] {
  return {
    ...{ profile: "offload", scenario: tcp?.name ?? "", mode, round, point: null },
    ...{ metrics: { bitsPerSecond }, latencies: null, bytes: 1e9, cpuSeconds: { iperf3: 0.5, kernel: 0.75 } },
    ...{ coalescing: null, drops: {}, road: { device: "eth0", packets: 1 } },
  };
}

const RESULTS: BenchResults = {
  schema: "hopsack-bench/1",
  startedAt: "2026-11-21T10:00:00.000Z",
  finishedAt: "2026-11-21T10:01:00.000Z",
  machine: {
    ...{ kernel: "6.18", cpu: "a processor", cores: 2, memoryBytes: 1e9, node: "v20", commit: "0123456789ab" },
    ...{ hasLocalChanges: false, loadBefore: "0", tools: {} },
  },
  settings: { rounds: 2, seconds: 1, isQuick: false },
  profiles: [{ name: "offload", title: "as it comes", mtuBytes: 1500, offloads: {} }],
  modes: [
    { name: "vxlan", title: "VXLAN, kernel", engine: "kernel" },
    { name: "udp", title: "UDP, user space", engine: "pump" },
  ],
  scenarios: [tcp],
  samples: [sampleOf("vxlan", 1, 10e9), sampleOf("udp", 1, 8e9), sampleOf("udp", 2, 9e9), sampleOf("vxlan", 2, 15e9)],
  refusals: [],
};

t.test("a table has median, spread, and the ratio within rounds", async (t) => {
  t.same(resultLines(RESULTS, plain), [
    "offload: one TCP stream",
    "  mode               throughput                  middle half  to vxlan  CPU time per GB",
    "  VXLAN, kernel    12.50 Gbit/s  11.25 Gbit/s – 13.75 Gbit/s      1.00        1.25 s/GB",
    "  UDP, user space   8.50 Gbit/s    8.25 Gbit/s – 8.75 Gbit/s      0.70        1.25 s/GB",
    "",
  ]);
});

t.test("a refused figure is loud, and what cannot be measured is not", async (t) => {
  const place = { profile: "offload", scenario: "tcp-1", mode: "udp" };
  const refused = { ...place, round: 3, reason: "traffic took another road: by eth0" };
  const line = "REFUSED offload tcp-1: udp, round 3: traffic took another road: by eth0";
  t.equal(resultLines({ ...RESULTS, refusals: [refused] }, plain).at(-1), line);
  const without = { ...place, round: null, reason: "no daemon carries its packets" };
  const event = { kind: "refusal", refusal: without } as const;
  const quiet = "offload tcp-1: udp: not measured, no daemon carries its packets";
  t.equal(eventLine(event, { scenarios: [tcp], rounds: 3 }, plain), quiet);
});

t.test("a line of progress has the figure and the time left", async (t) => {
  const choice = { scenarios: [tcp], rounds: 2 };
  const event = { kind: "sample", sample: sampleOf("udp", 1, 8.76e9), secondsLeft: 95.2 } as const;
  t.equal(eventLine(event, choice, plain), "offload tcp-1, round 1 of 2: udp 8.76 Gbit/s  1 min 35 s left");
  t.equal(eventLine({ kind: "step", text: "offload: warming up" }, choice, plain), "offload: warming up …");
});
