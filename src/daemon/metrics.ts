// Prometheus metrics, made from the daemon's state when somebody scrapes. Loaded at the first scrape only: prom-client costs
// time and memory that a daemon without Prometheus need not pay.
import { type OpenMetricsContentType, type PrometheusContentType, Registry } from "prom-client";
import type { OffloadSwitches } from "../addon.js";
import { isUp } from "../bird/sessions.js";
import type { PumpCounters } from "../dataplane/pump.js";
import type { GuardReport } from "../kernel/guard-table.js";
import { DIRECTIONS } from "../policy/policy.js";
import type { PolicyReport } from "../policy/policy-report.js";
import { type Distribution, KnownCounter, KnownGauge, KnownHistogram, type Sample } from "./known-metrics.js";
import { LoopLag } from "./loop-lag.js";
import { REACH_STATES, type Reach } from "./reach.js";
import type { DaemonState, LinkVolume } from "./state.js";
import { allWarnings, type DirectionReport, dropReports, trafficReport } from "./status.js";
import { packetThreadCpu } from "./thread-cpu.js";

const OFFLOAD_NAMES: readonly (readonly [keyof OffloadSwitches, string])[] = [
  ["tso", "tso"],
  ["uso", "uso"],
  ["udpGso", "udp_gso"],
  ["udpGro", "udp_gro"],
  ["tunGro", "tun_gro"],
];

type ContentType = OpenMetricsContentType | PrometheusContentType;

/** What one page is made of: the pump's counters are read once for all of it. */
interface Source {
  readonly state: DaemonState;
  counters: PumpCounters | null;
  policies: readonly PolicyReport[];
  guard: GuardReport | null;
}

interface Page {
  readonly source: Source;
  readonly registry: Registry<ContentType>;
}

const pages = new WeakMap<DaemonState, Map<ContentType, Page>>();
const loopLag = new LoopLag();

/** The whole page: as OpenMetrics 1.0 to who names it in `accept` (the request's header), else in Prometheus' text format. */
export async function exposition(state: DaemonState, accept = ""): Promise<{ contentType: string; body: string }> {
  const isOpen = accept.includes("application/openmetrics-text");
  const type = isOpen ? Registry.OPENMETRICS_CONTENT_TYPE : Registry.PROMETHEUS_CONTENT_TYPE;
  const ofState = pages.get(state) ?? new Map<ContentType, Page>();
  pages.set(state, ofState);
  const page = ofState.get(type) ?? createPage(state, type);
  ofState.set(type, page);
  const [policies, guard] = await Promise.all([state.readPolicies(), state.readGuard()]);
  Object.assign(page.source, { policies, guard, counters: state.readCounters?.() ?? null });
  return { contentType: page.registry.contentType, body: await page.registry.metrics() };
}

function createPage(state: DaemonState, type: ContentType): Page {
  const source: Source = { state, counters: null, policies: [], guard: null };
  const registry = new Registry<ContentType>();
  registry.setContentType(type);
  const registers = [registry];
  const counter: AddMetric = (name, help, read) => void new KnownCounter({ name, help, registers }, read);
  const gauge: AddMetric = (name, help, read) => void new KnownGauge({ name, help, registers }, read);
  const histogram: AddHistogram = (name, help, read) => void new KnownHistogram({ name, help, registers }, read);
  addTraffic(source, counter);
  addDevice(state, counter);
  addPolicies(source, counter);
  addGuard(source, counter, gauge);
  addPump(source, gauge, counter, histogram);
  addControl(state, gauge);
  addProbes(state, gauge);
  addWork(state, counter, gauge);
  addProcess(state, gauge, counter, histogram);
  return { source, registry };
}

type AddMetric = (name: string, help: string, read: () => readonly Sample[]) => void;
type AddHistogram = (name: string, help: string, read: () => readonly Distribution[]) => void;

