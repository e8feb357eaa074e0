// Daemons whose addon is built with a sanitizer, in Node.js as it is: streams both ways, a storm of lease changes, takeovers, stops and starts, by each
// engine. What the sanitizers have to say goes to a file each, and a daemon that is stopped is searched for memory that nobody knows of any more.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";
import { fetchStatus, parseStatus } from "../../src/daemon/status-client.js";
import { datagramsReceived, EBPF, placeOf, SEGMENT_BYTES, SEGMENTS, UDP, VXLAN, type Wire } from "./accelerated.js";
import { arrivesDuring } from "./flow.js";
import { Daemon, type Host } from "./hopsackd.js";
import { run, until } from "./netns.js";
import type { Place } from "./place.js";
import { pings, sha256 } from "./traffic.js";

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));
/** Where the daemons of withDaemons() find their addon. */
const DAEMONS_ADDON = "/media/build/Release/hopsack.node";
/** Simulated hosts that come and go, in subnets from here on. */
const GUESTS = 50;
const FIRST_GUEST = 100;
/** Sanitizers cost time. */
const READY_LIMIT_MS = 60_000;
const CHANGE_LIMIT_MS = 20_000;
const PUMP = ["--engine", "pump", "--probe-peers=false"];

export interface Sanitizer {
  /** As HOPSACK_SANITIZE has it. */
  readonly name: string;
  readonly runtime: string;
  /** The environment variable of its options, and those. */
  readonly variable: string;
  readonly options: readonly string[];
}

export const ADDRESS: Sanitizer = {
  name: "address,undefined",
  runtime: "libasan.so",
  variable: "ASAN_OPTIONS",
  options: ["detect_leaks=1", "exitcode=0"],
};

export const THREAD: Sanitizer = {
  name: "thread",
  runtime: "libtsan.so",
  variable: "TSAN_OPTIONS",
  options: ["exitcode=0"],
};

interface Trial {
  readonly name: string;
  readonly wire: Wire;
  readonly flags: readonly string[];
}

export const TRIALS: readonly Trial[] = [
  { name: "udp, the pump", wire: UDP, flags: PUMP },
  { name: "udp, one packet at a time", wire: UDP, flags: [...PUMP, "--naive"] },
  { name: "udp, the eBPF engine", wire: UDP, flags: EBPF },
  { name: "vxlan in user space", wire: VXLAN, flags: PUMP },
  { name: "vxlan, the eBPF engine", wire: VXLAN, flags: EBPF },
];

/** Gives the daemons of this mount namespace an addon with the sanitizer. */
export function useAddonWith({ name, runtime }: Sanitizer): void {
  const folder = `build/${runtime.replace(/^lib|\.so$/g, "")}`;
  const words = ["compile", "-d", "native", "-O", folder, `--CDHOPSACK_SANITIZE=${name}`];
  execFileSync("node_modules/.bin/cmake-js", words, { cwd: CHECKOUT, stdio: "pipe" });
  run(`mount --bind ${join(CHECKOUT, folder, "Release/hopsack.node")} ${DAEMONS_ADDON}`);
}

export interface SanitizedRun {
  readonly leaseChanges: number;
  readonly daemons: number;
  /** What the sanitizers wrote of our addon. */
  readonly reports: readonly string[];
}

