// HTTP on the status socket: /status, /metrics, /healthz, /readyz, and POST /handover, the only request that changes anything.
// The socket is also how a second daemon notices that one is running already.

import { chmodSync } from "node:fs";
import { lstat, mkdir, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { dirname } from "node:path";
import { errnoOf, HopsackError, messageOf } from "../errors.js";
import type { DaemonState } from "./state.js";
import { statusReport } from "./status.js";

const FOLDER_MODE = 0o755;
const SOCKET_MODE = 0o660;
const PROBE_TIMEOUT_MS = 1000;

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Lets another daemon take over (handover.ts). */
export interface HandoverSide {
  /** @throws HopsackError, or an error of the system, when that cannot be */
  handOver(to: string): void;
  /** The other one has been answered. */
  end(): void;
  /** The other one's connection has ended: it carries the packets, or is gone. */
  succeeded(): void;
}

export interface StatusServer {
  /** Stops answering at once and removes the socket. */
  close(): Promise<void>;
}

/**
 * Serves `state` on the unix socket `path`; a socket that a killed daemon left behind is replaced.
 * @throws ALREADY_RUNNING, NOT_PERMITTED, FILE_UNWRITABLE
 */
export async function serveStatus(state: DaemonState, path: string, handover: HandoverSide): Promise<StatusServer> {
  const connections = new Set<Socket>();
  const server = createServer((request, response) => {
    const isHandover = request.method === "POST" && request.url?.startsWith("/handover?") === true;
    if (!isHandover) void respond(state, request, response);
    else if (handOver(handover, request, response)) connections.delete(request.socket); // it tells by its end
  });
  server.on("connection", (socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
  });
  try {
    await mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE });
    await listenInPlaceOfStale(server, path);
    chmodSync(path, SOCKET_MODE);
  } catch (error) {
    throw error instanceof HopsackError ? error : unusable(path, error);
  }
  return {
    close: async () => {
      server.close(); // unlinks the socket
      for (const socket of connections) socket.destroy();
    },
  };
}

async function listenInPlaceOfStale(server: Server, path: string): Promise<void> {
  try {
    await listen(server, path);
  } catch (error) {
    if (errnoOf(error) !== "EADDRINUSE" || !(await lstat(path)).isSocket()) throw error;
    if (await isAnswering(path)) {
      const cure = "stop it, or give this one another --status-socket, --device and --subnet-file";
      throw new HopsackError("ALREADY_RUNNING", `another hopsackd answers on ${path}; ${cure}`);
    }
    await rm(path);
    await listen(server, path);
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** Whether a process listens on the socket; a file without one refuses the connection. */
export function isAnswering(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const end = (settle: () => void): void => {
      socket.destroy();
      settle();
    };
    socket.setTimeout(PROBE_TIMEOUT_MS, () => end(() => resolve(true))); // a full backlog is somebody's
    socket.once("connect", () => end(() => resolve(true)));
    socket.once("error", (error) => end(() => (errnoOf(error) === "ECONNREFUSED" ? resolve(false) : reject(error))));
  });
}

function unusable(path: string, cause: unknown): HopsackError {
  const isForbidden = ["EACCES", "EPERM"].includes(errnoOf(cause) ?? "");
  const cure = isForbidden
    ? "run hopsackd as root or choose another place with --status-socket"
    : "choose another place with --status-socket";
  const message = `the status socket ${path} cannot be opened (${messageOf(cause)}); ${cure}`;
  return new HopsackError(isForbidden ? "NOT_PERMITTED" : "FILE_UNWRITABLE", message, { cause });
}

/** Whether it is handed over; then the answer stays open for as long as the other one keeps the connection. */
function handOver(handover: HandoverSide, request: IncomingMessage, response: ServerResponse): boolean {
  const to = new URL(request.url ?? "/", "http://localhost").searchParams.get("to") ?? "";
  try {
    handover.handOver(to);
  } catch (error) {
    send(response, text(409, messageOf(error)));
    return false;
  }
  const { status, contentType, body } = text(200, "handing over");
  response.once("close", () => handover.succeeded());
  response.writeHead(status, { "content-type": contentType }).write(body, () => handover.end());
  return true;
}

async function respond(state: DaemonState, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const answer = await answerTo(state, request).catch(
    (error: unknown): Answer => text(500, `internal error: ${messageOf(error)}`),
  );
  send(response, answer);
}

function send(response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.status, {
    "content-type": answer.contentType,
    "content-length": Buffer.byteLength(answer.body),
    ...(answer.status === 405 ? { allow: "GET" } : {}),
  });
  response.end(answer.body);
}

async function answerTo(state: DaemonState, request: IncomingMessage): Promise<Answer> {
  if (request.method !== "GET") return text(405, "only GET is answered here");
  const [path] = (request.url ?? "/").split("?");
  switch (path) {
    case "/status": {
      const [policies, guard] = await Promise.all([state.readPolicies(), state.readGuard()]);
      const body = `${JSON.stringify(statusReport(state, Date.now(), { policies, guard }))}\n`;
      return { status: 200, contentType: "application/json; charset=utf-8", body };
    }
    case "/metrics": {
      const { exposition } = await import("./metrics.js"); // prom-client is loaded at the first scrape, not at the start
      return { status: 200, ...(await exposition(state, request.headers.accept)) };
    }
    case "/healthz":
      return text(200, "hopsackd is running");
    case "/readyz":
      return state.phase === "ready"
        ? text(200, "hopsackd is ready")
        : text(503, `hopsackd is not ready: ${state.phase}`);
    default:
      return text(404, "there is /status, /metrics, /healthz and /readyz");
  }
}

function text(status: number, sentence: string): Answer {
  return { status, contentType: "text/plain; charset=utf-8", body: `${sentence}\n` };
}
