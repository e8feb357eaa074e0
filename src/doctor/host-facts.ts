// The facts of this machine, gathered when the doctor is called: kernel, files, tools, and small questions to the peers.
import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { get } from "node:http";
import { release } from "node:os";
import { join } from "node:path";
import { openProbeSocket, type ProbeSocket } from "../daemon/probe-socket.js";
import type { StatusReport } from "../daemon/status.js";
import { fetchStatus, parseStatus } from "../daemon/status-client.js";
import { errnoOf, HopsackError, messageOf } from "../errors.js";
import { Rtnetlink } from "../kernel/rtnetlink.js";
import { encodeQuestion, PROBE_BYTES, parseProbe } from "../wire/probe.js";
import { NotChecked } from "./check.js";
import type { Facts, Knock, Peer } from "./facts.js";
import { parseNftRules } from "./nft-rules.js";

/** So many are sent to: those with trouble first, for they have something to tell. */
const PEERS_LIMIT = 32;
const TRIES = 2;
const ANSWER_LIMIT_MS = 700;
const PROGRAM_LIMIT_MS = 10_000;
const LISTING_LIMIT_BYTES = 64_000_000;
const SYSTEM_FOLDERS = ":/usr/sbin:/sbin";
const IPV4_AND_UDP_BYTES = 28;
const IPV4_AND_ICMP_BYTES = 28;
/** Too short to be a packet in any tunnel: its end drops it as truncated. */
const KNOCK = new Uint8Array(1);

/** @throws NOT_RUNNING where the daemon runs in another network namespace; ADDON_MISSING, KERNEL_REFUSED */
export async function gatherFacts(statusSocket: string): Promise<Facts> {
  const { report, fault } = await askDaemon(statusSocket);
  if (report !== null) checkNamespace(report.pid);
  const rtnetlink = new Rtnetlink();
  const asker = new Asker(report?.probes?.address ?? null);
  return {
    report,
    daemonFault: fault,
    peers: troubledFirst(report?.peers ?? []).slice(0, PEERS_LIMIT),
    links: rtnetlink.links(),
    routes: rtnetlink.routes(),
    kernelRelease: release(),
    now: Date.now(),
    readText,
    routeTo: (address) => rtnetlink.routeTo(address),
    nftRules: async () => parseNftRules(await runProgram("nft", ["-j", "list", "ruleset"])),
    ping,
    ask: (peer, bytes) => asker.ask(peer, bytes),
    knock,
    run: runProgram,
    clockAhead,
    youngestFileAt,
  };
}

async function askDaemon(
  socket: string,
): Promise<{ readonly report: StatusReport | null; readonly fault: string | null }> {
  try {
    return { report: parseStatus(await fetchStatus(socket), socket), fault: null };
  } catch (error) {
    if (!(error instanceof HopsackError) || error.code !== "NOT_RUNNING") throw error;
    return { report: null, fault: error.message };
  }
}

/** A status socket is a file, and can be seen from namespaces in which nothing else is the daemon's. */
function checkNamespace(pid: number): void {
  const namespace = (process: string): string | null => {
    try {
      return readlinkSync(`/proc/${process}/ns/net`);
    } catch {
      return null; // it may belong to another user, or to another PID namespace
    }
  };
  const itsOwn = namespace(String(pid));
  if (itsOwn === null || itsOwn === namespace("self")) return;
  const cure = `run the doctor there: nsenter --net --target ${pid} hopsack doctor`;
  throw new HopsackError("NOT_RUNNING", `hopsackd (process ${pid}) runs in another network namespace; ${cure}`);
}