/** Two daemons that live through all of it, and those that follow them. */
export async function runSanitized(
  t: Test,
  sanitizer: Sanitizer,
  hosts: readonly [Host, Host],
  { wire, flags }: Trial,
  leaseChanges: number,
): Promise<SanitizedRun> {
  const [a, b] = hosts;
  const folder = mkdtempSync("/run/sanitized-");
  t.teardown(() => rmSync(folder, { recursive: true }));
  const wrapper = wrapperOf(sanitizer, folder);
  const place = placeOf(t, wire);
  const started: Daemon[] = [];
  const start = async (host: Host, ...more: readonly string[]): Promise<Daemon> => {
    const daemon = new Daemon(host, place.flags(host, ...wire.flags, ...flags, ...more), wrapper);
    t.teardown(() => daemon.stop());
    started.push(daemon);
    await daemon.logged("ready", 1, READY_LIMIT_MS);
    return daemon;
  };
  place.reserve(a, "10.244.1.0/24");
  place.reserve(b, "10.244.2.0/24");
  const [first, other] = await Promise.all([start(a), start(b)]);
  await until("the overlay carries", () => pings(a, "10.244.2.0"));

  const storm = async (): Promise<void> => {
    for (let count = 0; count < leaseChanges; count++) await changeLease(place, wire, a, count);
    await start(a, "--takeover", place.socket(a));
    await first.ended;
  };
  const andBack = () => arrivesDuring(t, { a: b, b: a, target: "10.244.1.0" }, storm);
  await arrivesDuring(t, { a, b, target: "10.244.2.0" }, andBack);
  const payload = Buffer.alloc(SEGMENT_BYTES * SEGMENTS, "super-packet");
  t.equal(await datagramsReceived(a, b, "10.244.2.0", payload), sha256(payload));

  await other.stop();
  await start(b);
  await until("the overlay carries again", () => pings(a, "10.244.2.0"));
  for (const daemon of started) {
    const { status, stderr } = await daemon.stop();
    t.strictSame({ status, stderr }, { status: 0, stderr: "" });
  }
  const reports = readdirSync(folder).flatMap((name) => oursIn(readFileSync(join(folder, name), "utf8")));
  return { leaseChanges, daemons: started.length, reports };
}

/**
 * Those of a report's sections whose stack comes to our sources before it comes to Node.js: V8 leaves its heap to the kernel when it ends, and
 * the thread sanitizer does not see how it locks.
 */
function oursIn(report: string): string[] {
  return report.split(/\n\n|^=+$/m).filter((section) => {
    const frames = section.split("\n").filter((line) => /^ *#\d/.test(line));
    const nodes = frames.findIndex((frame) => /\((\S*\/)?node\+0x/.test(frame));
    const before = frames.slice(0, nodes === -1 ? frames.length : nodes);
    return before.some((frame) => frame.includes("/native/") || frame.includes("hopsack.node"));
  });
}

function wrapperOf({ runtime, variable, options }: Sanitizer, folder: string): string[] {
  const path = execFileSync("g++", [`-print-file-name=${runtime}`], { encoding: "utf8" }).trim();
  const all = [...options, `log_path=${join(folder, "report")}`];
  return ["/usr/bin/env", `LD_PRELOAD=${path}`, `${variable}=${all.join(":")}`];
}

/** What a guest's lease says beside addresses. */
function guestOf({ backend }: Wire, guest: number): Record<string, unknown> {
  const mac = `02:00:00:00:01:${guest.toString(16).padStart(2, "0")}`;
  return backend === VXLAN.backend ? { BackendType: "vxlan", BackendData: { VNI: 1, VtepMAC: mac } } : {};
}

/** Guests join one after the other and leave in the same order; returns when the daemon on `host` has so many peers. */
async function changeLease(place: Place, wire: Wire, host: Host, count: number): Promise<void> {
  const guest = count % GUESTS;
  const isJoining = Math.floor(count / GUESTS) % 2 === 0;
  const subnet = `10.244.${FIRST_GUEST + guest}.0`;
  if (isJoining) place.writeMember(`192.168.50.${FIRST_GUEST + guest}`, `${subnet}/24`, guestOf(wire, guest));
  else rmSync(join(place.store, "subnets", `${subnet}-24.json`));
  const wanted = 1 + (isJoining ? guest + 1 : GUESTS - guest - 1);
  const socket = place.socket(host);
  const deadline = performance.now() + CHANGE_LIMIT_MS;
  const peers = async (): Promise<number> => parseStatus(await fetchStatus(socket), socket).peers.length;
  while ((await peers()) !== wanted) {
    if (performance.now() > deadline) throw new Error(`no ${wanted} peers after lease change ${count}`);
  }
}
