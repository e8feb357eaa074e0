import t from "tap";
import { initialState } from "../../../src/daemon/state.js";
import { statusReport } from "../../../src/daemon/status.js";
import { counters, readyState } from "../../support/daemon-fixtures.js";

t.test("the report says what the daemon holds, moves and loses", async (t) => {
  const report = statusReport(readyState(), 1_061_000);
  t.match(report, {
    version: "0.1.0",
    node: "host-a",
    pid: process.pid,
    uptimeSeconds: 61,
    state: "ready",
    backend: "udp",
    store: { spec: "file:/srv/leases", connected: true },
    lease: {
      subnet: "10.244.1.0/24",
      subnetV6: null,
      publicIp: "192.168.50.10",
      expiresAt: "1970-01-02T01:00:00.000Z",
    },
    underlay: { link: "eth0", address: "192.168.50.10", mtuBytes: 1500 },
    device: { name: "flannel0", mtuBytes: 1472 },
    traffic: { icmpSent: 3, questions: { received: 5, answered: 4 } },
    offloads: { tso: true, uso: false },
  });
  t.same(report.peers[1], {
    subnet: "10.244.30.0/24",
    subnetV6: null,
    publicIp: "192.168.50.12",
    publicIpv6: null,
    node: null,
    backendType: "udp",
    probeAddress: null,
    reach: null,
    bytes: null,
  });
  t.same(report.peers[0]?.bytes, { sent: 6_000_000, received: 110_000 });
  t.same(report.warnings, []);
});

t.test("coalescing factors are packets or datagrams for each operation", async (t) => {
  t.same(statusReport(readyState(), 0).traffic?.coalescing, {
    packetsPerTunRead: 44,
    datagramsPerSend: 44,
    datagramsPerReceive: 22,
    packetsPerTunWrite: 24.43,
  });
});

t.test("what eBPF programs carried is part of the traffic, and no part of the coalescing factors", async (t) => {
  const state = readyState();
  const words = state.readCounters?.().words ?? {};
  const sent = { packets: 500, bytes: 700_000, superPackets: 10 };
  const received = { packets: 7, bytes: 420, superPackets: 0 };
  const before = statusReport(state, 0).traffic;
  state.readCounters = () => counters(words, {}, { sent, received, lost: 0, overrun: 0 });
  state.readEngine = () => ({ name: "ebpf", reason: "asked for by --engine ebpf" });
  const { traffic, engine } = statusReport(state, 0);
  t.same(engine, { name: "ebpf", reason: "asked for by --engine ebpf" });
  t.same(traffic?.carriedByEbpf, { sent: { packets: 500, bytes: 700_000 }, received: { packets: 7, bytes: 420 } });
  t.equal(traffic?.sent.packets, (before?.sent.packets ?? 0) + 500);
  t.equal(traffic?.sent.bytes, (before?.sent.bytes ?? 0) + 700_000);
  t.equal(traffic?.received.datagrams, (before?.received.datagrams ?? 0) + 7);
  t.same(traffic?.coalescing, before?.coalescing);
});

t.test("packets that the kernel dropped at the full TUN are one of the drop reasons", async (t) => {
  const { drops } = statusReport(readyState(), 0);
  t.same(
    drops.map(({ reason, packets }) => [reason, packets]),
    [
      ["no_route", 3],
      ["unknown_sender", 0],
      ["tun_ring_full", 17],
    ],
  );
});

t.test("before the first lease the report has nothing to show, and says why", async (t) => {
  const state = initialState({ version: "0.1.0", node: "a", startedAt: 0, storeSpec: "file:/srv" });
  state.phase = "waiting";
  state.warnings.set("store", "/srv cannot be read");
  state.readHostWarnings = () => ["net.ipv4.ip_forward is 0"];
  t.match(statusReport(state, 0), {
    state: "waiting",
    warnings: ["/srv cannot be read", "net.ipv4.ip_forward is 0"],
    lease: null,
    traffic: null,
    drops: [],
    offloads: null,
  });
});
