import { once } from "node:events";
import { existsSync, linkSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { DaemonState } from "../../../src/daemon/state.js";
import { type HandoverSide, serveStatus } from "../../../src/daemon/status-server.js";
import { readyState } from "../../support/daemon-fixtures.js";
import { until } from "../../support/daemon-trial.js";

/** No daemon to take over from. */
const NOBODY = { handOver: () => undefined, end: () => undefined, succeeded: () => undefined };

interface Reply {
  readonly status: number | undefined;
  readonly type: string | undefined;
  readonly body: string;
}

function ask(socketPath: string, path: string, method = "GET"): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const query = request({ socketPath, path, method }, (response) => {
      let body = "";
      response.on("data", (chunk) => (body += chunk));
      response.on("end", () => resolve({ status: response.statusCode, type: response.headers["content-type"], body }));
    });
    query.on("error", reject);
    query.end();
  });
}

/** A folder of its own, because tap's are too deep for the path of a socket. */
function folderFor(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), "hopsack-status-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function serving(t: Test, state: DaemonState = readyState(), handover: HandoverSide = NOBODY): Promise<string> {
  const path = join(folderFor(t), "run", "hopsackd.sock");
  const server = await serveStatus(state, path, handover);
  t.teardown(() => server.close());
  return path;
}

t.test("the socket is for root and its group, in a folder everybody may enter", async (t) => {
  const path = await serving(t);
  t.equal(statSync(path).mode & 0o777, 0o660);
  t.equal(statSync(join(path, "..")).mode & 0o777, 0o755);
});

t.test("/status is JSON and /metrics Prometheus text", async (t) => {
  const path = await serving(t);
  const status = await ask(path, "/status");
  t.match(status, { status: 200, type: /^application\/json/ });
  t.match(JSON.parse(status.body), { state: "ready" });
  const metrics = await ask(path, "/metrics");
  t.match(metrics, { status: 200, type: /^text\/plain; version=0.0.4/, body: /^hopsack_peers 2$/m });
});

t.test("/readyz answers 503 until packets can flow, /healthz always 200", async (t) => {
  const state = readyState();
  const path = await serving(t, state);
  state.phase = "waiting";
  t.match(await ask(path, "/readyz"), { status: 503, body: "hopsackd is not ready: waiting\n" });
  t.match(await ask(path, "/healthz"), { status: 200 });
  state.phase = "ready";
  t.match(await ask(path, "/readyz"), { status: 200 });
});

t.test("other paths are not found and other methods not allowed", async (t) => {
  const path = await serving(t);
  t.match(await ask(path, "/"), { status: 404 });
  t.match(await ask(path, "//"), { status: 404 });
  t.match(await ask(path, "/status", "POST"), { status: 405 });
});

t.test("a second daemon is told that one is running, and the first keeps answering", async (t) => {
  const path = await serving(t);
  await t.rejects(serveStatus(readyState(), path, NOBODY), { code: "ALREADY_RUNNING", message: path });
  t.match(await ask(path, "/healthz"), { status: 200 });
});

t.test("the socket of a killed daemon is replaced", async (t) => {
  const path = join(folderFor(t), "hopsackd.sock");
  const killed = createServer();
  await new Promise<void>((resolve) => killed.listen(`${path}.old`, resolve));
  linkSync(`${path}.old`, path);
  await new Promise((resolve) => killed.close(resolve));
  t.ok(existsSync(path), "a socket file without a process");
  const server = await serveStatus(readyState(), path, NOBODY);
  t.match(await ask(path, "/healthz"), { status: 200 });
  await server.close();
  t.notOk(existsSync(path), "closing removes the socket");
});

t.test("a place where no socket can be is refused, and what is there stays", async (t) => {
  const folder = folderFor(t);
  writeFileSync(join(folder, "file"), "precious");
  await t.rejects(serveStatus(readyState(), join(folder, "file"), NOBODY), { code: "FILE_UNWRITABLE" });
  t.equal(statSync(join(folder, "file")).size, 8);
  await t.rejects(serveStatus(readyState(), join(folder, "file", "socket"), NOBODY), { code: "FILE_UNWRITABLE" });
  mkdirSync(join(folder, "folder"));
  await t.rejects(serveStatus(readyState(), join(folder, "folder"), NOBODY), { code: "FILE_UNWRITABLE" });
});

t.test("who asks for a handover is answered before this daemon ends, and a refusal ends nothing", async (t) => {
  const deeds: string[] = [];
  const handOver = (to: string): void => {
    if (to === "/bad") throw new Error("nobody is there");
    deeds.push(`hand over to ${to}`);
  };
  const path = join(folderFor(t), "hopsackd.sock");
  const server = await serveStatus(readyState(), path, {
    handOver,
    end: () => void deeds.push("end"),
    succeeded: () => void deeds.push("succeeded"),
  });
  t.match(await ask(path, "/handover?to=%2Fbad", "POST"), { status: 409, body: "nobody is there\n" });
  t.match(await ask(path, "/handover?to=%2Fgood"), { status: 404 });
  t.same(deeds, []);

  const successor = request({ socketPath: path, path: "/handover?to=%2Fgood", method: "POST" }).end();
  const [response] = (await once(successor, "response")) as [IncomingMessage];
  t.equal(response.statusCode, 200);
  await until("it ends", () => deeds.includes("end"));
  await server.close();
  t.notOk(existsSync(path), "the place is free");
  await t.rejects(ask(path, "/status"), "and nobody else is answered");
  t.same(deeds, ["hand over to /good", "end"], "the connection outlives the server");
  successor.on("error", () => undefined).destroy();
  await until("its end is noticed", () => deeds.includes("succeeded"));
});
