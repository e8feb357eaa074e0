import { type ClientRequest, request } from "node:http";
import { createConnection } from "node:net";
import t, { type Test } from "tap";
import { LISTENERS_LIMIT, type Tick, type View } from "../../../src/daemon/live-feed.js";
import { type MetricsServer, serveMetrics } from "../../../src/daemon/metrics-server.js";
import type { DaemonState, LinkVolume } from "../../../src/daemon/state.js";
import { lease, readyState } from "../../support/daemon-fixtures.js";
import { until } from "../../support/netns.js";

const HOSTS = 4;

async function serving(t: Test, state: DaemonState): Promise<MetricsServer> {
  const server = await serveMetrics(state, "127.0.0.1", 0);
  t.teardown(() => server.close());
  return server;
}

/** What a page hears; a number tells from which of the machine's own addresses it asks. */
class Listener {
  readonly views: View[] = [];
  readonly ticks: Tick[] = [];
  status = 0;
  #text = "";
  readonly #request: ClientRequest;

  constructor(t: Test, port: number, host = 1) {
    const where = { port, host: "127.0.0.1", localAddress: `127.0.0.${host}`, path: "/events", agent: false };
    this.#request = request(where, (response) => {
      this.status = response.statusCode ?? 0;
      response.on("data", (chunk) => this.#hear(String(chunk)));
      response.on("error", () => undefined);
    });
    this.#request.on("error", () => undefined);
    this.#request.end();
    t.teardown(() => this.close());
  }

  close(): void {
    this.#request.destroy();
  }

  #hear(chunk: string): void {
    const events = `${this.#text}${chunk}`.split("\n\n");
    this.#text = events.pop() ?? "";
    for (const event of events) {
      const [, name, text = ""] = /^event: (view|tick)\ndata: (.*)$/.exec(event) ?? [];
      if (name === "view") this.views.push(JSON.parse(text));
      else this.ticks.push(JSON.parse(text));
    }
  }
}

t.test("who listens hears a view and all figures at once, and then each second what has changed", async (t) => {
  const state = readyState();
  const [host] = state.peers;
  let sent = 1000;
  state.readPeerBytes = () => ({
    peers: new Map([[host?.attrs.publicIp ?? "", { sent, received: 7 }]]),
    others: { sent: 0, received: 0 },
  });
  const { port } = await serving(t, state);
  const listener = new Listener(t, port);
  await until("the first figures", () => listener.ticks.length === 1);
  t.match(listener.views, [
    {
      node: "host-a",
      network: "10.244.0.0/16",
      backend: "udp",
      lease: { subnet: "10.244.1.0/24" },
      peers: [
        { node: "host-b", subnet: "10.244.2.0/24", publicIp: "192.168.50.11" },
        { node: null, subnet: "10.244.30.0/24", publicIp: "192.168.50.12" },
      ],
    },
  ]);
  t.match(listener.ticks[0], {
    state: "ready",
    sent: { packets: 4400, bytes: 6_160_000 },
    received: { packets: 2199, bytes: 120_000 },
    drops: [
      { reason: "no_route", packets: 3 },
      { reason: "tun_ring_full", packets: 17 },
    ],
    peers: [
      { peer: 0, bytes: { sent: 1000, received: 7 }, reach: null },
      { peer: 1, bytes: null, reach: null },
    ],
  });
  await until("nothing has changed", () => listener.ticks.length === 2);
  t.same(listener.ticks[1]?.peers, []);
  sent = 2000;
  await until("something has changed", () => listener.ticks.length === 3);
  t.same(listener.ticks[2]?.peers, [{ peer: 0, bytes: { sent: 2000, received: 7 }, reach: null }]);
  t.equal(listener.views.length, 1, "the view is as it was");

  state.peers = [...state.peers, lease("10.244.4.0/24", "192.168.50.13", "host-d")];
  await until("a new view", () => listener.ticks.length === 4);
  t.equal(listener.views.at(-1)?.peers.length, 3);
  t.match(
    listener.ticks[3]?.peers,
    [{ peer: 0, bytes: { sent: 2000 } }, { peer: 1 }, { peer: 2 }],
    "all figures again",
  );

  const reach = { state: "reachable", lastHeardAt: Date.now(), roundTripMilliseconds: 0.4, loss: 0.1 } as const;
  state.readReach = ({ attrs }) => (attrs.node === "host-d" ? reach : null);
  await until("a probe was answered", () => listener.ticks.length === 5);
  t.match(listener.ticks[4]?.peers, [
    { peer: 2, reach: { state: "reachable", roundTripMilliseconds: 0.4, loss: 0.1 } },
  ]);
  t.equal(listener.ticks[4]?.peers.length, 1);
});

