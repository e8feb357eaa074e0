// The side of a takeover that begins: asks the running daemon for device and socket and waits until that one has let go. It
// speaks as to a service manager (service.ts), and we play that part on a socket beside its status socket.
import { rm } from "node:fs/promises";
import { request } from "node:http";
import type { HandedOver, NativeNotifySocket } from "../addon.js";
import { HopsackError, messageOf } from "../errors.js";
import type { Clock } from "./clock.js";
import { type NamedDescriptor, pairOf, storedName } from "./service.js";

const ANSWER_LIMIT_MS = 3000;
/** From the answer to the last word; some milliseconds as a rule. */
const LETTING_GO_LIMIT_MS = 5000;
const LOOK_INTERVAL_MS = 1;

interface TakeoverWorld {
  readonly clock: Pick<Clock, "monotonic" | "sleep">;
  openNotifySocket(path: string): NativeNotifySocket;
}

/**
 * Resolves once the daemon behind `statusSocket` moves no packet and changes nothing any more.
 * @returns its device and socket; null when its mode needs none
 * @throws NOT_RUNNING, HANDOVER_FAILED
 */
export async function takeOver(
  statusSocket: string,
  world: TakeoverWorld,
  signal: AbortSignal,
): Promise<HandedOver | null> {
  const path = `${statusSocket}.next`;
  await rm(path, { force: true });
  const socket = openSocket(path, world);
  try {
    await askForHandover(statusSocket, path);
    return pairOf(await listen(socket, statusSocket, world.clock, signal)).pair;
  } finally {
    socket.close();
    await rm(path, { force: true });
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

function askForHandover(socketPath: string, to: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const path = `/handover?to=${encodeURIComponent(to)}`;
    const query = request({ socketPath, path, method: "POST", timeout: ANSWER_LIMIT_MS }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (body += chunk));
      response.on("error", (error) => reject(nobody(socketPath, error)));
      response.on("end", () => (response.statusCode === 200 ? resolve() : reject(refused(socketPath, body.trim()))));
    });
    query.on("timeout", () => query.destroy(new Error(`no answer within ${ANSWER_LIMIT_MS} ms`)));
    query.on("error", (error) => reject(nobody(socketPath, error)));
    query.end();
  });
}

async function listen(
  socket: NativeNotifySocket,
  statusSocket: string,
  clock: TakeoverWorld["clock"],
  signal: AbortSignal,
): Promise<NamedDescriptor[]> {
  const descriptors: NamedDescriptor[] = [];
  const deadline = clock.monotonic() + LETTING_GO_LIMIT_MS;
  while (clock.monotonic() < deadline) {
    for (let said = socket.receive(); said !== null; said = socket.receive()) {
      const name = storedName(said.text);
      if (name !== null) descriptors.push(...said.fds.map((fd) => ({ name, fd })));
      if (said.text === "STOPPING=1") return descriptors;
    }
    await clock.sleep(LOOK_INTERVAL_MS, signal);
  }
  const message = `the daemon on ${statusSocket} began to hand over and did not end within ${LETTING_GO_LIMIT_MS} ms; end it, and start this one without --takeover`;
  throw new HopsackError("HANDOVER_FAILED", message);
}

function nobody(socketPath: string, cause: Error): HopsackError {
  const message = `no hopsackd answers on ${socketPath} (${messageOf(cause)}), so there is nothing to take over; start without --takeover`;
  return new HopsackError("NOT_RUNNING", message, { cause });
}

function refused(socketPath: string, answer: string): HopsackError {
  const message = `the daemon on ${socketPath} does not hand over: ${answer}; stop it, and start this one without --takeover`;
  return new HopsackError("HANDOVER_FAILED", message);
}
