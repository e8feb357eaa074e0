// Prometheus metrics, made from the daemon's state when somebody scrapes. Loaded at the first scrape only: prom-client costs
// time and memory that a daemon without Prometheus need not pay.
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, Gauge, type OpenMetricsContentType, type PrometheusContentType, Registry } from "prom-client";
import type { OffloadSwitches } from "../addon.js";
import type { DaemonState } from "./state.js";
import { allWarnings, type DirectionReport, dropReports, trafficReport } from "./status.js";
import { packetThreadCpu } from "./thread-cpu.js";

type Labels = Readonly<Record<string, string>>;
interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

const LOOP_RESOLUTION_MS = 20;
const OFFLOAD_NAMES: readonly (readonly [keyof OffloadSwitches, string])[] = [
  ["tso", "tso"],
  ["uso", "uso"],
  ["udpGso", "udp_gso"],
  ["udpGro", "udp_gro"],
  ["tunGro", "tun_gro"],
];

type ContentType = OpenMetricsContentType | PrometheusContentType;

const registries = new WeakMap<DaemonState, Map<ContentType, Registry<ContentType>>>();

/** The whole page: as OpenMetrics 1.0 to who names it in `accept` (the request's header), else in Prometheus' text format. */
export async function exposition(state: DaemonState, accept = ""): Promise<{ contentType: string; body: string }> {
  const isOpen = accept.includes("application/openmetrics-text");
  const type = isOpen ? Registry.OPENMETRICS_CONTENT_TYPE : Registry.PROMETHEUS_CONTENT_TYPE;
  const ofState = registries.get(state) ?? new Map<ContentType, Registry<ContentType>>();
  registries.set(state, ofState);
  const registry = ofState.get(type) ?? createRegistry(state, type);
  ofState.set(type, registry);
  return { contentType: registry.contentType, body: await registry.metrics() };
}

function createRegistry(state: DaemonState, type: ContentType): Registry<ContentType> {
  const registry = new Registry<ContentType>();
  registry.setContentType(type);
  const counter = (name: string, help: string, labelNames: readonly string[], read: () => readonly Sample[]): void => {
    new Counter({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const { labels, value } of read()) this.inc(labels, value);
      },
    });
  };
  const gauge = (name: string, help: string, labelNames: readonly string[], read: () => readonly Sample[]): void => {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const { labels, value } of read()) this.set(labels, value);
      },
    });
  };
  addTraffic(state, counter);
  addControl(state, gauge);
  addWork(state, gauge, counter);
  addProcess(state, gauge, counter);
  return registry;
}

type AddMetric = (name: string, help: string, labelNames: readonly string[], read: () => readonly Sample[]) => void;

function addTraffic(state: DaemonState, counter: AddMetric): void {
  const perDirection = (read: (direction: DirectionReport) => number) => (): Sample[] => {
    const counters = state.readCounters?.();
    if (counters === undefined) return [];
    const { sent, received } = trafficReport(counters);
    return [
      { labels: { direction: "sent" }, value: read(sent) },
      { labels: { direction: "received" }, value: read(received) },
    ];
  };
  const label = ["direction"];
  counter(
    "hopsack_packets_total",
    "Inner packets carried; segments of a super-packet count singly.",
    label,
    perDirection((d) => d.packets),
  );
  counter(
    "hopsack_bytes_total",
    "Bytes of inner packets carried.",
    label,
    perDirection((d) => d.bytes),
  );
  counter(
    "hopsack_super_packets_total",
    "TSO or USO packets exchanged with the TUN device.",
    label,
    perDirection((d) => d.superPackets),
  );
  counter(
    "hopsack_datagrams_total",
    "UDP datagrams exchanged with other hosts.",
    label,
    perDirection((d) => d.datagrams),
  );
  counter(
    "hopsack_tun_calls_total",
    "Reads from and writes to the TUN device.",
    label,
    perDirection((d) => d.tunCalls),
  );
  counter(
    "hopsack_udp_calls_total",
    "System calls on the tunnel's UDP socket.",
    label,
    perDirection((d) => d.udpCalls),
  );
  counter(
    "hopsack_ebpf_packets_total",
    "Of the inner packets carried, those that eBPF programs carried.",
    label,
    () => {
      const counters = state.readCounters?.();
      if (counters === undefined) return [];
      const { sent, received } = trafficReport(counters).carriedByEbpf;
      return [
        { labels: { direction: "sent" }, value: sent.packets },
        { labels: { direction: "received" }, value: received.packets },
      ];
    },
  );
  counter("hopsack_icmp_sent_total", "ICMP errors sent back to senders in the overlay.", [], () =>
    word(state, "icmp_sent"),
  );
  counter("hopsack_questions_total", "ARP requests and neighbour solicitations of other hosts.", [], () =>
    word(state, "punts"),
  );
  counter("hopsack_answers_total", "Answers to ARP requests and neighbour solicitations of other hosts.", [], () =>
    word(state, "punt_answers"),
  );
  counter("hopsack_drops_total", "Packets that left the road without arriving, by reason.", ["reason"], () =>
    dropReports(state, state.readCounters?.() ?? null).map(({ reason, packets }) => ({
      labels: { reason },
      value: packets,
    })),
  );
}

