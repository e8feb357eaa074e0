// What a benchmark run leaves behind: one JSON file that needs nothing else to be read, drawn or compared. Written by
// the runner, read by the report, `compare` and `targets`. A change that old readers would misread gets a new version.

export const RESULTS_SCHEMA = "hopsack-bench/1";

export interface BenchResults {
  readonly schema: typeof RESULTS_SCHEMA;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly machine: Machine;
  readonly settings: { readonly rounds: number; readonly seconds: number; readonly isQuick: boolean };
  readonly profiles: readonly ProfileInfo[];
  readonly modes: readonly ModeInfo[];
  readonly scenarios: readonly ScenarioInfo[];
  /** In the order in which they were measured. */
  readonly samples: readonly Sample[];
  /** What was not measured, and why: traffic that took another road, a mode that this kernel lacks. */
  readonly refusals: readonly Refusal[];
}

export interface Machine {
  readonly kernel: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly node: string;
  /** Short hash, or "unknown" outside a clone. */
  readonly commit: string;
  readonly hasLocalChanges: boolean;
  /** /proc/loadavg before the first sample. */
  readonly loadBefore: string;
  /** Versions of the tools that measured, by name. */
  readonly tools: Readonly<Record<string, string>>;
}

export interface ProfileInfo {
  readonly name: string; // "offload", "plain-nic", "jumbo", "wire" (two real hosts)
  readonly title: string;
  readonly mtuBytes: number;
  /** ethtool -k of the underlay interface during the run: feature → "on" | "off". */
  readonly offloads: Readonly<Record<string, string>>;
}

export interface ModeInfo {
  readonly name: string; // "veth", "host-gw", "vxlan", "vxlan-userspace", "udp", "udp-naive", …
  readonly title: string;
  /** Which daemon's engine carries the packets: "kernel", "pump", "naive", "ebpf", "fou". */
  readonly engine: string;
}

export interface ScenarioInfo {
  readonly name: string; // "tcp-1", "tcp-4", "tcp-bidir", "tcp-rr", "udp-rr", "udp-64", "udp-1400", "ping-load", …
  readonly title: string;
  /** The first is the one that tables and bars show. */
  readonly metrics: readonly MetricInfo[];
  /** The parameter that varies within the scenario (offered rate, number of routes), null where there is none. */
  readonly point: { readonly title: string; readonly unit: string } | null;
}

export interface MetricInfo {
  readonly name: string; // "bitsPerSecond", "p50", "p99", "p999", "packetsPerSecond", "lossRatio", …
  readonly title: string;
  /** "bit/s", "us", "1/s", "ratio", "packets", "s". */
  readonly unit: string;
  readonly better: "higher" | "lower";
}

export interface Sample {
  readonly profile: string;
  readonly scenario: string;
  readonly mode: string;
  /** From 1. All modes of one round were measured one after the other. */
  readonly round: number;
  /** Value of the scenario's parameter, null where it has none. */
  readonly point: number | null;
  /** By MetricInfo.name, in its unit. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Latencies, as [upper bound in microseconds, number of answers], ascending; null where none are measured. */
  readonly latencies: readonly (readonly [number, number])[] | null;
  /** Payload bytes that arrived; the base of CPU seconds per gigabyte. */
  readonly bytes: number;
  /** CPU seconds during the sample: by process, and "kernel" for what no process of ours accounts for. */
  readonly cpuSeconds: Readonly<Record<string, number>>;
  /** Segments per super-packet, each direction, over both daemons' pumps; null for kernel modes. */
  readonly coalescing: { readonly sent: number; readonly received: number } | null;
  /** Drops of both pumps during the sample, by reason; only those that moved. */
  readonly drops: Readonly<Record<string, number>>;
  /** That the traffic took this road: the device `ip route get` named, and the packets that its counters moved. */
  readonly road: { readonly device: string; readonly packets: number };
}

export interface Refusal {
  readonly profile: string;
  readonly scenario: string;
  readonly mode: string;
  /** Null when the mode or scenario could not be measured at all. */
  readonly round: number | null;
  readonly reason: string;
}
