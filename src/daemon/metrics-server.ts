// GET /metrics on a TCP port, for a Prometheus on another host (--metrics-address), and the status page (web/) with its events.
// Nothing here changes anything, and nobody who is slow can hold more than a few connections for a few seconds.
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { fileURLToPath } from "node:url";
import { errnoOf, HopsackError, messageOf } from "../errors.js";
import { LISTENERS_LIMIT, LiveFeed } from "./live-feed.js";
import type { DaemonState } from "./state.js";

const CONNECTIONS_LIMIT = 64;
/** So that one host, whatever it does, keeps no other from asking. */
const CONNECTIONS_OF_ONE_HOST_LIMIT = 16;
/** To say what is wanted, and to take it. */
const PATIENCE_MS = 5000;
const LOOK_INTERVAL_MS = 1000;

/** In the package, beside dist/ as beside src/. */
const WEB = new URL("../../web/", import.meta.url);
const PAGE_FILES: ReadonlyMap<string, { readonly file: string; readonly contentType: string }> = new Map([
  ["/", { file: "page.html", contentType: "text/html; charset=utf-8" }],
  ["/page.css", { file: "page.css", contentType: "text/css; charset=utf-8" }],
  ...["page.js", "map.js", "format.js"].map(
    (file) => [`/${file}`, { file, contentType: "text/javascript; charset=utf-8" }] as const,
  ),
]);
/** The page needs nothing from elsewhere, and gets nothing. */
const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export interface MetricsAddress {
  /** null: the underlay's. */
  readonly address: string | null;
  readonly port: number;
}

export interface MetricsServer {
  readonly port: number;
  /** Stops answering at once. */
  close(): Promise<void>;
}

/** @throws PORT_TAKEN, NO_ADDRESS, NOT_PERMITTED */
export async function serveMetrics(state: DaemonState, address: string, port: number): Promise<MetricsServer> {
  const limits = {
    headersTimeout: PATIENCE_MS,
    requestTimeout: PATIENCE_MS,
    keepAliveTimeout: PATIENCE_MS,
    connectionsCheckingInterval: LOOK_INTERVAL_MS,
  };
  const feed = new LiveFeed(state);
  const server = createServer(limits, (request, response) => void respond(state, feed, request, response));
  server.maxConnections = CONNECTIONS_LIMIT;
  server.setTimeout(PATIENCE_MS, (socket) => socket.destroy());
  limitHosts(server);
  try {
    await listen(server, address, port);
  } catch (error) {
    throw explain(error, address, port);
  }
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound !== null ? bound.port : port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function limitHosts(server: Server): void {
  const counts = new Map<string, number>();
  server.on("connection", (socket) => {
    const host = socket.remoteAddress ?? "";
    const count = (counts.get(host) ?? 0) + 1;
    counts.set(host, count);
    socket.once("close", () => {
      const left = (counts.get(host) ?? 1) - 1;
      if (left === 0) counts.delete(host);
      else counts.set(host, left);
    });
    if (count > CONNECTIONS_OF_ONE_HOST_LIMIT) socket.destroy();
  });
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

async function respond(
  state: DaemonState,
  feed: LiveFeed,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = request.method === "GET" ? (request.url?.split("?")[0] ?? "") : "";
  const page = PAGE_FILES.get(path);
  try {
    if (path === "/metrics") await sendMetrics(state, request, response);
    else if (path === "/events") listenTo(feed, response);
    else if (page !== undefined) await sendPage(page, response);
    else sendText(response, 404, "there is only GET / and GET /metrics here");
  } catch (error) {
    sendText(response, 500, messageOf(error));
  }
}

async function sendMetrics(state: DaemonState, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { exposition } = await import("./metrics.js");
  const { contentType, body } = await exposition(state, request.headers.accept);
  response.writeHead(200, { "content-type": contentType, "content-length": Buffer.byteLength(body) }).end(body);
}

function listenTo(feed: LiveFeed, response: ServerResponse): void {
  if (!feed.add(response)) sendText(response, 503, `${LISTENERS_LIMIT} pages are open already; close one of them`);
}

async function sendPage({ file, contentType }: { file: string; contentType: string }, response: ServerResponse) {
  const body = await readFile(fileURLToPath(new URL(file, WEB)));
  const headers = { "content-security-policy": PAGE_POLICY, "x-content-type-options": "nosniff" };
  response.writeHead(200, { ...headers, "content-type": contentType, "content-length": body.length }).end(body);
}

function sendText(response: ServerResponse, status: number, sentence: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(`${sentence}\n`);
}

function explain(error: unknown, address: string, port: number): unknown {
  const cure = "choose another one with --metrics-address";
  switch (errnoOf(error)) {
    case "EADDRINUSE": {
      const message = `TCP port ${port} on ${address} is in use; see who has it with: ss -ltnp 'sport = ${port}', or ${cure}`;
      return new HopsackError("PORT_TAKEN", message, { cause: error });
    }
    case "EADDRNOTAVAIL":
      return new HopsackError("NO_ADDRESS", `no interface has the address ${address}; ${cure}`, { cause: error });
    case "EACCES":
      return new HopsackError("NOT_PERMITTED", `TCP port ${port} is for root alone; ${cure}`, { cause: error });
    default:
      return error;
  }
}
