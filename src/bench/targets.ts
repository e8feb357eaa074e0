// What the project wants to reach, as data: a row for each scenario and profile, a limit for each mode. Checked by
// check-targets.ts against the medians of the ratios within rounds.
import { BASELINE, COST } from "./series.js";

export interface Target {
  readonly title: string;
  readonly profile: string;
  readonly scenario: string;
  readonly metric: string;
  /** Null: the scenario has no points, or each round's best of them counts. */
  readonly point: number | null;
  /** What the figure is divided by: another mode, or the same mode at another point. */
  readonly against: { readonly mode: string } | { readonly point: number };
  readonly bound: "at least" | "at most";
  /** By mode. */
  readonly limits: Readonly<Record<string, number>>;
}

/** Fewer rounds say too little to call a target reached or missed. */
export const LEAST_ROUNDS = 7;

/** Modes that need not exist: without them in the results, their limits are not spoken of. */
export const OPTIONAL_MODES: readonly string[] = ["udp-ebpf"];

const THROUGHPUT = { metric: "bitsPerSecond", point: null, against: { mode: BASELINE }, bound: "at least" } as const;
const LATENCY = { profile: "offload", point: null, against: { mode: BASELINE }, bound: "at most" } as const;

export const TARGETS: readonly Target[] = [
  {
    title: "one TCP stream",
    profile: "offload",
    scenario: "tcp-1",
    ...THROUGHPUT,
    limits: { udp: 0.7, "vxlan-userspace": 0.65, "udp-ebpf": 1.15 },
  },
  {
    title: "one TCP stream",
    profile: "plain-nic",
    scenario: "tcp-1",
    ...THROUGHPUT,
    limits: { udp: 1.1, "vxlan-userspace": 1, "udp-ebpf": 1.1 },
  },
  {
    title: "four TCP streams",
    profile: "offload",
    scenario: "tcp-4",
    ...THROUGHPUT,
    limits: { udp: 0.6, "vxlan-userspace": 0.55, "udp-ebpf": 1 },
  },
  {
    title: "four TCP streams",
    profile: "plain-nic",
    scenario: "tcp-4",
    ...THROUGHPUT,
    limits: { udp: 1, "vxlan-userspace": 0.95, "udp-ebpf": 1 },
  },
  {
    title: "64-byte UDP delivered",
    profile: "offload",
    scenario: "udp-64",
    ...THROUGHPUT,
    metric: "packetsPerSecond",
    limits: { udp: 0.9, "vxlan-userspace": 0.85, "udp-ebpf": 1.25 },
  },
  {
    title: "UDP request/response p50",
    scenario: "udp-rr",
    ...LATENCY,
    metric: "p50",
    limits: { udp: 1.8, "vxlan-userspace": 1.8, "udp-ebpf": 0.95 },
  },
  { title: "UDP request/response p99", scenario: "udp-rr", ...LATENCY, metric: "p99", limits: { "udp-ebpf": 1 } },
  { title: "TCP request/response p50", scenario: "tcp-rr", ...LATENCY, metric: "p50", limits: { "udp-ebpf": 0.95 } },
  { title: "TCP request/response p99", scenario: "tcp-rr", ...LATENCY, metric: "p99", limits: { "udp-ebpf": 1 } },
  {
    title: "ping p99 while one TCP stream runs",
    scenario: "ping-load",
    ...LATENCY,
    metric: "p99",
    limits: { udp: 2, "vxlan-userspace": 2 },
  },
  {
    title: "one TCP stream, against udp-naive",
    profile: "offload",
    scenario: "tcp-1",
    ...THROUGHPUT,
    against: { mode: "udp-naive" },
    limits: { udp: 12 },
  },
  {
    title: "throughput at 10,000 routes by that at 1 route",
    profile: "offload",
    scenario: "many-peers",
    ...THROUGHPUT,
    point: 10_000,
    against: { point: 1 },
    limits: { udp: 0.97, "vxlan-userspace": 0.97 },
  },
  {
    title: "CPU seconds per gigabyte of one TCP stream",
    scenario: "tcp-1",
    ...LATENCY,
    metric: COST.name,
    limits: { "udp-ebpf": 0.9 },
  },
];