function troubledFirst(peers: readonly Peer[]): Peer[] {
  const isWell = ({ reach }: Peer): boolean => reach?.state === "reachable";
  return [...peers.filter((peer) => !isWell(peer)), ...peers.filter(isWell)];
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function runProgram(program: string, args: readonly string[]): Promise<string> {
  const env = { ...process.env, LC_ALL: "C", PATH: `${process.env.PATH ?? ""}${SYSTEM_FOLDERS}` };
  const options = { env, timeout: PROGRAM_LIMIT_MS, maxBuffer: LISTING_LIMIT_BYTES };
  return new Promise((resolve, reject) => {
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else if (errnoOf(error) === "ENOENT") reject(new NotChecked(`${program} is not installed`));
      else if (stdout !== "")
        resolve(stdout); // ping and arping end so when they have something to tell
      else reject(new NotChecked(`${program} failed: ${stderr.trim().split("\n")[0] || messageOf(error)}`));
    });
  });
}

async function ping(address: string, bytes: number): Promise<boolean> {
  const args = [
    "-n",
    "-q",
    "-c",
    `${TRIES}`,
    "-i",
    "0.2",
    "-W",
    "1",
    "-M",
    "do",
    "-s",
    `${bytes - IPV4_AND_ICMP_BYTES}`,
    address,
  ];
  return / [1-9]\d* received/.test(await runProgram("ping", args));
}

/** A connected socket hears of a port unreachable. */
function knock(address: string, port: number): Promise<Knock> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    let isOver = false;
    const end = (result: Knock): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      socket.close();
      resolve(result);
    };
    const timer = setTimeout(() => end("silence"), ANSWER_LIMIT_MS);
    socket.once("error", (error) => end(errnoOf(error) === "ECONNREFUSED" ? "refused" : "kept back"));
    socket.connect(port, address, () =>
      socket.send(KNOCK, (error) => {
        if (error !== null) end("kept back");
      }),
    );
  });
}

/** Asks peers from this host's own address in the overlay, as the daemon does. */
class Asker {
  readonly #address: string | null;
  #token = 1n;

  constructor(address: string | null) {
    this.#address = address;
  }

  async ask({ probeAddress }: Peer, bytes: number): Promise<boolean> {
    if (this.#address === null || probeAddress === null) throw new NotChecked("probes are off, or this mode has none");
    for (let n = 0; n < TRIES; n++) if (await this.#askOnce(this.#address, probeAddress, bytes)) return true;
    return false;
  }

  async #askOnce(from: string, to: string, bytes: number): Promise<boolean> {
    const token = this.#token++;
    let hear: (isAnswered: boolean) => void = () => {};
    const answered = new Promise<boolean>((resolve) => {
      hear = resolve;
    });
    const socket = await openSocket(from, (datagram) => {
      const probe = parseProbe(datagram);
      if (probe?.kind === "answer" && probe.token === token) hear(true);
    });
    const timer = setTimeout(() => hear(false), ANSWER_LIMIT_MS);
    socket.send(encodeQuestion(token, Math.max(PROBE_BYTES, bytes - IPV4_AND_UDP_BYTES)), to);
    const isAnswered = await answered;
    clearTimeout(timer);
    socket.close();
    return isAnswered;
  }
}

async function openSocket(address: string, hear: (datagram: Uint8Array) => void): Promise<ProbeSocket> {
  try {
    return await openProbeSocket(address, 0, hear);
  } catch (error) {
    throw new NotChecked(messageOf(error));
  }
}

function clockAhead(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    if (!url.startsWith("http:")) return reject(new NotChecked("the store speaks TLS only"));
    const query = get(url, { timeout: ANSWER_LIMIT_MS, agent: false }, (response) => {
      response.resume();
      const date = Date.parse(response.headers.date ?? "");
      if (Number.isNaN(date)) reject(new NotChecked(`${url} tells no time`));
      else resolve((date - Date.now()) / 1000);
    });
    query.on("timeout", () => query.destroy(new Error("no answer")));
    query.on("error", (error) => reject(new NotChecked(`${url} does not answer: ${messageOf(error)}`)));
  });
}

function youngestFileAt(folder: string): number | null {
  try {
    const times = readdirSync(folder).map((name) => statSync(join(folder, name)).mtimeMs);
    return times.length === 0 ? null : Math.max(...times);
  } catch {
    return null;
  }
}
