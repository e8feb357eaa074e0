// Asks the daemon of this host whether packets can flow. A few words on its socket instead of node:http, whose loading would
// take longer than the answer.
import { connect } from "node:net";
import { messageOf } from "../errors.js";

const ANSWER_LIMIT_MS = 3000;

/** null when it is ready, else why not, as one sentence. */
export function daemonFault(socketPath: string): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    let answer = "";
    const settle = (fault: string | null): void => {
      socket.destroy();
      resolve(fault);
    };
    socket.setTimeout(ANSWER_LIMIT_MS, () =>
      settle(`hopsackd did not answer on ${socketPath} in ${ANSWER_LIMIT_MS} ms`),
    );
    socket.on("error", (error) => settle(`no hopsackd answers on ${socketPath} (${messageOf(error)})`));
    socket.on("data", (chunk) => (answer += chunk));
    socket.on("end", () => settle(faultIn(answer, socketPath)));
    socket.end("GET /readyz HTTP/1.0\r\n\r\n");
  });
}

function faultIn(answer: string, socketPath: string): string | null {
  const status = /^HTTP\/1\.[01] ([0-9]{3})/.exec(answer)?.[1];
  if (status === "200") return null;
  if (status === undefined) return `what answers on ${socketPath} is no hopsackd`;
  return answer.trimEnd().split("\n").at(-1) ?? `hopsackd on ${socketPath} is not ready`;
}
