import t from "tap";
import { paintFor } from "../../../src/cli/output.js";
import { renderTop } from "../../../src/cli/top-screen.js";
import { type StatusReport, statusReport } from "../../../src/daemon/status.js";
import { readyState } from "../../support/daemon-fixtures.js";

const plain = paintFor({}, {});
const report = (more: Partial<StatusReport> = {}): StatusReport => ({ ...statusReport(readyState(), 0), ...more });
const device = (sentBytes: number) => ({
  name: "flannel.1",
  mtuBytes: 1450,
  volume: { sentPackets: sentBytes / 1000, sentBytes, receivedPackets: 0, receivedBytes: 0 },
});

function top(before: StatusReport, now: StatusReport): string {
  return renderTop({ at: 0, report: before }, { at: 2000, report: now }, plain, 20);
}

t.test("where the kernel carries the packets, its count of the device is shown", async (t) => {
  const [before, now] = [device(0), device(5_000_000)].map((device) => report({ traffic: null, device }));
  if (before === undefined || now === undefined) throw new Error("two reports");
  t.match(
    top(before, now),
    /traffic of flannel\.1\n.*\n {2}sent +2\.5 k\/s +20 Mbit\/s\n {2}received +0 \/s +0 bit\/s\n/,
  );
});

t.test("a mode without a device says why there is no figure", async (t) => {
  const bare = report({ traffic: null, device: null, backend: "host-gw" });
  t.match(top(bare, bare), "no figures: in host-gw mode the overlay's packets pass eth0 among all others");
});

t.test("a daemon that was started anew is measured anew", async (t) => {
  t.match(top(report({ pid: 1 }), report({ pid: 2 })), "measuring …");
});

t.test("what is dropped now is named; what was dropped before is not", async (t) => {
  const drops = (packets: number) => [
    { reason: "no_route", help: "no subnet", packets },
    { reason: "truncated", help: "cut", packets: 7 },
  ];
  const screen = top(report({ drops: drops(10) }), report({ drops: drops(30) }));
  t.match(screen, "dropped 10 /s: no_route, no subnet");
  t.notMatch(screen, "truncated");
});
