// Flows of packets that must arrive whatever is done to the daemons meanwhile.
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";
import { type Host, UNHOOKED } from "./hopsackd.js";
import { ipJson, until } from "./netns.js";

export const FLOW_PORT = 9000;
const STREAM = fileURLToPath(new URL("tcp-stream.mjs", import.meta.url));
/** As in the script. */
const STREAM_BLOCK_BYTES = 1_000_000;
const FLOW = fileURLToPath(new URL("numbered-flow.mjs", import.meta.url));
const FLOW_END = fileURLToPath(new URL("paced-flow.py", import.meta.url));
/** What still waits in a queue has been taken out of it by then, also by a thread that others keep from the processor. */
const QUIET_MS = 300;

/** A script in a host, in lines. */
export class Script {
  readonly lines: string[] = [];
  readonly ended: Promise<unknown>;
  readonly #child: ChildProcess;

  constructor(t: Test, host: Host, ...words: readonly string[]) {
    const argv = ["netns", "exec", host.name, ...UNHOOKED, ...words];
    this.#child = spawn("ip", argv, { stdio: ["ignore", "pipe", "inherit"] });
    if (this.#child.stdout !== null) {
      createInterface({ input: this.#child.stdout }).on("line", (line) => this.lines.push(line));
    }
    this.ended = once(this.#child, "close");
    t.teardown(() => this.#child.kill("SIGKILL"));
  }

  async ready(): Promise<void> {
    await until("a script is ready", () => this.lines.includes("ready"));
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }

  async end(): Promise<Record<string, number>> {
    this.#child.kill("SIGTERM");
    await this.ended;
    return JSON.parse(this.lines.at(-1) ?? "{}");
  }
}

export interface FlowEnds {
  readonly a: Host;
  readonly b: Host;
  /** b's address in the overlay. */
  readonly target: string;
}

/** Its end tells how many packets came. Its buffer has room for all that come while the machine does other things. */
export function flowReceiver(t: Test, host: Host): Script {
  return new Script(t, host, "python3", FLOW_END, "receive", `${FLOW_PORT}`);
}

/** Its end tells how many packets were sent. */
export function flowSender(t: Test, host: Host, target: string, perMs: number): Script {
  return new Script(t, host, process.execPath, FLOW, target, `${FLOW_PORT}`, `${perMs}`);
}

/** Numbered packets from a to b's address in the overlay, while `deed` is done. */
export async function lostDuring(t: Test, hosts: FlowEnds, perMs: number, deed: () => Promise<void>): Promise<number> {
  const receiver = flowReceiver(t, hosts.b);
  await receiver.ready();
  const sender = flowSender(t, hosts.a, hosts.target, perMs);
  await sender.ready();
  await passed(hosts.b, 200);
  await deed();
  await passed(hosts.b, 200);
  const { sent = 0 } = await sender.end();
  await quiet(hosts.b);
  const { received = 0, twice } = await receiver.end();
  t.equal(twice, 0, "nothing came twice");
  t.comment(`${sent} sent, ${received} received`);
  return sent - received;
}

/** Every byte of a TCP stream from a to b, while `deed` is done. */
export async function arrivesDuring(t: Test, { a, b, target }: FlowEnds, deed: () => Promise<void>): Promise<void> {
  const receiver = new Script(t, b, process.execPath, STREAM, "receive", `${FLOW_PORT}`);
  await receiver.ready();
  const sender = new Script(t, a, process.execPath, STREAM, "send", target, `${FLOW_PORT}`);
  await sender.ready();
  await passed(b, 200);
  await deed();
  await passed(b, 200);
  const { blocks = 0 } = await sender.end();
  await receiver.ended;
  const hash = createHash("sha256");
  for (let block = 0; block < blocks; block++) hash.update(Buffer.alloc(STREAM_BLOCK_BYTES, block % 251));
  t.ok(blocks > 2, `${blocks} blocks`);
  t.equal(receiver.lines.at(-1), hash.digest("hex"));
}

function receivedPackets(host: Host): number {
  const [link] = ipJson(`-n ${host.name} -s link show eth0`);
  return (link as { stats64?: { rx?: { packets?: number } } }).stats64?.rx?.packets ?? 0;
}

/** Some more packets have come to the host. */
export async function passed(host: Host, packets: number): Promise<void> {
  const before = receivedPackets(host);
  await until("packets pass", () => receivedPackets(host) >= before + packets);
}

/** Nothing has come for a while. */
export async function quiet(host: Host): Promise<void> {
  let [last, since] = [-1, 0];
  await until("no packet comes any more", () => {
    const now = receivedPackets(host);
    if (now !== last) [last, since] = [now, performance.now()];
    return performance.now() - since > QUIET_MS;
  });
}