t.test("a daemon without a pump has a page too, with what the kernel counts on its device", async (t) => {
  const state = readyState();
  Object.assign(state, { readCounters: null, readPeerBytes: null, lease: null });
  let volume: LinkVolume | null = null;
  state.readDeviceVolume = () => volume;
  const { port } = await serving(t, state);
  const listener = new Listener(t, port);
  await until("figures", () => listener.ticks.length === 1);
  t.match(listener.views[0], { lease: null });
  t.match(listener.ticks[0], { sent: null, received: null, drops: [], peers: [{ bytes: null }, { bytes: null }] });
  volume = { sentPackets: 3, sentBytes: 300, receivedPackets: 4, receivedBytes: 400 };
  await until("new figures", () => listener.ticks.length === 2);
  t.match(listener.ticks[1], { sent: { packets: 3, bytes: 300 }, received: { packets: 4, bytes: 400 } });
  t.equal(listener.views.length, 1, "figures of the device make no new view");
});

t.test("one look a second serves all who listen, and nobody listening costs nothing", async (t) => {
  const state = readyState();
  let looks = 0;
  const read = state.readCounters;
  state.readCounters = () => {
    looks++;
    if (read === null) throw new Error("no counters");
    return read();
  };
  const { port } = await serving(t, state);
  t.equal(looks, 0);
  const listeners = Array.from({ length: 10 }, () => new Listener(t, port));
  await until("all have heard of it", () => listeners.every(({ ticks }) => ticks.length >= 3));
  t.ok(looks < 10 + 10, `${looks} looks for 10 who came`);
  for (const listener of listeners) listener.close();
  const since = { at: performance.now(), looks };
  await until("nobody looks for two seconds", () => {
    if (looks !== since.looks) Object.assign(since, { at: performance.now(), looks });
    return performance.now() - since.at > 2000;
  });
});

t.test(
  "no more pages than can be served: who comes too late is told so, and can come when another has gone",
  async (t) => {
    const { port } = await serving(t, readyState());
    const listeners = Array.from({ length: LISTENERS_LIMIT }, (_, i) => new Listener(t, port, 1 + (i % HOSTS)));
    await until("all hear", () => listeners.every(({ ticks }) => ticks.length > 0));
    const late = new Listener(t, port, HOSTS + 1);
    await until("it is told", () => late.status !== 0);
    t.equal(late.status, 503);
    listeners[0]?.close();
    let next = late;
    await until("there is room", () => {
      if (next.status === 503) next = new Listener(t, port, HOSTS + 1);
      return next.status === 200;
    });
    t.equal(next.status, 200);
  },
);

t.test("who does not take what is sent is let go", async (t) => {
  const state = readyState();
  const crowd = Array.from({ length: 20_000 }, () => lease("10.244.2.0/24", "192.168.50.11", "host-b".repeat(20)));
  let looks = 0;
  const read = state.readPeerBytes;
  state.readPeerBytes = () => {
    looks++;
    state.peers = looks % 2 === 0 ? crowd : crowd.slice(1); // another view each time
    return read?.() ?? { peers: new Map(), others: { sent: 0, received: 0 } };
  };
  const { port } = await serving(t, state);
  const socket = createConnection(port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.pause();
  socket.write("GET /events HTTP/1.1\r\nhost: a\r\n\r\n");
  t.teardown(() => socket.destroy());
  await until("it is told things", () => looks > 1);
  const since = { at: performance.now(), looks };
  const isQuiet = (): boolean => {
    if (looks !== since.looks) Object.assign(since, { at: performance.now(), looks });
    return performance.now() - since.at > 2500;
  };
  await until("nobody is told anything any more", isQuiet, 25_000);
});
