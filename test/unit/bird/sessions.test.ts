// bird/sessions: what BIRD 2.0.12 says of its sessions, and what a person is told.
import t from "tap";
import { sessionsIn } from "../../../src/bird/sessions.js";
import type { BgpPlan, BgpSessionPlan } from "../../../src/plan/plan.js";

const PEER: BgpSessionPlan = {
  kind: "mesh",
  address: "192.168.50.11",
  asNumber: 64_512,
  password: null,
  isPassive: false,
  isOnLink: true,
};
const PLAN: BgpPlan = {
  localAddress: "192.168.50.10",
  asNumber: 64_512,
  underlay: "eth0",
  network: "10.244.0.0/16",
  subnet: "10.244.1.0/24",
  blackholeMetric: 0,
  bfd: "off",
  sessions: [PEER],
  tunnel: null,
};
const BEGAN = Date.parse("2026-11-21T16:40:07");
const LATER = BEGAN + 11_000;

function session(line: string, now = LATER, peer: Partial<BgpSessionPlan> = {}) {
  const rows = [
    { code: 2002, text: "Name       Proto      Table      State  Since         Info" },
    { code: 1002, text: "lease      Static     master4    up     2026-11-21T16:40:07  " },
    { code: 1002, text: line },
    { code: 0, text: "" },
  ];
  const [found] = sessionsIn(rows, { ...PLAN, sessions: [{ ...PEER, ...peer }] }, now);
  if (found === undefined) throw new Error("no session");
  return found;
}

const row = (state: string, info: string): string =>
  `Mesh_192_168_50_11 BGP        ---        ${state}  2026-11-21T16:40:07  ${info}`;

t.test("a session that stands has no trouble", async (t) => {
  t.same(session(row("up", "Established   ")), {
    kind: "mesh",
    address: "192.168.50.11",
    asNumber: 64_512,
    state: "up",
    since: BEGAN,
    info: "Established",
    trouble: null,
  });
});

t.test("what BIRD says of one that does not stand is told in words, with a cure", async (t) => {
  const rows: readonly (readonly [string, Partial<BgpSessionPlan>, RegExp])[] = [
    ["Active        Socket: Connection refused", {}, /nobody there listens on TCP port 179; .* in mode bgp$/],
    [
      "Idle          BGP Error: Bad peer AS",
      {},
      /the AS numbers disagree \(this host has 64512, and takes that one for 64512\)/,
    ],
    ["Idle          Received: Bad peer AS", {}, /the AS numbers disagree/],
    ["Connect       ", {}, /it does not answer; see whether it runs in mode bgp, has no Password set/],
    ["Connect       ", { password: "x" }, /it does not answer; see whether it runs in mode bgp, has the same Password/],
    ["Passive       ", { isPassive: true }, /it does not dial this host/],
    ["Error: No listening socket", {}, /another program of this host has TCP port 179 of 192\.168\.50\.10; stop it/],
    ["Active        Socket: No route to host", {}, /that host cannot be reached/],
    ["Something     new", {}, /\(Something new\): see BIRD's log/],
  ];
  for (const [info, peer, words] of rows) {
    const { trouble } = session(row("start", info), LATER, peer);
    t.match(trouble, /^no BGP session with 192\.168\.50\.11 \(/);
    t.match(trouble, words);
  }
  t.match(session("kernel1 Kernel master4 up 2026-11-21").trouble, /BIRD does not know it/);
});

t.test("a session that is only just being made is no trouble, one that cannot succeed is", async (t) => {
  const soon = BEGAN + 9000;
  t.equal(session(row("start", "Connect       "), soon).trouble, null);
  t.equal(session(row("start", "Active        Socket: Connection refused"), soon).trouble, null);
  t.match(session(row("start", "Idle          BGP Error: Bad peer AS"), soon).trouble, /AS numbers disagree/);
});