function addTraffic(source: Source, counter: AddMetric): void {
  const perDirection = (read: (direction: DirectionReport) => number) => (): Sample[] => {
    const { counters } = source;
    if (counters === null) return [];
    const { sent, received } = trafficReport(counters);
    return [
      { labels: { direction: "sent" }, value: read(sent) },
      { labels: { direction: "received" }, value: read(received) },
    ];
  };
  counter(
    "hopsack_packets_total",
    "Inner packets carried; segments of a super-packet count singly.",
    perDirection((d) => d.packets),
  );
  counter(
    "hopsack_bytes_total",
    "Bytes of inner packets carried.",
    perDirection((d) => d.bytes),
  );
  counter(
    "hopsack_super_packets_total",
    "TSO or USO packets exchanged with the TUN device.",
    perDirection((d) => d.superPackets),
  );
  counter(
    "hopsack_datagrams_total",
    "UDP datagrams exchanged with other hosts.",
    perDirection((d) => d.datagrams),
  );
  counter(
    "hopsack_tun_calls_total",
    "Reads from and writes to the TUN device.",
    perDirection((d) => d.tunCalls),
  );
  counter(
    "hopsack_udp_calls_total",
    "System calls on the tunnel's UDP socket.",
    perDirection((d) => d.udpCalls),
  );
  counter("hopsack_ebpf_packets_total", "Of the inner packets carried, those that eBPF programs carried.", () => {
    if (source.counters === null) return [];
    const { sent, received } = trafficReport(source.counters).carriedByEbpf;
    return [
      { labels: { direction: "sent" }, value: sent.packets },
      { labels: { direction: "received" }, value: received.packets },
    ];
  });
  counter("hopsack_icmp_sent_total", "ICMP errors sent back to senders in the overlay.", () =>
    word(source, "icmp_sent"),
  );
  counter("hopsack_questions_total", "ARP requests and neighbour solicitations of other hosts.", () =>
    word(source, "punts"),
  );
  counter("hopsack_answers_total", "Answers to ARP requests and neighbour solicitations of other hosts.", () =>
    word(source, "punt_answers"),
  );
  counter("hopsack_drops_total", "Packets that left the road without arriving, by reason.", () =>
    dropReports(source.state, source.counters).map(({ reason, packets }) => ({
      labels: { reason },
      value: packets,
    })),
  );
  counter(
    "hopsack_peer_bytes_total",
    'Bytes of inner packets sent to a peer and accepted from it; those beyond --metrics-per-peer together as peer="other".',
    () => peerSamples(source.state),
  );
}

/** One series for each policy, direction and verdict, however many pods there are. */
function addPolicies(source: Source, counter: AddMetric): void {
  const samples = (unit: "packets" | "bytes") => (): Sample[] =>
    source.policies.flatMap((policy) =>
      DIRECTIONS.flatMap((direction) =>
        Object.entries(policy[direction] ?? {}).map(([verdict, counted]) => ({
          labels: { policy: policy.name, direction, verdict },
          value: counted[unit],
        })),
      ),
    );
  counter(
    "hopsack_policy_packets_total",
    "Packets that a policy of this host allowed (answers left out), and packets to or from its pods that were denied.",
    samples("packets"),
  );
  counter("hopsack_policy_bytes_total", "Bytes of the packets in hopsack_policy_packets_total.", samples("bytes"));
}

/** Nothing while it is off. */
function addGuard(source: Source, counter: AddMetric, gauge: AddMetric): void {
  const sample = (value: number | undefined): Sample[] => (value === undefined ? [] : [{ labels: {}, value }]);
  counter("hopsack_guard_dropped_packets_total", "Packets to the tunnel's UDP ports that --guard dropped.", () =>
    sample(source.guard?.droppedPackets),
  );
  gauge("hopsack_guard_peers", "Addresses that --guard lets send to the tunnel's UDP ports.", () =>
    sample(source.guard?.peers),
  );
}

/** The kernel's count, which the modes that the kernel carries have as well. */
function addDevice(state: DaemonState, counter: AddMetric): void {
  const perDirection = (read: (volume: LinkVolume) => readonly [sent: number, received: number]) => (): Sample[] => {
    const volume = state.readDeviceVolume();
    if (volume === null || state.device === null) return [];
    const device = state.device.name;
    const [sent, received] = read(volume);
    return [
      { labels: { device, direction: "sent" }, value: sent },
      { labels: { device, direction: "received" }, value: received },
    ];
  };
  counter(
    "hopsack_device_packets_total",
    "Packets that the kernel counts on the tunnel's device; a super-packet is one packet.",
    perDirection(({ sentPackets, receivedPackets }) => [sentPackets, receivedPackets]),
  );
  counter(
    "hopsack_device_bytes_total",
    "Bytes that the kernel counts on the tunnel's device.",
    perDirection(({ sentBytes, receivedBytes }) => [sentBytes, receivedBytes]),
  );
}

