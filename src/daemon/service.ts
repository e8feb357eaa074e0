// The daemon as its service manager sees it: sd_notify(3) out, LISTEN_FDS in (sd_listen_fds(3)). The manager keeps copies of device
// and socket, and gives them to the next process. Without a manager every method does nothing.
import type { HandedOver } from "../addon.js";
import { failure, type Logger } from "./log.js";
import type { DaemonState } from "./state.js";
import { allWarnings } from "./status.js";

/** How often the status text is looked at when no watchdog asks for more. */
const TICK_MS = 5000;
/** So many times within the watchdog's time: one look that comes too early does no harm. */
const TICKS_PER_WATCHDOG = 4;
const FIRST_DESCRIPTOR = 3;
const NAMES: Readonly<Record<keyof HandedOver, string>> = { tunFd: "hopsack-tun", socketFd: "hopsack-udp" };
/** Each counts the rounds of a packet thread; an idle thread makes two a second. */
const TURNS = ["outbound_turns", "inbound_turns"];

/** @throws whatever the system refuses */
export type SendNotification = (address: string, text: string, fds: readonly number[]) => void;

export interface NamedDescriptor {
  readonly name: string;
  readonly fd: number;
}

export interface ServiceEnvironment {
  /** Path or `@name`; null: no service manager. */
  readonly notifySocket: string | null;
  readonly watchdogMs: number | null;
  readonly inherited: readonly NamedDescriptor[];
}

/** What a service manager said to the process `pid`. */
export function readServiceEnvironment(env: NodeJS.ProcessEnv, pid: number): ServiceEnvironment {
  const isForUs = (variable: string): boolean => env[variable] === undefined || env[variable] === String(pid);
  const watchdogMs = isForUs("WATCHDOG_PID") ? Number(env.WATCHDOG_USEC ?? 0) / 1000 : 0;
  const count = env.LISTEN_PID === String(pid) ? Number(env.LISTEN_FDS ?? 0) : 0;
  const names = (env.LISTEN_FDNAMES ?? "").split(":");
  return {
    notifySocket: env.NOTIFY_SOCKET || null,
    watchdogMs: watchdogMs > 0 ? watchdogMs : null,
    inherited: Array.from({ length: Math.max(count, 0) }, (_, i) => ({
      name: names[i] ?? "",
      fd: FIRST_DESCRIPTOR + i,
    })),
  };
}

/** Device and socket among descriptors; what is neither, twice there, or alone is `unused`. */
export function pairOf(descriptors: readonly NamedDescriptor[]): {
  readonly pair: HandedOver | null;
  readonly unused: readonly NamedDescriptor[];
} {
  const tun = descriptors.find(({ name }) => name === NAMES.tunFd);
  const socket = descriptors.find(({ name }) => name === NAMES.socketFd);
  if (tun === undefined || socket === undefined) return { pair: null, unused: descriptors };
  const unused = descriptors.filter((descriptor) => descriptor !== tun && descriptor !== socket);
  return { pair: { tunFd: tun.fd, socketFd: socket.fd }, unused };
}

/** Gives copies of device and socket to whoever listens at `address`, in the words of the descriptor store. */
export function sendDescriptors(send: SendNotification, address: string, { tunFd, socketFd }: HandedOver): void {
  // A manager that polled them would close the socket's copy at the first ICMP error.
  send(address, `FDSTORE=1\nFDPOLL=0\nFDNAME=${NAMES.tunFd}`, [tunFd]);
  send(address, `FDSTORE=1\nFDPOLL=0\nFDNAME=${NAMES.socketFd}`, [socketFd]);
}

/** The name that sendDescriptors() gave to a descriptor; null: the text is about something else. */
export function storedName(text: string): string | null {
  const lines = text.split("\n");
  if (!lines.includes("FDSTORE=1")) return null;
  return lines.find((line) => line.startsWith("FDNAME="))?.slice("FDNAME=".length) ?? "";
}

export class Service {
  readonly #environment: ServiceEnvironment;
  readonly #send: SendNotification;
  readonly #log: Logger;
  #isReloading = false;
  #status = "";
  #turns: readonly number[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(environment: ServiceEnvironment, send: SendNotification, log: Logger) {
    this.#environment = environment;
    this.#send = send;
    this.#log = log;
  }

  /** Somebody may hold copies of device and socket that we closed, and closes them a little later. */
  get isManaged(): boolean {
    return this.#environment.notifySocket !== null;
  }

  /** Packets can flow; from now on the status text follows, and the watchdog is fed while everything moves. */
  begin(state: DaemonState): void {
    if (!this.isManaged) return;
    this.#say("READY=1");
    const { watchdogMs } = this.#environment;
    const pause = Math.min(TICK_MS, (watchdogMs ?? Number.POSITIVE_INFINITY) / TICKS_PER_WATCHDOG);
    this.#timer = setInterval(() => this.tick(state), pause);
    this.tick(state);
  }

  /** One look: the status text if it is a new one, and a sign of life if the packet threads moved since the last. */
  tick(state: DaemonState): void {
    const status = statusText(state);
    if (status !== this.#status) this.#say(`STATUS=${status}`);
    this.#status = status;
    const words = state.readCounters?.().words;
    const turns = words === undefined ? [] : TURNS.map((name) => words[name] ?? 0);
    const isStuck = turns.length === this.#turns.length && turns.some((turn, i) => turn === this.#turns[i]);
    this.#turns = turns;
    if (this.#environment.watchdogMs !== null && !isStuck) this.#say("WATCHDOG=1");
  }

  /** Mode, network or underlay changes; ended by reloaded(). */
  reloading(): void {
    this.#isReloading = true;
    this.#say(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  }

  reloaded(): void {
    if (!this.#isReloading) return;
    this.#isReloading = false;
    this.#say("READY=1");
  }

  stopping(): void {
    clearInterval(this.#timer);
    this.#say("STOPPING=1");
  }

  /** The next process is to get these instead of those of before. */
  keep(descriptors: HandedOver): void {
    const { notifySocket } = this.#environment;
    if (notifySocket === null) return;
    this.forget();
    this.#attempt(() => sendDescriptors(this.#send, notifySocket, descriptors));
  }

  /** The next process is to open its own. */
  forget(): void {
    for (const name of Object.values(NAMES)) this.#say(`FDSTOREREMOVE=1\nFDNAME=${name}`);
  }

  #say(text: string): void {
    const { notifySocket } = this.#environment;
    if (notifySocket !== null) this.#attempt(() => this.#send(notifySocket, text, []));
  }

  /** The packets matter more than who is told. */
  #attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#log.warn(failure(error), "service_manager_not_told");
    }
  }
}

function statusText(state: DaemonState): string {
  const [warning] = allWarnings(state);
  const peers = `${state.peers.length} ${state.peers.length === 1 ? "peer" : "peers"}`;
  const what = `${state.backendType ?? "no backend"}, ${peers}`;
  return warning === undefined ? what : `${what}; ${warning.replaceAll("\n", " ")}`;
}
