// Two hosts on a cable that treats frames badly (bad-link.py), and what the kernel and the daemons say became of each of them.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";
import type { StatusReport } from "../../src/daemon/status.js";
import { bringUp, type Host, makeNamespace } from "./hopsackd.js";
import { ipJson, run, until } from "./netns.js";

const SCRIPT = fileURLToPath(new URL("bad-link.py", import.meta.url));
/** Of what arrives at a card together. */
const GRO_NANOSECONDS = 200_000;

/** Of each frame: how probable it is. */
export interface Badness {
  readonly lose?: number;
  readonly duplicate?: number;
  readonly corrupt?: number;
  readonly forge?: number;
  readonly reorder?: number;
  readonly delayMs?: number;
  /** Bytes between the outer IP header and the inner packet; where `forge` begins. */
  readonly innerAt?: number;
}

/** IPv4 frames of one direction. */
export interface Crossed {
  readonly in: number;
  readonly out: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly corrupted: number;
  readonly forged: number;
  readonly reordered: number;
  /** Went out where the card was down. */
  readonly down: number;
}

const NOTHING: Crossed = {
  ...{ in: 0, out: 0, lost: 0, duplicated: 0 },
  ...{ corrupted: 0, forged: 0, reordered: 0, down: 0 },
};

export class BadLink {
  readonly #child: ChildProcess;
  #isReady = false;
  #plans = 0;
  #crossed = { ab: NOTHING, ba: NOTHING };

  private constructor(t: Test, seed: number) {
    const argv = [SCRIPT, `${seed}`, "/run/netns/a", "/run/netns/b"];
    this.#child = spawn("python3", argv, { stdio: ["pipe", "pipe", "inherit"] });
    t.teardown(() => this.#child.kill("SIGKILL"));
    if (this.#child.stdout === null) return;
    createInterface({ input: this.#child.stdout }).on("line", (line) => this.#hear(line));
  }

  /** A good cable until somebody treats it otherwise. */
  static async lay(t: Test, seed: number): Promise<{ link: BadLink; a: Host; b: Host }> {
    for (const name of ["a", "b"]) makeNamespace(name);
    const link = new BadLink(t, seed);
    await until("the cable is there", () => link.#isReady);
    for (const name of ["a", "b"]) {
      const script = `echo ${GRO_NANOSECONDS} >/sys/class/net/eth0/gro_flush_timeout`;
      execFileSync("ip", ["netns", "exec", name, "sh", "-c", script]);
    }
    const [a, b] = await Promise.all([bringUp("a", "192.168.50.10"), bringUp("b", "192.168.50.11")]);
    return { link, a, b };
  }

  /** From a to b, and back; a report is at most 50 ms old. */
  get crossed(): { readonly ab: Crossed; readonly ba: Crossed } {
    return this.#crossed;
  }

  /** From now on, in both directions. */
  async treat(badness: Badness): Promise<void> {
    const before = this.#plans;
    this.#child.stdin?.write(`${JSON.stringify(badness)}\n`);
    await until("the cable has its plan", () => this.#plans > before);
  }

  #hear(line: string): void {
    if (line === "ready") this.#isReady = true;
    else if (line.startsWith('{"plan"')) this.#plans = JSON.parse(line).plan;
    else this.#crossed = JSON.parse(line);
  }
}

/** What a host's kernel has counted since the host was made. */
interface KernelCounts {
  /** Tunnelled datagrams that never came to the daemon. */
  readonly refusedOuter: number;
  /** Inner packets with a wrong checksum. */
  readonly refusedInner: number;
  readonly icmpSent: number;
  readonly icmpReceived: number;
  /** By the card, whose queue was full. */
  readonly notSent: number;
}

function kernelCounts(host: Host): KernelCounts {
  const text = run(`ip netns exec ${host.name} cat /proc/net/snmp`);
  const count = (protocol: string, name: string): number => {
    const [names = [], counts = []] = text
      .split("\n")
      .filter((line) => line.startsWith(`${protocol}: `))
      .map((line) => line.split(" "));
    return Number(counts[names.indexOf(name)]);
  };
  const [card] = ipJson(`-n ${host.name} -s link show eth0`) as { stats64?: { tx?: { dropped?: number } } }[];
  return {
    refusedOuter: count("Udp", "NoPorts") + count("Udp", "InErrors"),
    refusedInner: count("Ip", "InHdrErrors") + count("Tcp", "InCsumErrors"),
    icmpSent: count("Icmp", "OutMsgs"),
    icmpReceived: count("Icmp", "InMsgs"),
    notSent: card?.stats64?.tx?.dropped ?? 0,
  };
}

/** A host and its daemon, as they are now. */
export interface End {
  readonly host: Host;
  readonly status: StatusReport;
}

/** What was refused for its contents, once it was taken from the cable: by the pump by name, by the kernel for its inner checksum. */
export function refused({ host, status }: End): number {
  return droppedBy(status) + kernelCounts(host).refusedInner;
}

/** Packets of one direction of which nobody says what became of them: before the cable, and behind it. */
export function unexplained(crossed: Crossed, from: End, to: End): { before: number; behind: number } {
  const [sender, receiver] = [kernelCounts(from.host), kernelCounts(to.host)];
  const sent = (from.status.traffic?.sent.datagrams ?? 0) + sender.icmpSent - sender.notSent;
  const letIn = to.status.traffic?.received.packets ?? 0;
  return {
    before: sent - crossed.in,
    behind: crossed.out - letIn - droppedBy(to.status) - receiver.refusedOuter - receiver.icmpReceived,
  };
}

/** What the socket could not hold never came to the daemon: the kernel counts it too. */
function droppedBy({ drops }: StatusReport): number {
  return drops.filter(({ reason }) => reason !== "receive_buffer_full").reduce((sum, { packets }) => sum + packets, 0);
}
