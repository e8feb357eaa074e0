import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { statusReport } from "../../../src/daemon/status.js";
import { readyState } from "../../support/daemon-fixtures.js";
import { until } from "../../support/netns.js";

const TOOL = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";

/** A daemon's socket that counts its answers. */
async function daemon(t: Test): Promise<{ readonly socket: string; readonly answers: () => number; close(): void }> {
  const folder = mkdtempSync(join(tmpdir(), "hopsack-live-"));
  let answers = 0;
  const server = createServer((_, response) => {
    answers++;
    const report = statusReport(readyState(), 1_061_000);
    const sent = { packets: 4400 + 1000 * answers, bytes: 6_160_000 + 125_000 * answers };
    const traffic = report.traffic && { ...report.traffic, sent: { ...report.traffic.sent, ...sent } };
    response.end(`${JSON.stringify({ ...report, traffic })}\n`);
  });
  const socket = join(folder, "hopsackd.sock");
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  t.teardown(() => {
    close();
    rmSync(folder, { recursive: true });
  });
  return { socket, answers: () => answers, close };
}

interface Run {
  readonly said: () => string;
  interrupt(): void;
  /** Exit status, and all it said on both outputs. */
  readonly ended: Promise<{ readonly status: number | null; readonly text: string }>;
}

/** `hopsack …` with or without a terminal of 80 columns and 24 rows (script(1) makes one). */
function start(args: string, isTerminal: boolean, env: NodeJS.ProcessEnv = {}): Run {
  const command = `stty cols 80 rows 24; exec ${process.execPath} ${TOOL} ${args}`;
  const [program, ...argv] = isTerminal
    ? ["script", "-qefc", command, "/dev/null"]
    : [process.execPath, TOOL, ...args.split(" ")];
  const child = spawn(program ?? "", argv, { env: { PATH: process.env.PATH, TERM: "xterm", ...env } });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (text += chunk));
  return {
    said: () => text,
    interrupt: () => void (isTerminal ? child.stdin.write("\x03") : child.kill("SIGINT")),
    ended: once(child, "close").then(([status]) => ({ status, text })),
  };
}

t.test("--watch draws in the whole window, and Ctrl-C gives the window back and is a success", async (t) => {
  const { socket, answers } = await daemon(t);
  const run = start(`status --watch 1 --socket ${socket}`, true);
  await until("two screens", () => answers() >= 2);
  run.interrupt();
  const { status, text } = await run.ended;
  t.equal(status, 0);
  t.ok(text.startsWith(ENTER) && text.endsWith(LEAVE), JSON.stringify(text.slice(-200)));
  t.match(text, "\x1b[32mready", "in colours");
  for (const screen of text.split("\x1b[H\x1b[J").slice(1))
    t.ok(screen.split("\r\n").length <= 24, "fits into the window");
});

t.test("NO_COLOR takes the colours away, not the window", async (t) => {
  const { socket, answers } = await daemon(t);
  const run = start(`status --watch 1 --socket ${socket}`, true, { NO_COLOR: "1" });
  await until("a screen", () => run.said().includes("ready") && answers() >= 1);
  run.interrupt();
  const { text } = await run.ended;
  t.ok(text.startsWith(ENTER));
  t.notMatch(text, "\x1b[32m");
});

t.test("into a pipe one screen follows the other, without a control character", async (t) => {
  const { socket } = await daemon(t);
  const run = start(`status --watch 1 --socket ${socket}`, false);
  await until("two screens", () => run.said().split("host-a: ready").length > 2);
  run.interrupt();
  const { status, text } = await run.ended;
  t.equal(status, 0);
  t.notMatch(text, "\x1b");
});

t.test("a daemon that goes away is a sentence on the screen, and no end", async (t) => {
  const { socket, close } = await daemon(t);
  const run = start(`status --watch 1 --socket ${socket}`, false);
  await until("a screen", () => run.said().includes("ready"));
  close();
  await until("the sentence", () => run.said().includes("no hopsackd answers on"));
  run.interrupt();
  t.equal((await run.ended).status, 0);
});

t.test("top shows rates of the time between two screens, and ends after --count of them", async (t) => {
  const { socket } = await daemon(t);
  const { status, text } = await start(`top --count 2 --socket ${socket}`, false).ended;
  t.equal(status, 0);
  t.equal(text.split("measuring …").length, 2, "the first screen has nothing to compare with");
  const rates = [...text.matchAll(/^ {2}sent +(\S+) k?\/s +(\S+) [kM]bit\/s$/gm)];
  t.equal(rates.length, 2);
  for (const [, packets, bits] of rates) t.ok(Number(packets) > 0 && Number(bits) > 0);
});

for (const [args, sentence] of [
  ["status --watch 0", "--watch 0 is not accepted; give whole seconds from 1 to 31536000"],
  ["top --interval x", "--interval x is not accepted; give whole seconds from 1 to 31536000"],
  ["top --count 0", "--count 0 is not accepted; give whole screens from 1 to 1000000"],
] as const) {
  t.test(`${args} is refused`, async (t) => {
    t.same(await start(args, false).ended, { status: 2, text: `hopsack: ${sentence} [BAD_OPTION]\n` });
  });
}
