// A benchmark's results file out of nothing but a seed: all profiles, modes and scenarios, with noise that the modes of a
// round share. For tests of what reads such files, and to look at a report without measuring.
import type { BenchResults, MetricInfo, Refusal, Sample, ScenarioInfo } from "../../src/bench/results.js";

const LATENCIES: readonly MetricInfo[] = [
  { name: "p50", title: "median", unit: "us", better: "lower" },
  { name: "p99", title: "99th percentile", unit: "us", better: "lower" },
  { name: "p999", title: "99.9th percentile", unit: "us", better: "lower" },
];
const RATE: MetricInfo = { name: "bitsPerSecond", title: "throughput", unit: "bit/s", better: "higher" };
const PACKETS: readonly MetricInfo[] = [
  { name: "packetsPerSecond", title: "delivered", unit: "1/s", better: "higher" },
  { name: "lossRatio", title: "lost", unit: "ratio", better: "lower" },
];

function scenario(
  name: string,
  title: string,
  metrics: readonly MetricInfo[],
  point: ScenarioInfo["point"] = null,
): ScenarioInfo {
  return { name, title, metrics, point };
}

const SCENARIOS: readonly ScenarioInfo[] = [
  scenario("tcp-1", "One TCP stream", [RATE]),
  scenario("tcp-4", "Four TCP streams", [RATE]),
  scenario("tcp-bidir", "TCP in both directions", [RATE]),
  scenario("tcp-rr", "TCP request and response", LATENCIES),
  scenario("udp-rr", "UDP request and response", LATENCIES),
  scenario("udp-64", "64-byte UDP flood", PACKETS),
  scenario("udp-1400", "1400-byte UDP", PACKETS, { title: "offered", unit: "1/s" }),
  scenario("ping-load", "Ping while one TCP stream runs", LATENCIES),
  scenario("tcp-connect", "Short TCP connections", LATENCIES),
  scenario("many-peers", "Many peers", [RATE], { title: "routes", unit: "routes" }),
  scenario("restart", "Restart under load", [{ name: "lost", title: "lost", unit: "packets", better: "lower" }]),
];
const POINTS: Readonly<Record<string, readonly number[]>> = {
  "udp-1400": [50_000, 100_000, 150_000, 200_000, 250_000, 300_000],
  "many-peers": [1, 10, 100, 1000, 10_000],
};

interface Traits {
  readonly title: string;
  readonly engine: string;
  /** Beside kernel VXLAN: throughput and packet rate, latency, cost. */
  readonly rate: number;
  readonly latency: number;
  readonly cost: number;
}

const MODES: Readonly<Record<string, Traits>> = {
  veth: { title: "plain underlay", engine: "kernel", rate: 1.15, latency: 0.85, cost: 0.9 },
  "host-gw": { title: "host-gw", engine: "kernel", rate: 1.1, latency: 0.88, cost: 0.92 },
  vxlan: { title: "kernel VXLAN", engine: "kernel", rate: 1, latency: 1, cost: 1 },
  "vxlan-userspace": { title: "VXLAN, user space", engine: "pump", rate: 0.67, latency: 1.9, cost: 1.8 },
  udp: { title: "UDP, user space", engine: "pump", rate: 0.74, latency: 1.7, cost: 1.6 },
  "udp-naive": { title: "UDP, packet by packet", engine: "naive", rate: 0.05, latency: 2.4, cost: 14 },
};
const PROFILES: Readonly<Record<string, { readonly title: string; readonly speed: number; readonly offload: string }>> =
  {
    offload: { title: "veth as it comes", speed: 1, offload: "on" },
    "plain-nic": { title: "a card without tunnel offloads", speed: 0.45, offload: "off" },
  };

export interface Synthesis {
  readonly seed?: number;
  readonly rounds?: number;
  readonly profiles?: readonly string[];
  readonly modes?: readonly string[];
  readonly scenarios?: readonly string[];
  /** Throughput and packet rate of a mode are multiplied by this, latencies and cost divided. */
  readonly faster?: Readonly<Record<string, number>>;
  readonly refusals?: readonly Refusal[];
}

