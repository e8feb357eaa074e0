// What the web page is told, as server-sent events: a view of what seldom changes, and a tick of figures every second. One
// timer and one text serve all who listen; nobody listening costs nothing.
import type { ServerResponse } from "node:http";
import type { DaemonState } from "./state.js";
import { type StatusReport, statusReport } from "./status.js";

/** Those beyond are told to come back later. */
export const LISTENERS_LIMIT = 32;
const TICK_MS = 1000;

type PeerReport = StatusReport["peers"][number];

/** What changes about a peer. */
export interface PeerTick {
  /** Its place in View.peers. */
  readonly peer: number;
  readonly bytes: PeerReport["bytes"];
  readonly reach: PeerReport["reach"];
}

/** What seldom changes; told first, and again when it has changed. */
export interface View {
  readonly node: string;
  readonly version: string;
  readonly network: string | null;
  readonly backend: string | null;
  readonly store: string;
  readonly lease: StatusReport["lease"];
  readonly underlay: StatusReport["underlay"];
  readonly device: { readonly name: string; readonly mtuBytes: number } | null;
  readonly peers: readonly Pick<PeerReport, "node" | "subnet" | "subnetV6" | "publicIp">[];
}

interface Volume {
  readonly packets: number;
  readonly bytes: number;
}

export interface Tick {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly state: StatusReport["state"];
  readonly uptimeSeconds: number;
  readonly warnings: readonly string[];
  readonly isStoreConnected: boolean;
  /** null: nobody counts, as in host-gw. */
  readonly sent: Volume | null;
  readonly received: Volume | null;
  /** Reasons that have lost a packet. */
  readonly drops: StatusReport["drops"];
  /** The peers of which something has changed since the tick before; all of them in the first tick after a view. */
  readonly peers: readonly PeerTick[];
}

export class LiveFeed {
  readonly #state: DaemonState;
  readonly #listeners = new Set<ServerResponse>();
  #timer: NodeJS.Timeout | null = null;
  /** The text of the view that all listeners have. */
  #view = "";
  /** The text of what all listeners know of each peer. */
  #told: readonly string[] = [];

  constructor(state: DaemonState) {
    this.#state = state;
  }

  /** Keeps the answer open and goes on telling; false when too many listen already. */
  add(response: ServerResponse): boolean {
    if (this.#listeners.size >= LISTENERS_LIMIT) return false;
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.on("close", () => this.#remove(response));
    const report = statusReport(this.#state, Date.now());
    const peers = peerTicks(report);
    const view = event("view", viewOf(report));
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
    const peers = peerTicks(report);
    const view = event("view", viewOf(report));
    const isNewView = view !== this.#view;
    const told = isNewView ? [] : this.#told;
    const news = peers.filter((tick, i) => JSON.stringify(tick) !== told[i]);
    this.#note(view, peers);
    const text = `${isNewView ? view : ""}${event("tick", tickOf(report, news))}`;
    for (const listener of this.#listeners) listener.write(text); // who takes nothing runs into the server's time limit
  }

  #note(view: string, peers: readonly PeerTick[]): void {
    this.#view = view;
    this.#told = peers.map((tick) => JSON.stringify(tick));
  }
}

function peerTicks({ peers }: StatusReport): PeerTick[] {
  return peers.map(({ bytes, reach }, peer) => ({ peer, bytes, reach }));
}

function viewOf(report: StatusReport): View {
  const { node, version, network, backend, store, lease, underlay, device } = report;
  return {
    ...{ node, version, network, backend, store: store.spec, lease, underlay },
    device: device === null ? null : { name: device.name, mtuBytes: device.mtuBytes },
    peers: report.peers.map(({ node, subnet, subnetV6, publicIp }) => ({ node, subnet, subnetV6, publicIp })),
  };
}

function tickOf(report: StatusReport, peers: readonly PeerTick[]): Tick {
  const { state, uptimeSeconds, warnings, store, drops } = report;
  return {
    ...{ at: Date.now(), state, uptimeSeconds, warnings, isStoreConnected: store.connected },
    ...volumesOf(report),
    drops: drops.filter(({ packets }) => packets > 0),
    peers,
  };
}

/** What the pump counts, else what the kernel counts on its device. */
function volumesOf({ traffic, device }: StatusReport): Pick<Tick, "sent" | "received"> {
  if (traffic !== null) {
    const volume = ({ packets, bytes }: Volume): Volume => ({ packets, bytes });
    return { sent: volume(traffic.sent), received: volume(traffic.received) };
  }
  const volume = device?.volume ?? null;
  if (volume === null) return { sent: null, received: null };
  return {
    sent: { packets: volume.sentPackets, bytes: volume.sentBytes },
    received: { packets: volume.receivedPackets, bytes: volume.receivedBytes },
  };
}

function event(name: string, value: View | Tick): string {
  return `event: ${name}\ndata: ${JSON.stringify(value)}\n\n`;
}
