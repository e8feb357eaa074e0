// What two looks at the daemons say about the time between them.
import t from "tap";
import { pumpWork } from "../../../src/bench/pump-work.js";
import { initialState } from "../../../src/daemon/state.js";
import { type StatusReport, statusReport } from "../../../src/daemon/status.js";
import { readyState } from "../../support/daemon-fixtures.js";

function moved(report: StatusReport, factor: number): StatusReport {
  if (report.traffic === null) throw new Error("a ready daemon in udp mode has traffic");
  const { sent, received } = report.traffic;
  const times = (one: typeof sent) => ({ ...one, packets: one.packets * factor, tunCalls: one.tunCalls * factor });
  const drops = report.drops.map((drop) => ({ ...drop, packets: drop.packets * factor }));
  return { ...report, drops, traffic: { ...report.traffic, sent: times(sent), received: times(received) } };
}

t.test("packets a call, and only the drops that moved", async (t) => {
  const before = statusReport(readyState(), 0);
  const work = pumpWork([before, before], [moved(before, 3), before]);
  const { sent, received } = before.traffic ?? {};
  t.same(work.coalescing, {
    sent: (sent?.packets ?? 0) / (sent?.tunCalls ?? 1),
    received: (received?.packets ?? 0) / (received?.tunCalls ?? 1),
  });
  t.same(work.drops, { no_route: 6, tun_ring_full: 34 });
  t.same(pumpWork([before], [before]).drops, {});
});

t.test("a daemon that was restarted is counted from zero", async (t) => {
  const before = statusReport(readyState(), 0);
  t.same(pumpWork([before], [{ ...before, pid: before.pid + 1 }]).drops, { no_route: 3, tun_ring_full: 17 });
});

t.test("kernel modes have no pump, so nothing to join", async (t) => {
  const state = initialState({ version: "0.1.0", node: "h1", startedAt: 0, storeSpec: "file:/srv" });
  const report = statusReport(state, 0);
  t.same(pumpWork([report, report], [report, report]), { coalescing: null, drops: {} });
});
