import { type RequestOptions, request } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import t, { type Test } from "tap";
import { type MetricsServer, serveMetrics } from "../../../src/daemon/metrics-server.js";
import { readyState } from "../../support/daemon-fixtures.js";
import { until } from "../../support/netns.js";

const SLOW_SCRAPES = 1000;
const LIMIT_MS = 60_000;
const TRY_LIMIT_MS = 1000;

async function serving(t: Test): Promise<MetricsServer> {
  const server = await serveMetrics(readyState(), "127.0.0.1", 0);
  t.teardown(() => server.close());
  return server;
}

function scrape(port: number, more: RequestOptions = {}): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const query = request(
      { port, host: "127.0.0.1", path: "/metrics", agent: false, timeout: LIMIT_MS, ...more },
      (response) => {
        let body = "";
        response.on("data", (chunk) => (body += chunk));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      },
    );
    query.on("timeout", () => query.destroy(new Error("no answer")));
    query.on("error", reject);
    query.end();
  });
}

t.test("metrics and the page are served, and nothing else", async (t) => {
  const { port } = await serving(t);
  t.match(await scrape(port), { status: 200, body: /hopsack_ready 1\n/ });
  t.match(await scrape(port, { path: "/metrics?a=b" }), { status: 200 });
  t.match(await scrape(port, { path: "/" }), { status: 200, body: /^<!doctype html>/ });
  for (const path of [
    "/status",
    "/handover?to=x",
    "/tsconfig.json",
    "/../package.json",
    "//etc/passwd",
    "/constructor",
  ]) {
    t.match(await scrape(port, { path }), { status: 404 }, path);
  }
  for (const path of ["/", "/metrics", "/events"]) {
    t.match(await scrape(port, { path, method: "POST" }), { status: 404 }, path);
  }
});

t.test("a port that is taken, or an address that nobody has, is one sentence", async (t) => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve));
  t.teardown(() => holder.close());
  const { port } = holder.address() as { port: number };
  await t.rejects(serveMetrics(readyState(), "127.0.0.1", port), {
    code: "PORT_TAKEN",
    message: `TCP port ${port} on 127.0.0.1 is in use; see who has it with: ss -ltnp 'sport = ${port}', or choose another one with --metrics-address`,
  });
  await t.rejects(serveMetrics(readyState(), "192.0.2.1", 9285), { code: "NO_ADDRESS", message: /192\.0\.2\.1/ });
});

/** A thousand who begin to ask. */
class Crowd {
  open = 0;

  constructor(t: Test, port: number) {
    const sockets = Array.from({ length: SLOW_SCRAPES }, () => this.#connect(port));
    t.teardown(() => sockets.map((socket) => socket.destroy()));
  }

  #connect(port: number): Socket {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => this.open++);
    socket.on("close", () => this.open--);
    socket.on("error", () => undefined);
    socket.write("GET /metrics HTTP/1.1\r\nhost:");
    return socket;
  }
}

t.test("a thousand slow scrapes keep nobody out for long, and hold no more than a few connections", async (t) => {
  const { port } = await serving(t);
  const crowd = new Crowd(t, port);
  const deadline = Date.now() + LIMIT_MS;
  let answer = { status: 0, body: "" };
  while (answer.status !== 200 && Date.now() < deadline)
    answer = await scrape(port, { timeout: TRY_LIMIT_MS }).catch(() => answer);
  t.match(answer, { status: 200, body: /hopsack_ready 1\n/ });
  await until("most have been sent away", () => crowd.open < SLOW_SCRAPES / 10, LIMIT_MS);
});

t.test("whatever one host does, others are answered meanwhile", async (t) => {
  const { port } = await serving(t);
  const crowd = new Crowd(t, port);
  await until(
    "the crowd has come, and most of it has been sent away",
    () => crowd.open > 0 && crowd.open < 50,
    LIMIT_MS,
  );
  t.match(await scrape(port, { localAddress: "127.0.0.2", timeout: LIMIT_MS }), { status: 200 });
  t.ok(crowd.open > 0, "they are still there");
});
