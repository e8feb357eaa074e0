// cli/session-lines: BGP sessions as a person sees them.
import t from "tap";
import { paintFor } from "../../../src/cli/output.js";
import { nodeStatusText, sessionLines } from "../../../src/cli/session-lines.js";
import { type StatusReport, statusReport } from "../../../src/daemon/status.js";
import { readyState } from "../../support/daemon-fixtures.js";

const NOW = new Date(2020, 8, 29, 12, 0, 0).getTime();
const SESSION = {
  ...{ peer: "192.168.50.11", type: "node-to-node mesh", asNumber: 64_512, state: "up", info: "Established" },
  ...{ since: new Date(2020, 8, 28, 9, 30, 0).toISOString(), trouble: null },
};

function report(bgp: StatusReport["bgp"]): StatusReport {
  return { ...statusReport(readyState(), NOW), bgp };
}

const BGP = { version: "2.0.12", pid: 7, asNumber: 64_512 };

t.test("node status is calicoctl's table: the date of an old session, the time of one of today", async (t) => {
  const young = { ...SESSION, peer: "192.168.50.12", state: "start", info: "Active Socket: Connection refused" };
  const since = new Date(2020, 8, 29, 11, 5, 9).toISOString();
  t.equal(
    nodeStatusText(report({ ...BGP, sessions: [SESSION, { ...young, since }] }), NOW),
    `Hopsack process is running.

IPv4 BGP status
+---------------+-------------------+-------+------------+-----------------------------------+
| PEER ADDRESS  |     PEER TYPE     | STATE |   SINCE    |               INFO                |
+---------------+-------------------+-------+------------+-----------------------------------+
| 192.168.50.11 | node-to-node mesh | up    | 2020-09-28 | Established                       |
| 192.168.50.12 | node-to-node mesh | start | 11:05:09   | Active Socket: Connection refused |
+---------------+-------------------+-------+------------+-----------------------------------+

IPv6 BGP status
No IPv6 peers found.

`,
  );
});

t.test("with one peer it is the documents' table to the character", async (t) => {
  const table = nodeStatusText(report({ ...BGP, sessions: [SESSION] }), NOW)
    .split("\n")
    .slice(3, 8);
  t.strictSame(table, [
    "+---------------+-------------------+-------+------------+-------------+",
    "| PEER ADDRESS  |     PEER TYPE     | STATE |   SINCE    |    INFO     |",
    "+---------------+-------------------+-------+------------+-------------+",
    "| 192.168.50.11 | node-to-node mesh | up    | 2020-09-28 | Established |",
    "+---------------+-------------------+-------+------------+-------------+",
  ]);
});

t.test("another mode, a BIRD that does not run and a host without peers are said in calicoctl's words", async (t) => {
  t.equal(
    nodeStatusText(report(null), NOW),
    "Hopsack process is running.\n\nThe BGP backend process (BIRD) is not running.\n",
  );
  const dead = nodeStatusText(report({ ...BGP, version: null, pid: null, sessions: [] }), NOW);
  t.match(dead, "INFO: BIRDv4 process: 'bird' is not running.\nIPv4 BGP status\nNo IPv4 peers found.\n");
});

t.test("the status screen has sessions that do not stand first, and says how many there are", async (t) => {
  const down = { ...SESSION, peer: "192.168.50.12", state: "start", info: "Connect", trouble: "no BGP session with …" };
  const lines = sessionLines(report({ ...BGP, sessions: [SESSION, down] }), paintFor({}, {}), NOW, 20);
  t.strictSame(lines, [
    "2 BGP sessions: 1 established (BIRD 2.0.12, AS 64512)",
    "  peer           type               AS     state  since        info",
    "  192.168.50.12  node-to-node mesh  64512  start  1 d 2 h ago  Connect",
    "  192.168.50.11  node-to-node mesh  64512  up     1 d 2 h ago  Established",
  ]);
  const short = sessionLines(report({ ...BGP, sessions: [SESSION, down] }), paintFor({}, {}), NOW, 1);
  t.strictSame(short.slice(2), [lines[2], "  and 1 more; --all lists them"]);
  t.strictSame(sessionLines(report(null), paintFor({}, {}), NOW, 20), []);
});
