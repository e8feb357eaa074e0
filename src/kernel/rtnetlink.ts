// The kernel's links, addresses and routes: read, asked and changed through one netlink socket. Calls take the microseconds
// that the kernel needs. A change that is refused says so in the kernel's own words.
import { getSystemErrorMap } from "node:util";
import { loadAddon, type NativeNetlinkSocket } from "../addon.js";
import { type ErrorCode, errnoOf, HopsackError, messageOf } from "../errors.js";
import { encodeAddressDump, type InterfaceAddress, parseInterfaceAddressMessage } from "../netlink/addr.js";
import { type Change, encodeChange, objectOf } from "../netlink/change.js";
import { encodeFilterDump, type Filter, parseFilter } from "../netlink/filter.js";
import { encodeIpipProbe, encodeLinkDump, encodeLinkQuery, type Link, parseLink } from "../netlink/link.js";
import { type Ack, MessageFlag, MessageType, type NetlinkMessage, parseAck, parseMessage } from "../netlink/message.js";
import {
  encodeFdbDump,
  encodeNeighborDump,
  type FdbEntry,
  type Neighbor,
  parseFdbEntry,
  parseNeighbor,
} from "../netlink/neigh.js";
import {
  encodeRouteDump,
  encodeRouteQuery,
  MAIN_TABLE,
  type Path,
  parsePath,
  parseRoute,
  parseRouteAnswer,
  type Route,
} from "../netlink/route.js";
import { explainLink } from "./link-refusal.js";

/** A dump is repeated when the table changed under it; after so many times the last one has to do. */
const DUMP_TRIES = 4;

/** What may pass if the same request is made again. */
const RETRYABLE_ERRNOS = new Set(["EAGAIN", "EBUSY", "EINTR", "ENOBUFS", "ENOMEM", "ETIMEDOUT"]);
/** What is to be removed is not there: it went with its link, or somebody was faster. */
const GONE_ERRNOS = new Set(["EADDRNOTAVAIL", "ENODEV", "ENOENT", "ESRCH"]);
const ABSENT_ERRNOS = new Set(["ENODEV"]);
/** Of a request for an impossible device: the kernel knows the type, and refuses this one. */
const KNOWN_TYPE_ERRNO = "EINVAL";
const UNKNOWN_TYPE_ERRNO = "EOPNOTSUPP";
const UNREACHABLE_ERRNOS = new Set(["ENETUNREACH", "EHOSTUNREACH", "ESRCH"]);
const VERBS: Readonly<Record<Change["kind"], string>> = {
  "add-link": "add vxlan device",
  "add-ipip-link": "add ipip device",
  "add-veth": "add veth pair",
  "remove-link": "remove link",
  "set-link": "set link",
  "add-address": "add address",
  "remove-address": "remove address",
  "add-route": "add route",
  "replace-route": "replace route",
  "remove-route": "remove route",
  "remove-blackhole": "remove route",
  "set-neighbor": "set neighbour",
  "remove-neighbor": "remove neighbour",
  "set-fdb": "set forwarding entry",
  "remove-fdb": "remove forwarding entry",
  "add-clsact": "add queueing discipline",
  "remove-clsact": "remove queueing discipline",
  "add-filter": "add filter",
  "remove-filter": "remove filter",
};

export class Rtnetlink {
  readonly #socket: NativeNetlinkSocket;
  #sequence = 0;

  constructor(socket: NativeNetlinkSocket = new (loadAddon().NetlinkSocket)()) {
    this.#socket = socket;
  }

  /** Of another network namespace, `/run/netns/x`. @throws the system's error: ENOENT; EINVAL when it is none */
  static inNetns(path: string): Rtnetlink {
    return new Rtnetlink(new (loadAddon().NetlinkSocket)(path));
  }

