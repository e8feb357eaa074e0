// Packets between two namespaces, and what became of them.
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import type { Host } from "./hopsackd.js";
import { until } from "./netns.js";

/** Without tap's NODE_OPTIONS. */
const ENV = { PATH: process.env.PATH };
const STREAM_LIMIT_MS = 60_000;
const PORT = 7000;
const RECEIVER = `const hash = require("crypto").createHash("sha256");
const server = require("net").createServer((from) => from.on("data", (bytes) => hash.update(bytes)).on("end", () => {
  console.log(hash.digest("hex"));
  from.destroy();
  server.close();
}));
server.listen(${PORT}, () => console.log("listening"));`;

/** What ping says of one packet, on both of its outputs. */
export function ping(from: Host, to: string, ...flags: readonly string[]): string {
  const argv = ["netns", "exec", from.name, "ping", "-c1", "-W1", ...flags, to];
  const { stdout, stderr } = spawnSync("ip", argv, { encoding: "utf8" });
  return stdout + stderr;
}

/** Whether one packet was answered. */
export function pings(from: Host, to: string, ...flags: readonly string[]): boolean {
  return ping(from, to, ...flags).includes(" 0% packet loss");
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Sends all bytes in one TCP stream; the sha256 of what arrived, in hexadecimal. */
export async function received(from: Host, to: Host, address: string, bytes: Buffer): Promise<string> {
  const receiver = startScript(to, RECEIVER);
  let said = "";
  receiver.stdout?.on("data", (chunk) => (said += chunk));
  try {
    await until("the receiver listens", () => said.includes("listening"));
    const send = `process.stdin.pipe(require("net").connect(${PORT}, "${address}"))`;
    execFileSync("ip", scriptOn(from, send), { env: ENV, input: bytes, timeout: STREAM_LIMIT_MS });
    await until("the receiver has everything", () => said.trim().includes("\n"), STREAM_LIMIT_MS);
  } finally {
    receiver.kill();
  }
  return said.split("\n")[1] ?? "";
}

/** A script for Node.js (CommonJS) that runs in the host's namespace. */
export function startScript(host: Host, script: string): ChildProcess {
  return spawn("ip", scriptOn(host, script), { env: ENV });
}

/** Sends one datagram from a fixed port, unconnected: its IP ID is 0 and its bytes are always the same. */
export function sendDatagram(from: Host, to: string, port: number, payload: Buffer): void {
  const script = `const socket = require("dgram").createSocket("udp4");
    const bytes = Buffer.from("${payload.toString("hex")}", "hex");
    socket.bind(5000, () => socket.send(bytes, ${port}, "${to}", () => socket.close()));`;
  execFileSync("ip", scriptOn(from, script), { env: ENV });
}

/** Sends one datagram from an address of its own; `N bytes` of the answer, the error that came back, or `nothing` within a second. */
export function answerOf(from: Host, source: string, to: string, port: number, payload: Uint8Array): string {
  const script = `const socket = require("dgram").createSocket("udp4");
    const end = (word) => { console.log(word); process.exit(); };
    socket.on("error", (error) => end(error.code)).on("message", (answer) => end(answer.length + " bytes"));
    socket.bind(0, "${source}", () => socket.connect(${port}, "${to}", () => {
      socket.send(Buffer.from("${Buffer.from(payload).toString("hex")}", "hex"));
      setTimeout(() => end("nothing"), 1000);
    }));`;
  return execFileSync("ip", scriptOn(from, script), { env: ENV, encoding: "utf8" }).trim();
}

function scriptOn(host: Host, script: string): string[] {
  return ["netns", "exec", host.name, process.execPath, "-e", script];
}