function peerSamples({ peers, readPeerBytes }: DaemonState): Sample[] {
  const reading = readPeerBytes?.();
  if (reading === undefined) return [];
  const nodes = new Map(peers.map(({ attrs }) => [attrs.publicIp, attrs.node ?? ""]));
  const all = [...reading.peers, ...(nodes.size > reading.peers.size ? [["other", reading.others] as const] : [])];
  return all.flatMap(([peer, { sent, received }]) => {
    const labels = { peer, node: nodes.get(peer) ?? "" };
    return [
      { labels: { ...labels, direction: "sent" }, value: sent },
      { labels: { ...labels, direction: "received" }, value: received },
    ];
  });
}

/** What the packet threads do, and with which means. */
function addPump(source: Source, gauge: AddMetric, counter: AddMetric, histogram: AddHistogram): void {
  histogram("hopsack_batch_packets", "Packets that a packet thread carried in one round.", () => {
    const { counters } = source;
    if (counters === null) return [];
    const { tun_rx_packets: sent = 0, udp_rx_datagrams: received = 0 } = counters.words;
    return [
      { labels: { direction: "sent" }, buckets: batchesOf(counters, "outbound"), sum: sent },
      { labels: { direction: "received" }, buckets: batchesOf(counters, "inbound"), sum: received },
    ];
  });
  gauge("hopsack_offload_enabled", "1 when the kernel granted the offload and it is in use.", () => {
    const offloads = source.counters?.offloads;
    if (offloads === undefined) return [];
    return OFFLOAD_NAMES.map(([key, offload]) => ({ labels: { offload }, value: offloads[key] ? 1 : 0 }));
  });
  counter("hopsack_offload_fallbacks_total", "Offloads given up because the kernel refused a packet.", () => {
    const words = source.counters?.words;
    if (words === undefined) return [];
    return ["udp_gso", "tun_gro"].map((offload) => ({
      labels: { offload },
      value: words[`${offload}_fallbacks`] ?? 0,
    }));
  });
  gauge("hopsack_forwarding_routes", "Prefixes in the pump's forwarding table.", () => word(source, "fib_routes"));
  counter("hopsack_pump_cpu_seconds_total", "Processor time of each packet thread.", () =>
    packetThreadCpu().map(({ thread, seconds }) => ({ labels: { thread }, value: seconds })),
  );
}

const BATCH_WORD = /_batches_([0-9]+|inf)$/;

/** The words that say how many rounds carried at most so many packets, smallest first as they lie in memory. */
function batchesOf({ words }: PumpCounters, direction: "outbound" | "inbound"): (readonly [number, number])[] {
  return Object.entries(words).flatMap(([name, rounds]) => {
    const size = name.startsWith(direction) ? BATCH_WORD.exec(name)?.[1] : undefined;
    if (size === undefined) return [];
    return [[size === "inf" ? Number.POSITIVE_INFINITY : Number(size), rounds] as const];
  });
}

function addControl(state: DaemonState, gauge: AddMetric): void {
  gauge("hopsack_ready", "1 when packets can flow.", () => one(state.phase === "ready" ? 1 : 0));
  gauge("hopsack_peers", "Other hosts in the forwarding table.", () => one(state.peers.length));
  gauge("hopsack_store_connected", "1 while the lease store answers.", () => one(state.isStoreConnected ? 1 : 0));
  gauge("hopsack_warnings", "Warnings shown by hopsack status.", () => one(allWarnings(state).length));
  gauge(
    "hopsack_lease_expiry_seconds",
    "When the own lease ends unless it is renewed, in seconds since the epoch.",
    () => {
      const expiresAt = state.lease?.expiresAt ?? null;
      return expiresAt === null ? [] : one(expiresAt / 1000);
    },
  );
  gauge("hopsack_bgp_sessions", "BGP sessions by state, in mode bgp: established or not.", () => {
    const sessions = state.readBgp()?.sessions;
    if (sessions === undefined) return [];
    const established = sessions.filter(isUp).length;
    return [
      { labels: { state: "established" }, value: established },
      { labels: { state: "not_established" }, value: sessions.length - established },
    ];
  });
  gauge("hopsack_build_info", "Always 1; the labels say what runs.", () => [
    { labels: { version: state.version, backend: state.backendType ?? "", node_version: process.version }, value: 1 },
  ]);
}

