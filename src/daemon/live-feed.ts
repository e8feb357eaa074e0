// What the web page is told, as server-sent events: a view of what seldom changes, and a tick of figures every second. One
// timer and one text serve all who listen; nobody listening costs nothing.
import type { ServerResponse } from "node:http";
import type { DaemonState } from "./state.js";
import { type StatusReport, statusReport } from "./status.js";

/** Those beyond are told to come back later. */
export const LISTENERS_LIMIT = 32;
const TICK_MS = 1000;

/** Bytes sent to and received from a peer, by its place in View.peers. */
export type PeerTick = readonly [peer: number, sent: number, received: number];

/** What seldom changes; told first, and again when it has changed. */
export interface View {
  readonly node: string;
  readonly version: string;
  readonly network: string | null;
  readonly backend: string | null;
  readonly store: string;
  readonly lease: StatusReport["lease"];
  readonly underlay: StatusReport["underlay"];
  readonly device: StatusReport["device"];
  readonly peers: readonly {
    readonly node: string | null;
    readonly subnet: string;
    readonly subnetV6: string | null;
    readonly publicIp: string;
    /** Whether its bytes are counted: not in a mode that the kernel carries, nor beyond --metrics-per-peer. */
    readonly isCounted: boolean;
  }[];
}

export interface Tick {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly state: StatusReport["state"];
  readonly uptimeSeconds: number;
  readonly warnings: readonly string[];
  readonly isStoreConnected: boolean;
  readonly sent: { readonly packets: number; readonly bytes: number } | null;
  readonly received: { readonly packets: number; readonly bytes: number } | null;
  /** Reasons that have lost a packet. */
  readonly drops: StatusReport["drops"];
  /** The peers whose bytes have changed since the tick before; all of them in the first tick after a view. */
  readonly peers: readonly PeerTick[];
}

export class LiveFeed {
  readonly #state: DaemonState;
  readonly #listeners = new Set<ServerResponse>();
  #timer: NodeJS.Timeout | null = null;
  /** The text of the view that all listeners have. */
  #view = "";
  /** What all listeners know of each peer. */
  #told: (PeerTick | undefined)[] = [];

  constructor(state: DaemonState) {
    this.#state = state;
  }

  /** Keeps the answer open and goes on telling; false when too many listen already. */
  add(response: ServerResponse): boolean {
    if (this.#listeners.size >= LISTENERS_LIMIT) return false;
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.on("close", () => this.#remove(response));
    const report = statusReport(this.#state, Date.now());
    const peers = this.#peerTicks();
    const view = event("view", viewOf(report, peers));
    if (this.#listeners.size === 0) this.#note(view, peers);
    response.write(`${view}${event("tick", tickOf(report, peers))}`);
    this.#listeners.add(response);
    this.#timer ??= setInterval(() => this.#tell(), TICK_MS);
    return true;
  }

  #remove(response: ServerResponse): void {
    this.#listeners.delete(response);
    if (this.#listeners.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #tell(): void {
    const report = statusReport(this.#state, Date.now());
    const peers = this.#peerTicks();
    const view = event("view", viewOf(report, peers));
    const isNewView = view !== this.#view;
    const news = isNewView ? peers : peers.filter((tick) => !isSame(tick, this.#told[tick[0]]));
    this.#note(view, peers);
    const text = `${isNewView ? view : ""}${event("tick", tickOf(report, news))}`;
    for (const listener of this.#listeners) listener.write(text); // who takes nothing runs into the server's time limit
  }

  #note(view: string, peers: readonly PeerTick[]): void {
    this.#view = view;
    this.#told = [];
    for (const tick of peers) this.#told[tick[0]] = tick;
  }

  /** Those of the peers that are counted. */
  #peerTicks(): PeerTick[] {
    const { peers, readPeerBytes } = this.#state;
    const counted = readPeerBytes?.().peers;
    if (counted === undefined) return [];
    return peers.flatMap(({ attrs }, peer) => {
      const bytes = counted.get(attrs.publicIp);
      return bytes === undefined ? [] : [[peer, bytes.sent, bytes.received] as const];
    });
  }
}

function viewOf(report: StatusReport, ticks: readonly PeerTick[]): View {
  const { node, version, network, backend, store, lease, underlay, device } = report;
  const counted = new Set(ticks.map(([peer]) => peer));
  const peers = report.peers.map(({ node, subnet, subnetV6, publicIp }, peer) => {
    return { node, subnet, subnetV6, publicIp, isCounted: counted.has(peer) };
  });
  return { node, version, network, backend, store: store.spec, lease, underlay, device, peers };
}

function tickOf(report: StatusReport, peers: readonly PeerTick[]): Tick {
  const { state, uptimeSeconds, warnings, store, traffic } = report;
  const totals = (direction: { packets: number; bytes: number } | undefined) =>
    direction === undefined ? null : { packets: direction.packets, bytes: direction.bytes };
  return {
    at: Date.now(),
    state,
    uptimeSeconds,
    warnings,
    isStoreConnected: store.connected,
    sent: totals(traffic?.sent),
    received: totals(traffic?.received),
    drops: report.drops.filter(({ packets }) => packets > 0),
    peers,
  };
}

function isSame(a: PeerTick, b: PeerTick | undefined): boolean {
  return b !== undefined && a[1] === b[1] && a[2] === b[2];
}

function event(name: string, value: View | Tick): string {
  return `event: ${name}\ndata: ${JSON.stringify(value)}\n\n`;
}
