// Asks a running daemon on its status socket: for `hopsack status` and for the benchmark.
import { request } from "node:http";
import { errnoOf, HopsackError, messageOf } from "../errors.js";
import type { StatusReport } from "./status.js";

const ANSWER_TIMEOUT_MS = 3000;

/**
 * The body of GET /status.
 * @throws NOT_RUNNING when nobody answers, NOT_PERMITTED when the socket is not for this user
 */
export function fetchStatus(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const query = request({ socketPath, path: "/status", timeout: ANSWER_TIMEOUT_MS }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (body += chunk));
      response.on("end", () => (response.statusCode === 200 ? resolve(body) : reject(noStatus(socketPath))));
      response.on("error", (error) => reject(noAnswer(socketPath, error)));
    });
    query.on("timeout", () => query.destroy(new Error(`no answer within ${ANSWER_TIMEOUT_MS} ms`)));
    query.on("error", (error) => reject(noAnswer(socketPath, error)));
    query.end();
  });
}

/** Reads what fetchStatus() gave. @throws NOT_RUNNING when it is no report */
export function parseStatus(body: string, socketPath: string): StatusReport {
  try {
    const report: StatusReport = JSON.parse(body);
    return report;
  } catch {
    throw noStatus(socketPath);
  }
}

function noStatus(socketPath: string): HopsackError {
  return new HopsackError("NOT_RUNNING", `what answers on ${socketPath} is no hopsackd; name its socket with --socket`);
}

function noAnswer(socketPath: string, cause: Error): HopsackError {
  if (["EACCES", "EPERM"].includes(errnoOf(cause) ?? "")) {
    return new HopsackError(
      "NOT_PERMITTED",
      `${socketPath} may not be opened by this user; run hopsack status as root`,
      {
        cause,
      },
    );
  }
  const cure = "start it, or name its socket with --socket";
  return new HopsackError("NOT_RUNNING", `no hopsackd answers on ${socketPath} (${messageOf(cause)}); ${cure}`, {
    cause,
  });
}
