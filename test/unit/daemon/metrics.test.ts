import t from "tap";
import { exposition } from "../../../src/daemon/metrics.js";
import { initialState } from "../../../src/daemon/state.js";
import { readyState } from "../../support/daemon-fixtures.js";

const SAMPLE = /^([a-z_]+)(\{[a-z_]+="[^"\\\n]*"(?:,[a-z_]+="[^"\\\n]*")*\})? (-?[0-9.e+-]+)$/;
const UNITS = /_(total|bytes|seconds|info|connected|ready|peers|routes|warnings|enabled)$/;

t.test("every line of the page is a sample or a comment, and every metric has help, type and unit", async (t) => {
  const { body } = await exposition(readyState());
  const lines = body.split("\n").filter((line) => line !== "");
  for (const line of lines.filter((line) => !line.startsWith("#"))) t.match(line, SAMPLE);
  const names = new Set(lines.filter((line) => !line.startsWith("#")).map((line) => SAMPLE.exec(line)?.[1] ?? ""));
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
    storeLosses: 1,
    storeHeardAt: 7000,
  });
  const { body } = await exposition(state);
  t.match(body, 'hopsack_repairs_total{kind="add-route"} 2\n');
  t.match(body, "hopsack_forwarding_updates_total 4\n");
  t.match(body, "hopsack_forwarding_update_seconds_total 0.5\n");
  t.match(body, "hopsack_store_losses_total 1\n");
  t.match(body, "hopsack_store_heard_timestamp_seconds 7\n");
  t.match(body, 'hopsack_offload_fallbacks_total{offload="udp_gso"} 0\n');
});
