// One netlink socket for requests: numbers them, repeats a dump that the table changed under, and says in the kernel's own words why one
// was refused. Knows no message but the frame. Used by rtnetlink.ts and fou.ts.
import { getSystemErrorMap } from "node:util";
import type { NativeNetlinkSocket } from "../addon.js";
import { type ErrorCode, errnoOf, HopsackError, messageOf } from "../errors.js";
import { type Ack, MessageFlag, type NetlinkMessage, parseAck, parseMessage } from "../netlink/message.js";

/** A dump is repeated when the table changed under it; after so many times the last one has to do. */
const DUMP_TRIES = 4;
/** What may pass if the same request is made again. */
const RETRYABLE_ERRNOS = new Set(["EAGAIN", "EBUSY", "EINTR", "ENOBUFS", "ENOMEM", "ETIMEDOUT"]);

export type Encode = (sequence: number) => Uint8Array;

export class NetlinkRequests {
  readonly #socket: NativeNetlinkSocket;
  #sequence = 0;

  constructor(socket: NativeNetlinkSocket) {
    this.#socket = socket;
  }

  netnsId(): string {
    return String(this.#socket.netnsCookie());
  }

  /** What a dump yields. @throws KERNEL_REFUSED, NOT_PERMITTED */
  dump<T>(
    what: string,
    encode: Encode,
    isRow: (message: NetlinkMessage) => boolean,
    parse: (payload: Uint8Array) => T | undefined,
  ): T[] {
    let messages: NetlinkMessage[] = [];
    for (let tries = 0; tries < DUMP_TRIES; tries++) {
      messages = this.#request(what, [encode(this.#nextSequence())]);
      const error = refusal(what, firstAck(messages));
      if (error !== null) throw error;
      if (!messages.some(({ flags }) => (flags & MessageFlag.dumpInterrupted) !== 0)) break;
    }
    return messages
      .filter(isRow)
      .map(({ payload }) => parse(payload))
      .filter((value) => value !== undefined);
  }

  /** The one answer to a question; null for an error that means "none". @throws KERNEL_REFUSED, NOT_PERMITTED */
  query(what: string, none: ReadonlySet<string>, encode: Encode): NetlinkMessage | null {
    const answers = this.#request(what, [encode(this.#nextSequence())]);
    const error = refusal(what, firstAck(answers));
    if (error === null) return answers.find((message) => parseAck(message) === undefined) ?? null;
    if (none.has(errnoOf(error.cause) ?? "")) return null;
    throw error;
  }

  /**
   * Requests in their order; a refused one does not keep back the others.
   * @param whats what each asks for, for people
   * @returns for each null, or why the kernel refused it: KERNEL_REFUSED or NOT_PERMITTED
   * @throws KERNEL_REFUSED (retryable) when the kernel's answers were lost: some may have taken effect
   */
  ask(what: string, whats: readonly string[], encoders: readonly Encode[]): (HopsackError | null)[] {
    const first = this.#sequence + 1;
    const requests = encoders.map((encode) => encode(this.#nextSequence()));
    const acks = new Map<number, Ack>();
    for (const message of this.#request(what, requests)) {
      const ack = parseAck(message);
      if (ack !== undefined) acks.set(message.sequence, ack);
    }
    return whats.map((each, index) => refusal(each, acks.get(first + index)));
  }

  /**
   * Questions that need no order.
   * @returns for each the message that answers it; null, whatever the kernel had against it
   * @throws KERNEL_REFUSED (retryable) when the kernel's answers were lost
   */
  queryEach(what: string, encoders: readonly Encode[]): (NetlinkMessage | null)[] {
    const first = this.#sequence + 1;
    const requests = encoders.map((encode) => encode(this.#nextSequence()));
    const answers = this.#request(what, requests).filter((message) => parseAck(message) === undefined);
    const bySequence = new Map(answers.map((message) => [message.sequence, message]));
    return encoders.map((_, index) => bySequence.get(first + index) ?? null);
  }

  close(): void {
    this.#socket.close();
  }

  #request(what: string, requests: readonly Uint8Array[]): NetlinkMessage[] {
    try {
      return this.#socket
        .request(requests)
        .map(parseMessage)
        .filter((message) => message !== undefined);
    } catch (cause) {
      const errno = errnoOf(cause);
      if (errno === undefined) throw cause;
      const message = `the kernel did not answer a request to ${what} (${messageOf(cause)}); it is made again at the next try`;
      throw new HopsackError("KERNEL_REFUSED", message, { retryable: true, cause });
    }
  }

  #nextSequence(): number {
    this.#sequence = (this.#sequence + 1) >>> 0;
    return this.#sequence;
  }
}

function firstAck(messages: readonly NetlinkMessage[]): Ack | undefined {
  return messages.map(parseAck).find((ack) => ack !== undefined);
}

/** null when the request succeeded. The `cause` carries the errno name as `code`. */
function refusal(what: string, ack: Ack | undefined): HopsackError | null {
  if (ack === undefined) throw new Error(`the netlink socket returned no answer to: ${what}`);
  if (ack.errno === 0) return null;
  const [name, meaning] = getSystemErrorMap().get(-ack.errno) ?? [`errno ${ack.errno}`, "unknown"];
  const errno = name === "ENOTSUP" ? "EOPNOTSUPP" : name; // two names of one number: libuv's and Linux's
  const words = `${errno}: ${ack.words ?? meaning}`;
  const code: ErrorCode = errno === "EPERM" ? "NOT_PERMITTED" : "KERNEL_REFUSED";
  const cure = errno === "EPERM" ? "; run as root, or with the capability CAP_NET_ADMIN" : "";
  return new HopsackError(code, `the kernel refused to ${what} (${words})${cure}`, {
    retryable: RETRYABLE_ERRNOS.has(errno),
    cause: Object.assign(new Error(words), { code: errno }),
  });
}
