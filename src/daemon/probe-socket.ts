// The UDP socket of the probes: bound to this host's own address in the overlay, so that nothing outside it is answered.
import { createSocket } from "node:dgram";
import { errnoOf, HopsackError, messageOf } from "../errors.js";

export const PROBE_PORT = 9286;

export interface ProbeSocket {
  /** To the port of the probes; what cannot be sent is a question without an answer. */
  send(datagram: Uint8Array, address: string, port?: number): void;
  close(): void;
}

export type HearProbe = (datagram: Uint8Array, from: { readonly address: string; readonly port: number }) => void;

/**
 * @param port 0: any, for somebody who only asks
 * @throws PORT_TAKEN, NO_ADDRESS (retryable)
 */
export function openProbeSocket(address: string, port: number, hear: HearProbe): Promise<ProbeSocket> {
  const socket = createSocket("udp4");
  return new Promise((resolve, reject) => {
    socket.once("error", (cause) => {
      socket.close();
      reject(explain(cause, address, port));
    });
    socket.bind(port, address, () => {
      socket.removeAllListeners("error");
      socket.on("error", () => {}); // of one datagram
      socket.on("message", hear);
      resolve({
        send: (datagram, to, toPort = PROBE_PORT) => socket.send(datagram, toPort, to, () => {}),
        close: () => socket.close(),
      });
    });
  });
}

function explain(cause: Error, address: string, port: number): HopsackError {
  const isTaken = errnoOf(cause) === "EADDRINUSE";
  const problem = isTaken
    ? `UDP port ${port} on ${address}, where peers are asked whether packets arrive, is in use`
    : `the probes' socket cannot be opened on ${address}:${port} (${messageOf(cause)})`;
  const cure = isTaken ? `see who has it with: ss -lunp 'sport = ${port}', or start` : "start";
  return new HopsackError(isTaken ? "PORT_TAKEN" : "NO_ADDRESS", `${problem}; ${cure} with --probe-peers=false`, {
    retryable: true,
    cause,
  });
}
