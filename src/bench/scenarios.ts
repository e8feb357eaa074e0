// What is measured, as data: which probe, with which parameters, and what its figures are called. The probes are in probes/.
import type { RestartWay } from "../lab/lab.js";
import type { MetricInfo, ScenarioInfo } from "./results.js";

/** One set of parameters for each kind of probe. */
export type ProbeSpec =
  | { readonly kind: "tcp-stream"; readonly streams: number; readonly isBidirectional: boolean }
  | { readonly kind: "request-response"; readonly transport: "tcp" | "udp"; readonly messageBytes: number }
  | {
      readonly kind: "udp-flood";
      readonly messageBytes: number;
      /** Mbit/s of payload, one sample each, ascending; null: as fast as one sender can, one sample. */
      readonly rates: readonly number[] | null;
      /** After the first rate with a greater share lost, no higher one is tried. */
      readonly lossLimit: number;
    }
  | { readonly kind: "ping-load"; readonly intervalMs: number }
  | { readonly kind: "tcp-connect"; readonly connectionsPerSecond: number }
  /** Sizes of the forwarding table, ascending; the one real peer included. */
  | { readonly kind: "many-peers"; readonly routes: readonly number[] }
  | {
      readonly kind: "restart";
      readonly way: RestartWay;
      readonly intervalMs: number;
      readonly loadMegabits: number;
    };

export interface Scenario extends ScenarioInfo {
  readonly probe: ProbeSpec;
}

const THROUGHPUT: MetricInfo = { name: "bitsPerSecond", title: "throughput", unit: "bit/s", better: "higher" };
const LOSS: MetricInfo = { name: "lossRatio", title: "lost", unit: "ratio", better: "lower" };
const OFFERED: MetricInfo = { name: "offeredPerSecond", title: "offered", unit: "1/s", better: "higher" };
const DELIVERED: MetricInfo = { name: "packetsPerSecond", title: "delivered", unit: "1/s", better: "higher" };

/** The whole way there and back, in microseconds. */
const LATENCIES: readonly MetricInfo[] = [
  { name: "p50", title: "median", unit: "us", better: "lower" },
  { name: "p99", title: "99th percentile", unit: "us", better: "lower" },
  { name: "p999", title: "99.9th percentile", unit: "us", better: "lower" },
];

const LOSSES: readonly MetricInfo[] = [
  { name: "lost", title: "lost", unit: "packets", better: "lower" },
  { name: "gapSeconds", title: "longest gap", unit: "s", better: "lower" },
];

export const SCENARIOS: readonly Scenario[] = [
  {
    name: "tcp-1",
    title: "one TCP stream",
    metrics: [THROUGHPUT],
    point: null,
    probe: { kind: "tcp-stream", streams: 1, isBidirectional: false },
  },
  {
    name: "tcp-4",
    title: "four TCP streams",
    metrics: [THROUGHPUT],
    point: null,
    probe: { kind: "tcp-stream", streams: 4, isBidirectional: false },
  },
  {
    name: "tcp-bidir",
    title: "a TCP stream in each direction, both together",
    metrics: [THROUGHPUT],
    point: null,
    probe: { kind: "tcp-stream", streams: 1, isBidirectional: true },
  },
  {
    name: "tcp-rr",
    title: "TCP request and response of 64 bytes",
    metrics: LATENCIES,
    point: null,
    probe: { kind: "request-response", transport: "tcp", messageBytes: 64 },
  },
  {
    name: "udp-rr",
    title: "UDP request and response of 64 bytes",
    metrics: LATENCIES,
    point: null,
    probe: { kind: "request-response", transport: "udp", messageBytes: 64 },
  },
  {
    name: "udp-64",
    title: "flood of 64-byte UDP packets",
    metrics: [DELIVERED, OFFERED, LOSS],
    point: null,
    probe: { kind: "udp-flood", messageBytes: 64, rates: null, lossLimit: 1 },
  },
  {
    name: "udp-1400",
    title: "1400-byte UDP packets at fixed rates until some are lost",
    metrics: [THROUGHPUT, LOSS],
    point: { title: "offered", unit: "Mbit/s" },
    probe: {
      kind: "udp-flood",
      messageBytes: 1400,
      rates: [100, 200, 400, 800, 1200, 1600, 2400],
      lossLimit: 0.01,
    },
  },
  {
    name: "ping-load",
    title: "pings while one TCP stream runs",
    metrics: [...LATENCIES, LOSS, { ...THROUGHPUT, title: "stream" }],
    point: null,
    probe: { kind: "ping-load", intervalMs: 2 },
  },
  {
    name: "tcp-connect",
    title: "100 short TCP connections a second",
    metrics: [...LATENCIES, { ...LOSS, title: "failed" }],
    point: null,
    probe: { kind: "tcp-connect", connectionsPerSecond: 100 },
  },
  {
    name: "many-peers",
    title: "one TCP stream among many peers",
    metrics: [THROUGHPUT],
    point: { title: "table of", unit: "routes" },
    probe: { kind: "many-peers", routes: [1, 10, 100, 1000, 10_000] },
  },
  {
    name: "restart",
    title: "pings, 500 a second beside a stream of 100 Mbit/s, while one host's daemon stops and starts",
    metrics: LOSSES,
    point: null,
    probe: { kind: "restart", way: "stop", intervalMs: 2, loadMegabits: 100 },
  },
  {
    name: "takeover",
    title: "the same pings while one host's daemon hands over to the next one",
    metrics: LOSSES,
    point: null,
    probe: { kind: "restart", way: "takeover", intervalMs: 2, loadMegabits: 100 },
  },
];
