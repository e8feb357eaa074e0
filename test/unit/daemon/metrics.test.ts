import { setImmediate } from "node:timers/promises";
import t from "tap";
import { exposition } from "../../../src/daemon/metrics.js";
import { initialState, noteStoreHeard, noteStoreLost } from "../../../src/daemon/state.js";
import { readyState } from "../../support/daemon-fixtures.js";

const SAMPLE = /^([a-z_]+)(\{[a-z_]+="[^"\\\n]*"(?:,[a-z_]+="[^"\\\n]*")*\})? (-?[0-9.e+-]+)$/;
const UNITS = /_(total|bytes|seconds|info|connected|ready|peers|routes|warnings|enabled|packets)$/;
const PART_OF_HISTOGRAM = /_(bucket|sum|count)$/;

t.test("every line of the page is a sample or a comment, and every metric has help, type and unit", async (t) => {
  const { body } = await exposition(readyState());
  const lines = body.split("\n").filter((line) => line !== "");
  for (const line of lines.filter((line) => !line.startsWith("#"))) t.match(line, SAMPLE);
  const names = new Set(
    lines
      .filter((line) => !line.startsWith("#"))
      .map((line) => (SAMPLE.exec(line)?.[1] ?? "").replace(PART_OF_HISTOGRAM, "")),
  );
  for (const name of names) {
    t.match(name, /^hopsack_/);
    t.match(name, UNITS);
    t.ok(
      lines.some((line) => line.startsWith(`# HELP ${name} `)),
      `${name} has a help text`,
    );
    t.ok(
      lines.some((line) => line.startsWith(`# TYPE ${name} `)),
      `${name} has a type`,
    );
  }
});

t.test("the pump's counters appear with their direction and reason", async (t) => {
  const { body } = await exposition(readyState());
  t.match(body, 'hopsack_packets_total{direction="sent"} 4400\n');
  t.match(body, 'hopsack_bytes_total{direction="received"} 120000\n');
  t.match(body, "hopsack_questions_total 5\n");
  t.match(body, "hopsack_answers_total 4\n");
  t.match(body, 'hopsack_drops_total{reason="no_route"} 3\n');
  t.match(body, 'hopsack_drops_total{reason="tun_ring_full"} 17\n');
  t.match(body, 'hopsack_offload_enabled{offload="uso"} 0\n');
  t.match(body, "hopsack_lease_expiry_seconds 90000\n");
});

t.test("a second scrape shows the counters of then, not their sum", async (t) => {
  const state = readyState();
  await exposition(state);
  t.match((await exposition(state)).body, 'hopsack_packets_total{direction="sent"} 4400\n');
});

t.test("a daemon that is still waiting has metrics too", async (t) => {
  const { body } = await exposition(initialState({ version: "1", node: "a", startedAt: 0, storeSpec: "file:/x" }));
  t.match(body, "hopsack_ready 0\n");
  t.notMatch(body, 'hopsack_packets_total{direction="sent"}');
});