/** What the probes say of the peers; nothing where nobody is probed. */
function addProbes(state: DaemonState, gauge: AddMetric): void {
  gauge("hopsack_probe_peers", "Peers by what the probes say of them.", () => {
    if (state.readProbeAddress() === null) return [];
    const states = reaches(state).map((reach) => reach.state);
    return REACH_STATES.map((name) => ({
      labels: { state: name },
      value: states.filter((found) => found === name).length,
    }));
  });
  gauge(
    "hopsack_probe_round_trip_seconds",
    "Of each peer's last answer, through both daemons: the median and the longest.",
    () => {
      const answering = reaches(state).filter((reach) => reach.state === "reachable");
      const times = answering.flatMap((reach) => reach.roundTripMilliseconds ?? []).sort((x, y) => x - y);
      const [median, longest] = [times[Math.floor(times.length / 2)], times.at(-1)];
      if (median === undefined || longest === undefined) return [];
      return [
        { labels: { of: "median" }, value: median / 1000 },
        { labels: { of: "longest" }, value: longest / 1000 },
      ];
    },
  );
}

function reaches({ peers, readReach }: DaemonState): Reach[] {
  return peers.flatMap((peer) => readReach(peer) ?? []);
}

/** What the daemon had to do. */
function addWork(state: DaemonState, counter: AddMetric, gauge: AddMetric): void {
  const { tallies } = state;
  counter("hopsack_forwarding_updates_total", "Changes of plan that were brought into force.", () =>
    one(tallies.forwardingUpdates),
  );
  counter("hopsack_forwarding_update_seconds_total", "Time that bringing them into force took.", () =>
    one(tallies.forwardingUpdateSeconds),
  );
  counter("hopsack_forwarding_publishes_total", "Tables that the pump was given.", () => one(tallies.tablesPublished));
  counter("hopsack_forwarding_publish_seconds_total", "Time that making and giving them took.", () =>
    one(tallies.tablesPublishedSeconds),
  );
  counter("hopsack_repairs_total", "Times that kernel state of ours was put back, by kind of change.", () =>
    [...tallies.repairs].map(([kind, value]) => ({ labels: { kind }, value })),
  );
  counter("hopsack_bird_ends_total", "Times that BIRD ended by itself and was started again, in mode bgp.", () =>
    one(tallies.birdEnds),
  );
  counter("hopsack_store_losses_total", "Times that the lease store stopped answering.", () =>
    one(tallies.storeLosses),
  );
  counter("hopsack_store_reconnects_total", "Times that the lease store answered again.", () =>
    one(tallies.storeReconnects),
  );
  gauge(
    "hopsack_store_watch_lag_seconds",
    "How old what is known of the lease store may be: 0 while it is watched, else the time since it stopped answering.",
    () => one(tallies.storeLostAt === null ? 0 : Math.max(0, (Date.now() - tallies.storeLostAt) / 1000)),
  );
  gauge(
    "hopsack_store_heard_timestamp_seconds",
    "When the store last told something, in seconds since the epoch.",
    () => (tallies.storeHeardAt === null ? [] : one(tallies.storeHeardAt / 1000)),
  );
}

function addProcess(state: DaemonState, gauge: AddMetric, counter: AddMetric, histogram: AddHistogram): void {
  histogram("hopsack_event_loop_lag_seconds", "How late the control loop was, looked at 20 times a second.", () => [
    loopLag.read(),
  ]);
  gauge("hopsack_resident_memory_bytes", "Resident memory of the daemon.", () => one(process.memoryUsage.rss()));
  gauge("hopsack_start_time_seconds", "When the daemon started, in seconds since the epoch.", () =>
    one(state.startedAt / 1000),
  );
  counter("hopsack_cpu_seconds_total", "Processor time of the daemon, the packet threads included.", () => {
    const { user, system } = process.cpuUsage();
    return one((user + system) / 1e6);
  });
}

function one(value: number): Sample[] {
  return [{ labels: {}, value }];
}

/** Nothing where no pump runs. */
function word({ counters }: Source, name: string): Sample[] {
  return counters === null ? [] : one(counters.words[name] ?? 0);
}
