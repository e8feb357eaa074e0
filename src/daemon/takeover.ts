// The side of a takeover that begins: asks the running daemon for device and socket, and waits until that one has let go of all
// but the packets. It speaks as to a service manager (service.ts), and we play that part on a socket beside its status socket.
import { rm } from "node:fs/promises";
import { type ClientRequest, request } from "node:http";
import type { NativeNotifySocket } from "../addon.js";
import { HopsackError, messageOf } from "../errors.js";
import type { Clock } from "./clock.js";
import { BEGIN, ENDED } from "./handover.js";
import type { Predecessor } from "./pump-opening.js";
import { type NamedDescriptor, pairOf, storedName } from "./service.js";

const ANSWER_LIMIT_MS = 3000;
/** For each of its two steps; some milliseconds as a rule. */
const LETTING_GO_LIMIT_MS = 5000;
const LOOK_INTERVAL_MS = 1;

interface TakeoverWorld {
  readonly clock: Pick<Clock, "monotonic" | "sleep">;
  openNotifySocket(path: string): NativeNotifySocket;
}

/**
 * Resolves once the daemon behind `statusSocket` does nothing but carry packets, which it does until it is dismissed.
 * @throws NOT_RUNNING, HANDOVER_FAILED
 */
export async function takeOver(statusSocket: string, world: TakeoverWorld, signal: AbortSignal): Promise<Predecessor> {
  const path = `${statusSocket}.next`;
  await rm(path, { force: true });
  const letters = new Letters(openSocket(path, world), path, world.clock);
  try {
    const connection = await askForHandover(statusSocket, path);
    if (!(await letters.hear([BEGIN, ENDED], signal))) throw stuck(statusSocket);
    const { pair } = pairOf(letters.descriptors);
    let dismissal: Promise<void> | null = null;
    const dismiss = async (): Promise<void> => {
      connection.destroy();
      await letters.hear([ENDED], new AbortController().signal); // who never says it is found out by what it holds
      await letters.close();
    };
    return { pair, dismiss: () => (dismissal ??= dismiss()) };
  } catch (error) {
    await letters.close();
    throw error;
  }
}

/** What the other daemon says. */
class Letters {
  readonly descriptors: NamedDescriptor[] = [];
  readonly #socket: NativeNotifySocket;
  readonly #path: string;
  readonly #clock: TakeoverWorld["clock"];
  #hasEnded = false;

  constructor(socket: NativeNotifySocket, path: string, clock: TakeoverWorld["clock"]) {
    this.#socket = socket;
    this.#path = path;
    this.#clock = clock;
  }

  /** Whether one of the words came in time; ENDED is the last, so it is not waited for twice. */
  async hear(words: readonly string[], signal: AbortSignal): Promise<boolean> {
    const deadline = this.#clock.monotonic() + LETTING_GO_LIMIT_MS;
    while (!this.#hasEnded && this.#clock.monotonic() < deadline) {
      for (let said = this.#socket.receive(); said !== null; said = this.#socket.receive()) {
        const name = storedName(said.text);
        if (name !== null) this.descriptors.push(...said.fds.map((fd) => ({ name, fd })));
        this.#hasEnded ||= said.text === ENDED;
        if (words.includes(said.text)) return true;
      }
      await this.#clock.sleep(LOOK_INTERVAL_MS, signal);
    }
    return this.#hasEnded;
  }

  async close(): Promise<void> {
    this.#socket.close();
    await rm(this.#path, { force: true });
  }
}

function openSocket(path: string, world: TakeoverWorld): NativeNotifySocket {
  try {
    return world.openNotifySocket(path);
  } catch (cause) {
    const message = `the socket ${path}, on which the other daemon is to hand over, cannot be made (${messageOf(cause)}); name that daemon's status socket with --takeover`;
    throw new HopsackError("HANDOVER_FAILED", message, { cause });
  }
}

/** The other daemon goes on with the packets for as long as the connection lasts. */
function askForHandover(socketPath: string, to: string): Promise<ClientRequest> {
  return new Promise((resolve, reject) => {
    const path = `/handover?to=${encodeURIComponent(to)}`;
    const query = request({ socketPath, path, method: "POST", timeout: ANSWER_LIMIT_MS }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (body += chunk));
      response.on("error", (error) => reject(nobody(socketPath, error)));
      response.on("end", () => reject(refused(socketPath, body.trim())));
      if (response.statusCode !== 200) return;
      query.setTimeout(0);
      resolve(query);
    });
    query.on("timeout", () => query.destroy(new Error(`no answer within ${ANSWER_LIMIT_MS} ms`)));
    query.on("error", (error) => reject(nobody(socketPath, error)));
    query.end();
  });
}

function stuck(statusSocket: string): HopsackError {
  const message = `the daemon on ${statusSocket} began to hand over and did not end within ${LETTING_GO_LIMIT_MS} ms; end it, and start this one without --takeover`;
  return new HopsackError("HANDOVER_FAILED", message);
}

function nobody(socketPath: string, cause: Error): HopsackError {
  const message = `no hopsackd answers on ${socketPath} (${messageOf(cause)}), so there is nothing to take over; start without --takeover`;
  return new HopsackError("NOT_RUNNING", message, { cause });
}

function refused(socketPath: string, answer: string): HopsackError {
  const message = `the daemon on ${socketPath} does not hand over: ${answer}; stop it, and start this one without --takeover`;
  return new HopsackError("HANDOVER_FAILED", message);
}