  /** Tells the network namespace from all others, also later ones; the same for all before Linux 5.14. */
  netnsId(): string {
    return String(this.#socket.netnsCookie());
  }

  /** @throws KERNEL_REFUSED, as the other readers */
  links(): Link[] {
    return this.#dump("list links", encodeLinkDump, MessageType.newLink, parseLink);
  }

  /** One of them, whatever their number; null when there is none of this name. */
  link(name: string): Link | null {
    const answer = this.#query(`find the link ${name}`, ABSENT_ERRNOS, (sequence) => encodeLinkQuery(sequence, name));
    return (answer && parseLink(answer.payload)) ?? null;
  }

  /** Whether this kernel makes ipip devices; none is made, but the module is loaded where there is one. */
  hasIpip(): boolean {
    const what = "look for ipip devices";
    const answers = this.#request(what, [encodeIpipProbe(this.#nextSequence())]);
    const error = refusal(
      what,
      answers.map(parseAck).find((ack) => ack !== undefined),
    );
    const errno = errnoOf(error?.cause);
    if (error !== null && errno !== KNOWN_TYPE_ERRNO && errno !== UNKNOWN_TYPE_ERRNO) throw error;
    return errno === KNOWN_TYPE_ERRNO;
  }

  addresses(): InterfaceAddress[] {
    return this.#dump("list addresses", encodeAddressDump, MessageType.newAddress, parseInterfaceAddressMessage);
  }

  /** The main table, IPv4 and IPv6. */
  routes(): Route[] {
    const routes = this.#dump("list routes", encodeRouteDump, MessageType.newRoute, parseRoute);
    return routes.filter(({ table }) => table === MAIN_TABLE); // Linux before 4.20 does not filter
  }

  /** ARP and neighbour discovery entries of one link. */
  neighbors(linkIndex: number): Neighbor[] {
    const encode = (sequence: number): Uint8Array => encodeNeighborDump(sequence, linkIndex);
    return this.#dump("list neighbours", encode, MessageType.newNeighbor, parseNeighbor);
  }

  /** The forwarding database of one VXLAN device. */
  fdb(linkIndex: number): FdbEntry[] {
    const encode = (sequence: number): Uint8Array => encodeFdbDump(sequence, linkIndex);
    const entries = this.#dump("list forwarding entries", encode, MessageType.newNeighbor, parseFdbEntry);
    return entries.filter((entry) => entry.linkIndex === linkIndex); // Linux before 5.0 does not filter
  }

  /** The eBPF filters of one link, of both directions. */
  filters(linkIndex: number): Filter[] {
    try {
      return (["ingress", "egress"] as const).flatMap((direction) => {
        const encode = (sequence: number): Uint8Array => encodeFilterDump(sequence, linkIndex, direction);
        return this.#dump("list filters", encode, MessageType.newFilter, parseFilter);
      });
    } catch (error) {
      // A kernel without traffic control has none.
      if (error instanceof HopsackError && errnoOf(error.cause) === "EOPNOTSUPP") return [];
      throw error;
    }
  }

  /** The route that a packet to `address` takes now, as `ip route get` shows it; null when there is none. */
  routeTo(address: string): Route | null {
    const encode = (sequence: number): Uint8Array => encodeRouteQuery(sequence, address);
    const answer = this.#query(`find the route to ${address}`, UNREACHABLE_ERRNOS, encode);
    return (answer && parseRouteAnswer(answer.payload)) ?? null;
  }

  /** The way from `source`, an address of this host, to each of the addresses; null where there is none. */
  pathsFrom(source: string, addresses: readonly string[]): (Path | null)[] {
    const first = this.#sequence + 1;
    const requests = addresses.map((address) => encodeRouteQuery(this.#nextSequence(), address, source));
    const paths = new Map<number, Path>();
    for (const { type, sequence, payload } of this.#request("find the paths to the peers", requests)) {
      const path = type === MessageType.newRoute ? parsePath(payload) : undefined;
      if (path !== undefined) paths.set(sequence, path);
    }
    return addresses.map((_, index) => paths.get(first + index) ?? null);
  }

  /**
   * Makes the changes in their order; a refused one does not keep back the others. Removing what is gone already succeeds.
   * @returns for each change null, or why the kernel refused it: KERNEL_REFUSED or NOT_PERMITTED
   * @throws KERNEL_REFUSED (retryable) when the kernel's answers were lost: some changes may be made
   */
  apply(changes: readonly Change[]): (HopsackError | null)[] {
    const first = this.#sequence + 1;
    const requests = changes.map((change) => encodeChange(this.#nextSequence(), change));
    const acks = new Map<number, Ack>();
    for (const message of this.#request("change the network", requests)) {
      const ack = parseAck(message);
      if (ack !== undefined) acks.set(message.sequence, ack);
    }
    return changes.map((change, index) => {
      const error = refusal(`${VERBS[change.kind]} ${objectOf(change)}`, acks.get(first + index));
      if (error === null || isDone(change, error)) return null;
      return explainLink(change, error);
    });
  }

  close(): void {
    this.#socket.close();
  }

  #dump<T>(
    what: string,
    encode: (sequence: number) => Uint8Array,
    type: number,
    parse: (payload: Uint8Array) => T | undefined,
  ): T[] {
    let messages: NetlinkMessage[] = [];
    for (let tries = 0; tries < DUMP_TRIES; tries++) {
      messages = this.#request(what, [encode(this.#nextSequence())]);
      const error = refusal(
        what,
        messages.map(parseAck).find((ack) => ack !== undefined),
      );
      if (error !== null) throw error;
      if (!messages.some(({ flags }) => (flags & MessageFlag.dumpInterrupted) !== 0)) break;
    }
    return messages
      .filter((message) => message.type === type)
      .map(({ payload }) => parse(payload))
      .filter((value) => value !== undefined);
  }

  /** The one answer to a question; null for an error that means "none". */
  #query(what: string, none: ReadonlySet<string>, encode: (sequence: number) => Uint8Array): NetlinkMessage | null {
    const answers = this.#request(what, [encode(this.#nextSequence())]);
    const error = refusal(
      what,
      answers.map(parseAck).find((ack) => ack !== undefined),
    );
    if (error === null) return answers.find((message) => parseAck(message) === undefined) ?? null;
    if (none.has(errnoOf(error.cause) ?? "")) return null;
    throw error;
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

function isDone({ kind }: Change, { cause }: HopsackError): boolean {
  return kind.startsWith("remove-") && GONE_ERRNOS.has(errnoOf(cause) ?? "");
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
