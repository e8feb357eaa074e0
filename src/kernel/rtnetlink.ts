// The kernel's links, addresses, routes and FOU ports: read, asked and changed by netlink. Calls take the microseconds that the
// kernel needs. A change that is refused says so in the kernel's own words.
import { loadAddon, type NativeNetlinkSocket } from "../addon.js";
import { errnoOf, HopsackError } from "../errors.js";
import { encodeAddressDump, type InterfaceAddress, parseInterfaceAddressMessage } from "../netlink/addr.js";
import { type Change, encodeChange, type FouChange, isFouChange, objectOf } from "../netlink/change.js";
import { encodeFilterDump, type Filter, parseFilter } from "../netlink/filter.js";
import type { FouPort } from "../netlink/fou.js";
import { NETLINK_GENERIC } from "../netlink/generic.js";
import { encodeIpipProbe, encodeLinkDump, encodeLinkQuery, type Link, parseLink } from "../netlink/link.js";
import { MessageType } from "../netlink/message.js";
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
import { Fou } from "./fou.js";
import { explainLink } from "./link-refusal.js";
import { type Encode, NetlinkRequests } from "./requests.js";

type RouteSocketChange = Exclude<Change, FouChange>;

/** What is to be removed is not there: it went with its link, or somebody was faster. */
const GONE_ERRNOS = new Set(["EADDRNOTAVAIL", "ENODEV", "ENOENT", "ESRCH"]);
const ABSENT_ERRNOS = new Set(["ENODEV"]);
/** Of a request for an impossible device: the kernel knows the type, and refuses this one. */
const KNOWN_TYPE_ERRNO = "EINVAL";
const UNKNOWN_TYPE_ERRNO = "EOPNOTSUPP";
const UNREACHABLE_ERRNOS = new Set(["ENETUNREACH", "EHOSTUNREACH", "ESRCH"]);
const VERBS: Readonly<Record<RouteSocketChange["kind"], string>> = {
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
  readonly #requests: NetlinkRequests;
  readonly #fou: Fou;

  constructor(socket: NativeNetlinkSocket = new (loadAddon().NetlinkSocket)(), netns = "") {
    this.#requests = new NetlinkRequests(socket);
    this.#fou = new Fou(() => new (loadAddon().NetlinkSocket)(netns, NETLINK_GENERIC));
  }

  /** Of another network namespace, `/run/netns/x`. @throws the system's error: ENOENT; EINVAL when it is none */
  static inNetns(path: string): Rtnetlink {
    return new Rtnetlink(new (loadAddon().NetlinkSocket)(path), path);
  }

  /** Tells the network namespace from all others, also later ones; the same for all before Linux 5.14. */
  netnsId(): string {
    return this.#requests.netnsId();
  }

  /** @throws KERNEL_REFUSED, as the other readers */
  links(): Link[] {
    return this.#dump("list links", encodeLinkDump, MessageType.newLink, parseLink);
  }

  /** One of them, whatever their number; null when there is none of this name. */
  link(name: string): Link | null {
    const answer = this.#requests.query(`find the link ${name}`, ABSENT_ERRNOS, (sequence) =>
      encodeLinkQuery(sequence, name),
    );
    return (answer && parseLink(answer.payload)) ?? null;
  }

  /** Whether this kernel makes ipip devices; none is made, but the module is loaded where there is one. */
  hasIpip(): boolean {
    const what = "look for ipip devices";
    const [error] = this.#requests.ask(what, [what], [encodeIpipProbe]);
    const errno = errnoOf(error?.cause);
    if (error && errno !== KNOWN_TYPE_ERRNO && errno !== UNKNOWN_TYPE_ERRNO) throw error;
    return errno === KNOWN_TYPE_ERRNO;
  }

  /** Whether this kernel has FOU ports. */
  hasFou(): boolean {
    return this.#fou.isThere();
  }

  fouPorts(): FouPort[] {
    return this.#fou.ports();
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
    const answer = this.#requests.query(`find the route to ${address}`, UNREACHABLE_ERRNOS, encode);
    return (answer && parseRouteAnswer(answer.payload)) ?? null;
  }

  /** The way from `source`, an address of this host, to each of the addresses; null where there is none. */
  pathsFrom(source: string, addresses: readonly string[]): (Path | null)[] {
    const encoders = addresses.map((address) => (sequence: number) => encodeRouteQuery(sequence, address, source));
    const answers = this.#requests.queryEach("find the paths to the peers", encoders);
    return answers.map((answer) =>
      answer?.type === MessageType.newRoute ? (parsePath(answer.payload) ?? null) : null,
    );
  }

  /**
   * Makes the changes in their order; a refused one does not keep back the others. Removing what is gone already succeeds.
   * @returns for each change null, or why the kernel refused it: KERNEL_REFUSED or NOT_PERMITTED
   * @throws KERNEL_REFUSED (retryable) when the kernel's answers were lost: some changes may be made
   */
  apply(changes: readonly Change[]): (HopsackError | null)[] {
    return runsBySocket(changes).flatMap((run) => {
      const errors = run.isFou ? run.changes.map((change) => this.#fou.apply(change)) : this.#change(run.changes);
      return run.changes.map((change, index) => {
        const error = errors[index] ?? null;
        return error === null || isDone(change, error) ? null : explainLink(change, error);
      });
    });
  }

  close(): void {
    this.#requests.close();
    this.#fou.close();
  }

  #change(changes: readonly RouteSocketChange[]): (HopsackError | null)[] {
    return this.#requests.ask(
      "change the network",
      changes.map((change) => `${VERBS[change.kind]} ${objectOf(change)}`),
      changes.map((change) => (sequence) => encodeChange(sequence, change)),
    );
  }

  #dump<T>(what: string, encode: Encode, type: number, parse: (payload: Uint8Array) => T | undefined): T[] {
    return this.#requests.dump(what, encode, (message) => message.type === type, parse);
  }
}

type Run =
  | { readonly isFou: true; readonly changes: FouChange[] }
  | { readonly isFou: false; readonly changes: RouteSocketChange[] };

/** What goes by one socket in a row is asked for at once; the order stays. */
function runsBySocket(changes: readonly Change[]): Run[] {
  const runs: Run[] = [];
  for (const change of changes) {
    const last = runs.at(-1);
    if (isFouChange(change)) {
      if (last?.isFou === true) last.changes.push(change);
      else runs.push({ isFou: true, changes: [change] });
    } else if (last?.isFou === false) last.changes.push(change);
    else runs.push({ isFou: false, changes: [change] });
  }
  return runs;
}

function isDone({ kind }: Change, { cause }: HopsackError): boolean {
  return kind.startsWith("remove-") && GONE_ERRNOS.has(errnoOf(cause) ?? "");
}
