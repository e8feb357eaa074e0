import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { paintFor } from "../../../src/cli/output.js";
import { renderStatus } from "../../../src/cli/status-screen.js";
import { initialState } from "../../../src/daemon/state.js";
import { statusReport } from "../../../src/daemon/status.js";
import { fetchStatus } from "../../../src/daemon/status-client.js";
import { lease, readyState } from "../../support/daemon-fixtures.js";

const plain = paintFor({}, {});

t.test("a healthy daemon fills one screen", async (t) => {
  const report = { ...statusReport(readyState(), 1_061_000), pid: 4711 };
  t.equal(
    renderStatus(report, plain, 86_400_000, 20),
    `host-a: ready, udp mode, up 1 min 1 s (hopsackd 0.1.0, pid 4711)

lease     10.244.1.0/24, ends in 1 h unless renewed
network   10.244.0.0/16
store     file:/srv/leases, connected
device    flannel0, MTU 1472
underlay  eth0 192.168.50.10, MTU 1500
offloads  tso on, uso off, udp-gso on, udp-gro on, tun-gro on

2 peers
  subnet          public IP      node    mode
  10.244.2.0/24   192.168.50.11  host-b  udp
  10.244.30.0/24  192.168.50.12  -       udp

traffic
            packets     bytes  datagrams  per TUN call  per UDP call
  sent        4,400    6.2 MB      4,400          44.0          44.0
  received    2,199  120.0 kB      2,200          24.4          22.0

drops
  packets  reason         meaning
        3  no_route       why no_route
       17  tun_ring_full  the TUN device's queue was full: the host sends faster than the pump takes packets
`,
  );
});

t.test("what is wrong comes first", async (t) => {
  const state = initialState({ version: "0.1.0", node: "host-a", startedAt: 0, storeSpec: "file:/srv" });
  state.phase = "waiting";
  state.warnings.set("store", "/srv cannot be read (EACCES); make it readable");
  const report = { ...statusReport(state, 5000), pid: 4711 };
  t.equal(
    renderStatus(report, plain, 5000, 20),
    `host-a: waiting, up 5 s (hopsackd 0.1.0, pid 4711)

! /srv cannot be read (EACCES); make it readable

lease     none yet
network   not known yet
store     file:/srv, not connected

no peers yet
`,
  );
});

t.test("peers with trouble come first, and the rest is counted", async (t) => {
  const state = readyState();
  const known = { lastHeardAt: 997_000, roundTripMilliseconds: 0.4, loss: 0 };
  const states = ["reachable", "reachable", "silent", "lost", "one-way", "unknown"] as const;
  state.peers = states.map((_, n) => lease(`10.244.${n}.0/24`, `192.168.50.${n}`, `h${n}`));
  state.readReach = (peer) => {
    const reach = states[state.peers.indexOf(peer)] ?? "unknown";
    return reach === "silent"
      ? { state: reach, lastHeardAt: null, roundTripMilliseconds: null, loss: 1 }
      : { ...known, state: reach };
  };
  const screen = renderStatus(statusReport(state, 0), plain, 1_000_000, 5);
  t.match(
    screen,
    `6 peers: 1 answers no longer, 1 heard, but does not answer, 1 not known yet, 1 does not answer probes, 2 reachable
  subnet         public IP     node  mode  state                       last heard      RTT   loss
  10.244.3.0/24  192.168.50.3  h3    udp   answers no longer           3 s ago     0.40 ms    0 %
  10.244.4.0/24  192.168.50.4  h4    udp   heard, but does not answer  3 s ago     0.40 ms    0 %
  10.244.5.0/24  192.168.50.5  h5    udp   not known yet               3 s ago     0.40 ms    0 %
  10.244.2.0/24  192.168.50.2  h2    udp   does not answer probes      never             -  100 %
  10.244.0.0/24  192.168.50.0  h0    udp   reachable                   3 s ago     0.40 ms    0 %
  and 1 more; --all lists them
`,
  );
  t.match(
    screen,
    /^host-a: ready.*\n\n! no longer answers probes: .*\n! is heard, but answers no probe of ours: .*\n\nlease/,
  );
});

t.test("a published address other than the own one is shown", async (t) => {
  const state = readyState();
  if (state.underlay !== null) state.underlay = { ...state.underlay, publicIp: "203.0.113.5" };
  t.match(renderStatus(statusReport(state, 0), plain, 0, 20), "eth0 192.168.50.10, published as 203.0.113.5, MTU 1500");
});

t.test("nobody on the socket is NOT_RUNNING, something else there too", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "hopsack-cli-"));
  await t.rejects(fetchStatus(join(folder, "none.sock")), {
    code: "NOT_RUNNING",
    message: /^no hopsackd answers on .*none\.sock \(connect ENOENT .*\); start it, or name its socket with --socket$/,
  });
  const web = createServer((_, response) => response.writeHead(404).end());
  const mute = createSocket((socket) => socket.destroy());
  t.teardown(() => {
    web.close();
    mute.close();
    rmSync(folder, { recursive: true });
  });
  await new Promise<void>((resolve) => web.listen(join(folder, "web.sock"), resolve));
  await t.rejects(fetchStatus(join(folder, "web.sock")), { code: "NOT_RUNNING", message: /is no hopsackd/ });
  await new Promise<void>((resolve) => mute.listen(join(folder, "mute.sock"), resolve));
  await t.rejects(fetchStatus(join(folder, "mute.sock")), { code: "NOT_RUNNING" });
});