t.test("who asks for OpenMetrics gets it, with its end and its counters without _total in their type", async (t) => {
  const state = readyState();
  const { contentType, body } = await exposition(state, "application/openmetrics-text; version=1.0.0,text/plain;q=0.5");
  t.match(contentType, "application/openmetrics-text; version=1.0.0");
  t.match(body, /# EOF\n$/);
  t.match(body, "# TYPE hopsack_drops counter\n");
  t.match(body, 'hopsack_drops_total{reason="no_route"} 3\n');
  const plain = await exposition(state, "text/plain");
  t.match(plain.contentType, "text/plain; version=0.0.4");
  t.notMatch(plain.body, "# EOF");
});

t.test("work of the daemon is told: repairs by kind, updates, losses of the store, offloads given up", async (t) => {
  const state = readyState();
  state.tallies.repairs.set("add-route", 2);
  Object.assign(state.tallies, {
    forwardingUpdates: 4,
    forwardingUpdateSeconds: 0.5,
    tablesPublished: 3,
    tablesPublishedSeconds: 0.25,
    storeReconnects: 2,
    storeLosses: 1,
    storeHeardAt: 7000,
  });
  const { body } = await exposition(state);
  t.match(body, 'hopsack_repairs_total{kind="add-route"} 2\n');
  t.match(body, "hopsack_forwarding_updates_total 4\n");
  t.match(body, "hopsack_forwarding_update_seconds_total 0.5\n");
  t.match(body, "hopsack_forwarding_publishes_total 3\n");
  t.match(body, "hopsack_forwarding_publish_seconds_total 0.25\n");
  t.match(body, "hopsack_store_reconnects_total 2\n");
  t.match(body, "hopsack_store_losses_total 1\n");
  t.match(body, "hopsack_store_heard_timestamp_seconds 7\n");
  t.match(body, 'hopsack_offload_fallbacks_total{offload="udp_gso"} 0\n');
});

t.test("the rounds of the packet threads are a histogram by how many packets they carried", async (t) => {
  for (const accept of ["", "application/openmetrics-text"]) {
    const { body } = await exposition(readyState(), accept);
    t.match(body, "# TYPE hopsack_batch_packets histogram\n");
    t.match(body, 'hopsack_batch_packets_bucket{le="1",direction="sent"} 1\n');
    t.match(body, 'hopsack_batch_packets_bucket{le="2",direction="sent"} 1\n');
    t.match(body, 'hopsack_batch_packets_bucket{le="+Inf",direction="sent"} 3\n');
    t.match(body, 'hopsack_batch_packets_count{direction="sent"} 3\n');
    t.match(body, 'hopsack_batch_packets_sum{direction="sent"} 4400\n');
    t.match(body, 'hopsack_batch_packets_bucket{le="2",direction="received"} 7\n');
    t.match(body, 'hopsack_batch_packets_sum{direction="received"} 2200\n');
  }
});

t.test("bytes of the peers that are counted one by one, and the sum of the others", async (t) => {
  const state = readyState();
  const { body } = await exposition(state);
  t.match(body, 'hopsack_peer_bytes_total{peer="192.168.50.11",node="host-b",direction="sent"} 6000000\n');
  t.match(body, 'hopsack_peer_bytes_total{peer="192.168.50.11",node="host-b",direction="received"} 110000\n');
  t.match(body, 'hopsack_peer_bytes_total{peer="other",node="",direction="sent"} 160000\n');
  t.notMatch(body, 'peer="192.168.50.12"');
  state.peers = state.peers.slice(0, 1);
  t.notMatch((await exposition(state)).body, 'peer="other",node', "there are no others");
});

t.test("a store that is away makes what is known older and older, until it answers again", async (t) => {
  const state = readyState();
  t.match((await exposition(state)).body, "hopsack_store_watch_lag_seconds 0\n");
  noteStoreLost(state, Date.now() - 60_000);
  noteStoreLost(state, Date.now());
  const lag = /^hopsack_store_watch_lag_seconds ([0-9.]+)$/m;
  const { body } = await exposition(state);
  const seconds = Number(lag.exec(body)?.[1]);
  t.ok(seconds >= 60 && seconds < 70, `${seconds} s since the first failure`);
  t.match(body, "hopsack_store_losses_total 1\n");
  noteStoreHeard(state, Date.now());
  const after = (await exposition(state)).body;
  t.match(after, "hopsack_store_watch_lag_seconds 0\n");
  t.match(after, "hopsack_store_reconnects_total 1\n");
  t.match(after, "hopsack_store_connected 1\n");
});

t.test("a busy control loop is seen by everybody who asks, not by the first alone", async (t) => {
  const state = readyState();
  const late = async (accept: string): Promise<number> => {
    const { body } = await exposition(state, accept);
    const count = (le: string): number =>
      Number(new RegExp(`^hopsack_event_loop_lag_seconds_bucket\\{le="${le}"\\} ([0-9]+)$`, "m").exec(body)?.[1]);
    return count("\\+Inf") - count("0.1");
  };
  const before = await late("");
  const end = performance.now() + 400;
  while (performance.now() < end); // what a control loop must never do
  while ((await late("")) === before) await setImmediate();
  t.ok((await late("application/openmetrics-text")) > before);
});

t.test("peers are counted by what the probes say, with the median and the longest round trip", async (t) => {
  const state = readyState();
  t.notMatch((await exposition(state)).body, "hopsack_probe_peers{", "nobody is probed");
  state.readProbeAddress = () => "10.244.1.0";
  const [near, far] = state.peers;
  const reach = { lastHeardAt: null, loss: 0 };
  state.readReach = (peer) =>
    peer === near
      ? { ...reach, state: "reachable", roundTripMilliseconds: 0.5 }
      : { ...reach, state: "lost", roundTripMilliseconds: 9 };
  const { body } = await exposition(state);
  t.match(body, 'hopsack_probe_peers{state="reachable"} 1\n');
  t.match(body, 'hopsack_probe_peers{state="lost"} 1\n');
  t.match(body, 'hopsack_probe_peers{state="one-way"} 0\n');
  t.match(body, 'hopsack_probe_round_trip_seconds{of="longest"} 0.0005\n', "of who answers");
  state.readReach = (peer) => ({
    ...reach,
    state: "reachable",
    roundTripMilliseconds: peer === far ? 9 : 0.5,
  });
  t.match((await exposition(state)).body, 'hopsack_probe_round_trip_seconds{of="longest"} 0.009\n');
});

t.test("what the kernel counts on the device is told, also in a mode that has no pump", async (t) => {
  const state = readyState();
  t.notMatch((await exposition(state)).body, "hopsack_device_packets_total{");
  state.readCounters = null;
  state.readDeviceVolume = () => ({ sentPackets: 5, sentBytes: 500, receivedPackets: 7, receivedBytes: 700 });
  const { body } = await exposition(state);
  t.match(body, 'hopsack_device_packets_total{device="flannel0",direction="received"} 7\n');
  t.match(body, 'hopsack_device_bytes_total{device="flannel0",direction="sent"} 500\n');
});