function addControl(state: DaemonState, gauge: AddMetric): void {
  gauge("hopsack_ready", "1 when packets can flow.", [], () => one(state.phase === "ready" ? 1 : 0));
  gauge("hopsack_peers", "Other hosts in the forwarding table.", [], () => one(state.peers.length));
  gauge("hopsack_store_connected", "1 while the lease store answers.", [], () => one(state.isStoreConnected ? 1 : 0));
  gauge("hopsack_warnings", "Warnings shown by hopsack status.", [], () => one(allWarnings(state).length));
  gauge(
    "hopsack_lease_expiry_seconds",
    "When the own lease ends unless it is renewed, in seconds since the epoch.",
    [],
    () => {
      const expiresAt = state.lease?.expiresAt ?? null;
      return expiresAt === null ? [] : one(expiresAt / 1000);
    },
  );
  gauge("hopsack_offload_enabled", "1 when the kernel granted the offload and it is in use.", ["offload"], () => {
    const offloads = state.readCounters?.().offloads;
    if (offloads === undefined) return [];
    return OFFLOAD_NAMES.map(([key, offload]) => ({ labels: { offload }, value: offloads[key] ? 1 : 0 }));
  });
  gauge("hopsack_build_info", "Always 1; the labels say what runs.", ["version", "backend", "node_version"], () => [
    { labels: { version: state.version, backend: state.backendType ?? "", node_version: process.version }, value: 1 },
  ]);
}

/** What the daemon had to do, and what its pump gave up. */
function addWork(state: DaemonState, gauge: AddMetric, counter: AddMetric): void {
  const { tallies } = state;
  counter(
    "hopsack_offload_fallbacks_total",
    "Offloads given up because the kernel refused a packet.",
    ["offload"],
    () => {
      const words = state.readCounters?.().words;
      if (words === undefined) return [];
      return ["udp_gso", "tun_gro"].map((offload) => ({
        labels: { offload },
        value: words[`${offload}_fallbacks`] ?? 0,
      }));
    },
  );
  gauge("hopsack_forwarding_routes", "Prefixes in the pump's forwarding table.", [], () =>
    state.readCounters === null ? [] : word(state, "fib_routes"),
  );
  counter("hopsack_forwarding_updates_total", "Changes of plan that were brought into force.", [], () =>
    one(tallies.forwardingUpdates),
  );
  counter("hopsack_forwarding_update_seconds_total", "Time that bringing them into force took.", [], () =>
    one(tallies.forwardingUpdateSeconds),
  );
  counter("hopsack_repairs_total", "Times that kernel state of ours was put back, by kind of change.", ["kind"], () =>
    [...tallies.repairs].map(([kind, value]) => ({ labels: { kind }, value })),
  );
  counter("hopsack_store_losses_total", "Times that the lease store stopped answering.", [], () =>
    one(tallies.storeLosses),
  );
  gauge(
    "hopsack_store_heard_timestamp_seconds",
    "When the store last told something, in seconds since the epoch.",
    [],
    () => (tallies.storeHeardAt === null ? [] : one(tallies.storeHeardAt / 1000)),
  );
  counter("hopsack_pump_cpu_seconds_total", "Processor time of each packet thread.", ["thread"], () =>
    packetThreadCpu().map(({ thread, seconds }) => ({ labels: { thread }, value: seconds })),
  );
}

function addProcess(state: DaemonState, gauge: AddMetric, counter: AddMetric): void {
  const loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  loop.enable();
  gauge("hopsack_event_loop_lag_seconds", "Worst delay of the control loop since the scrape before.", [], () => {
    const worst = Math.max(0, loop.max / 1e9 - LOOP_RESOLUTION_MS / 1000);
    loop.reset();
    return one(worst);
  });
  gauge("hopsack_resident_memory_bytes", "Resident memory of the daemon.", [], () => one(process.memoryUsage.rss()));
  gauge("hopsack_start_time_seconds", "When the daemon started, in seconds since the epoch.", [], () =>
    one(state.startedAt / 1000),
  );
  counter("hopsack_cpu_seconds_total", "Processor time of the daemon, the packet threads included.", [], () => {
    const { user, system } = process.cpuUsage();
    return one((user + system) / 1e6);
  });
}

function one(value: number): Sample[] {
  return [{ labels: {}, value }];
}

function word(state: DaemonState, name: string): Sample[] {
  return one(state.readCounters?.().words[name] ?? 0);
}
