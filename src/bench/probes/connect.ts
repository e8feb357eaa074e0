// Short TCP connections at a fixed pace by curl: handshake, a request, a short answer, end.
import { HopsackError } from "../../errors.js";
import { attempt } from "../../lab/command.js";
import { summariseLatencies } from "../latencies.js";
import type { ProbeSpec } from "../scenarios.js";
import type { ProbeContext, Reading } from "./probe.js";
import { commandIn, type Server, withServers } from "./server.js";

const PORT = 8080;
const GRACE_MS = 30_000;
const ANSWER = "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
/** Answers whatever it is asked, and ends the connection. */
const SCRIPT = `require("node:net").createServer((socket) => {
  socket.on("error", () => {});
  socket.once("data", () => socket.end(${JSON.stringify(ANSWER)}));
}).listen(${PORT})`;

export const HTTP_SERVER: Server = { command: [process.execPath, "-e", SCRIPT], transport: "tcp", port: PORT };

export async function measureConnections(
  context: ProbeContext,
  { connectionsPerSecond }: Extract<ProbeSpec, { kind: "tcp-connect" }>,
): Promise<void> {
  const { ends, seconds, signal } = context;
  const count = connectionsPerSecond * seconds;
  const client = [
    ...["curl", "--silent", "--show-error", "--rate", `${connectionsPerSecond}/s`, "--max-time", "5"],
    ...["--output", "/dev/null", "--write-out", "%{time_total} %{http_code}\\n"],
    `http://${ends.address}:${PORT}/[1-${count}]`,
  ];
  const [program, ...args] = commandIn(ends.clientNetns, client);
  await context.record(() =>
    withServers(ends, [HTTP_SERVER], signal, async () => {
      const { stdout, stderr } = await attempt(program, args, { signal, timeoutMs: seconds * 1000 + GRACE_MS });
      return connectReading(stdout, stderr);
    }),
  );
}

/** @throws TOOL_FAILED with curl's own words when no connection was answered */
export function connectReading(stdout: string, stderr: string): Reading {
  const tries = Array.from(stdout.matchAll(/^([0-9.]+) ([0-9]{3})$/gm), ([, time, code]) => ({
    microseconds: Number(time) * 1e6,
    isAnswered: code === "200",
  }));
  const answered = tries.filter(({ isAnswered }) => isAnswered);
  if (answered.length === 0) {
    throw new HopsackError("TOOL_FAILED", `curl failed: ${stderr.trim().split("\n").at(-1) || "nothing was answered"}`);
  }
  const { metrics, latencies } = summariseLatencies(answered.map(({ microseconds }) => microseconds));
  const lossRatio = 1 - answered.length / tries.length;
  return { point: null, metrics: { ...metrics, lossRatio }, latencies, bytes: answered.length * ANSWER.length };
}
