// Request and response by sockperf: one message at a time, there and back, every single one in its log.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HopsackError } from "../../errors.js";
import { attempt } from "../../lab/command.js";
import { summariseLatencies } from "../latencies.js";
import type { ProbeSpec } from "../scenarios.js";
import type { ProbeContext, Reading } from "./probe.js";
import { commandIn, type Server, withServers } from "./server.js";

const PORTS = { tcp: 11112, udp: 11111 } as const;
const GRACE_MS = 10_000;

type Spec = Extract<ProbeSpec, { kind: "request-response" }>;

export function sockperfServer(transport: Spec["transport"]): Server {
  const port = PORTS[transport];
  const command = ["sockperf", "server", "-i", "0.0.0.0", "-p", `${port}`, ...(transport === "tcp" ? ["--tcp"] : [])];
  return { command, transport, port };
}

export async function measureRequestResponse(context: ProbeContext, spec: Spec): Promise<void> {
  const { ends, signal } = context;
  const folder = mkdtempSync(join(tmpdir(), "hopsack-bench-"));
  try {
    await context.record(() =>
      withServers(ends, [sockperfServer(spec.transport)], signal, () =>
        pingPong(context, spec, join(folder, "log.csv")),
      ),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function pingPong({ ends, seconds, signal }: ProbeContext, spec: Spec, log: string): Promise<Reading> {
  const { transport, messageBytes } = spec;
  const client = [
    ...["sockperf", "ping-pong", "-i", ends.address, "-p", `${PORTS[transport]}`],
    ...(transport === "tcp" ? ["--tcp"] : []),
    ...["-m", `${messageBytes}`, "-t", `${seconds}`, "--full-rtt", "--full-log", log],
  ];
  const [program, ...args] = commandIn(ends.clientNetns, client);
  const { stdout, stderr } = await attempt(program, args, { signal, timeoutMs: seconds * 1000 + GRACE_MS });
  const bytes = answersIn(stdout + stderr) * messageBytes * 2;
  return { point: null, ...summariseLatencies(parseLog(readFileSync(log, "utf8"))), bytes };
}

/** The last column of each line of sockperf's log, microseconds. */
export function parseLog(text: string): number[] {
  return Array.from(text.matchAll(/^[0-9]+, [0-9.]+, [0-9.]+, ([0-9.]+)$/gm), ([, rtt]) => Number(rtt));
}

/** How many messages came back in the whole run, warm-up included. @throws TOOL_FAILED with sockperf's words */
export function answersIn(output: string): number {
  const answers = Number(/\[Total Run\].*ReceivedMessages=([0-9]+)/.exec(output)?.[1] ?? 0);
  const counted = Number(/\[Valid Duration\].*ReceivedMessages=([0-9]+)/.exec(output)?.[1] ?? 0);
  if (answers > 0 && counted > 0) return answers;
  const words = output.split("\n").findLast((line) => /error|fail/i.test(line)) ?? "no message came back";
  throw new HopsackError("TOOL_FAILED", `sockperf failed: ${words.trim()}`);
}