/** The same results for the same choices, always. */
export function syntheticResults(choice: Synthesis = {}): BenchResults {
  const { seed = 1, rounds = 9, refusals = [] } = choice;
  const profiles = choice.profiles ?? Object.keys(PROFILES);
  const modes = choice.modes ?? Object.keys(MODES);
  const scenarios = SCENARIOS.filter(({ name }) => choice.scenarios?.includes(name) ?? true);
  const random = randomFrom(seed);
  const isRefused = (sample: Sample): boolean =>
    refusals.some(
      (one) =>
        one.profile === sample.profile &&
        one.scenario === sample.scenario &&
        one.mode === sample.mode &&
        (one.round ?? sample.round) === sample.round,
    );
  const samples: Sample[] = [];
  for (const profile of profiles) {
    for (const scenario of scenarios) {
      for (let round = 1; round <= rounds; round++) {
        const weather = 1 + 0.15 * (random() - 0.5);
        for (const mode of round % 2 === 1 ? modes : modes.toReversed()) {
          for (const point of POINTS[scenario.name] ?? [null]) {
            const speed = weather * (1 + 0.04 * (random() - 0.5)) * (choice.faster?.[mode] ?? 1);
            samples.push(synthesise(scenario, { profile, mode, round, point }, speed));
          }
        }
      }
    }
  }
  return {
    schema: "hopsack-bench/1",
    startedAt: "2026-11-21T06:28:23.914Z",
    finishedAt: "2026-11-21T07:14:02.120Z",
    machine: {
      kernel: "6.18.44",
      cpu: "AMD EPYC",
      cores: 2,
      memoryBytes: 24_000_000_000,
      node: "v20.20.2",
      commit: "4572ba079797",
      hasLocalChanges: false,
      loadBefore: "0.21 0.50 0.56 1/134 25353",
      tools: { iperf3: "3.12", sockperf: "3.7" },
    },
    settings: { rounds, seconds: 3, isQuick: false },
    profiles: profiles.map((name) => profileInfo(name)),
    modes: modes.map((name) => ({ name, title: traits(name).title, engine: traits(name).engine })),
    scenarios,
    samples: samples.filter((sample) => !isRefused(sample)),
    refusals,
  };
}

function traits(mode: string): Traits {
  return MODES[mode] ?? { title: mode, engine: "ebpf", rate: 1.2, latency: 0.9, cost: 0.8 };
}

function profileInfo(name: string): BenchResults["profiles"][number] {
  const { title, offload } = PROFILES[name] ?? { title: name, offload: "on" };
  const offloads = { "tcp-segmentation-offload": offload, "tx-udp-segmentation": offload };
  return { name, title, mtuBytes: 1500, offloads };
}

function synthesise(
  { name, metrics }: ScenarioInfo,
  which: Pick<Sample, "profile" | "mode" | "round" | "point">,
  speed: number,
): Sample {
  const { rate, latency, cost } = traits(which.mode);
  const reach = rate * speed * (PROFILES[which.profile]?.speed ?? 1);
  const middle = (name === "ping-load" ? 400 : 12) * (latency / speed);
  const delivered = Math.min(which.point ?? Number.POSITIVE_INFINITY, 240_000 * reach);
  const values: Readonly<Record<string, number>> = {
    bitsPerSecond: 16e9 * reach,
    packetsPerSecond: delivered,
    lossRatio: which.point === null ? 0.3 : 1 - delivered / which.point,
    p50: middle,
    p99: middle * 2.5,
    p999: middle * 6,
    lost: Math.round(40 / speed),
  };
  const bytes = Math.round(6e9 * reach);
  const seconds = (bytes / 1e9) * 0.4 * (cost / speed);
  const hasDaemon = which.mode.startsWith("udp") || which.mode === "vxlan-userspace";
  return {
    ...which,
    scenario: name,
    metrics: Object.fromEntries(metrics.map((metric) => [metric.name, values[metric.name] ?? 0])),
    latencies: metrics === LATENCIES ? distribution(middle) : null,
    bytes,
    cpuSeconds: hasDaemon
      ? { iperf3: seconds * 0.25, "hopsackd h1": seconds * 0.2, "hopsackd h2": seconds * 0.15, kernel: seconds * 0.4 }
      : { iperf3: seconds * 0.4, kernel: seconds * 0.6 },
    coalescing: hasDaemon ? { sent: 38, received: 31 } : null,
    drops: {},
    road: { device: which.mode, packets: 100_000 },
  };
}

/** Of 100,000 answers, half at or below `middle`, with a long tail. */
function distribution(middle: number): Sample["latencies"] {
  const shares = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999, 1];
  const factors = [0.7, 0.85, 1, 1.2, 1.5, 1.8, 2.5, 3.2, 6, 11, 20];
  return shares.map((share, index) => {
    const answers = Math.round((share - (shares[index - 1] ?? 0)) * 100_000);
    return [middle * (factors[index] ?? 1), answers] as const;
  });
}

/** Numbers from 0 to 1, the same for one seed (Marsaglia's xorshift). */
function randomFrom(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
