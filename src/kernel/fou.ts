// The kernel's FOU ports: listed, opened and closed through a generic netlink socket, which is opened when it is first needed. A kernel
// without FOU has none. Called by rtnetlink.ts only.
import type { NativeNetlinkSocket } from "../addon.js";
import { errnoOf, type HopsackError } from "../errors.js";
import { type FouChange, objectOf } from "../netlink/change.js";
import {
  encodeFouAdd,
  encodeFouDump,
  encodeFouRemoval,
  FOU_FAMILY,
  type FouPort,
  parseFouPort,
} from "../netlink/fou.js";
import { encodeFamilyQuery, parseFamily } from "../netlink/generic.js";
import { type Encode, NetlinkRequests } from "./requests.js";

const ABSENT_ERRNOS = new Set(["ENOENT"]);
/** Of a removal: there is no such port. */
const GONE_ERRNO = "EINVAL";
const VERBS: Readonly<Record<FouChange["kind"], string>> = {
  "add-fou-port": "open the FOU",
  "remove-fou-port": "close the FOU",
};

export class Fou {
  readonly #openSocket: () => NativeNetlinkSocket;
  #requests: NetlinkRequests | null = null;

  constructor(openSocket: () => NativeNetlinkSocket) {
    this.#openSocket = openSocket;
  }

  /** @throws KERNEL_REFUSED, NOT_PERMITTED, as the others */
  isThere(): boolean {
    return this.#family() !== null;
  }

  ports(): FouPort[] {
    const family = this.#family();
    if (family === null) return [];
    const encode: Encode = (sequence) => encodeFouDump(sequence, family);
    return this.#socket().dump("list FOU ports", encode, ({ type }) => type === family, parseFouPort);
  }

  /** null, or why it was refused. */
  apply(change: FouChange): HopsackError | null {
    const what = `${VERBS[change.kind]} ${objectOf(change)}`;
    const family = this.#family() ?? 0; // which nobody has: refused with ENOENT
    const isRemoval = change.kind === "remove-fou-port";
    const encode: Encode = (sequence) =>
      isRemoval ? encodeFouRemoval(sequence, family, change) : encodeFouAdd(sequence, family, change);
    const [error = null] = this.#socket().ask(what, [what], [encode]);
    return isRemoval && errnoOf(error?.cause) === GONE_ERRNO ? null : error;
  }

  close(): void {
    this.#requests?.close();
  }

  /** Asked each time: a module that was unloaded and loaded again has another number. */
  #family(): number | null {
    const encode: Encode = (sequence) => encodeFamilyQuery(sequence, FOU_FAMILY);
    const answer = this.#socket().query("look for FOU", ABSENT_ERRNOS, encode);
    return (answer && parseFamily(answer.payload)) ?? null;
  }

  #socket(): NetlinkRequests {
    this.#requests ??= new NetlinkRequests(this.#openSocket());
    return this.#requests;
  }
}
