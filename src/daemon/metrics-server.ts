// GET /metrics on a TCP port, for a Prometheus on another host (--metrics-address). Nothing else is served here, and nobody who is
// slow can hold more than a few connections for a few seconds.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { errnoOf, HopsackError, messageOf } from "../errors.js";
import type { DaemonState } from "./state.js";

const CONNECTIONS_LIMIT = 64;
/** So that one host, whatever it does, keeps no other from asking. */
const CONNECTIONS_OF_ONE_HOST_LIMIT = 16;
/** To say what is wanted, and to take it. */
const PATIENCE_MS = 5000;
const LOOK_INTERVAL_MS = 1000;

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
  const server = createServer(limits, (request, response) => void respond(state, request, response));
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

async function respond(state: DaemonState, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== "GET" || request.url?.split("?")[0] !== "/metrics") {
    response.writeHead(404, { "content-type": "text/plain; charset=utf-8" }).end("there is only GET /metrics here\n");
    return;
  }
  try {
    const { exposition } = await import("./metrics.js");
    const { contentType, body } = await exposition(state, request.headers.accept);
    response.writeHead(200, { "content-type": contentType, "content-length": Buffer.byteLength(body) }).end(body);
  } catch (error) {
    response.writeHead(500, { "content-type": "text/plain; charset=utf-8" }).end(`${messageOf(error)}\n`);
  }
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
