// The kernel's shortcut beside a pump: eBPF programs that carry what needs no thought (native/bpf/accelerator.bpf.c). Where they
// cannot be used the pump carries everything, and `report` says why. Nothing here ever fails the daemon.
import type { AcceleratorCounts, ExpectedHeader, HeaderCheck, NativeAccelerator, NativeAddon } from "../addon.js";
import type { TunnelSocket, Underlay } from "../backend/backend.js";
import { errnoOf, HopsackError, messageOf } from "../errors.js";
import type { IpFamily } from "../net/prefix.js";
import type { Path } from "../netlink/route.js";
import { IPPROTO_IPIP, IPPROTO_UDP } from "../wire/checksum.js";
import { encodePaths, type PathRecord } from "./fib-records.js";
import { NO_BYTES, type PeerBytes } from "./peer-slots.js";

/** `auto`: eBPF where it is known to be the faster one, else the pump. */
export type Engine = "auto" | "pump" | "ebpf";

/** Who carries the packets that need no thought, and one clause why. `fou`: the kernel's own device, without a pump. */
export interface EngineReport {
  readonly name: "pump" | "ebpf" | "fou";
  readonly reason: string;
}

interface Carried {
  readonly packets: number;
  readonly bytes: number;
  readonly superPackets: number;
}

export interface CarriedByKernel {
  readonly sent: Carried;
  readonly received: Carried;
  /** Packets lost for lack of memory. */
  readonly lost: number;
  /** Packets lost because they arrived faster than they were merged. */
  readonly overrun: number;
}

/** An eBPF program for one direction of a link. */
interface LinkProgram {
  readonly linkIndex: number;
  readonly linkName: string;
  readonly direction: "ingress" | "egress";
  readonly programFd: number;
}

/**
 * Puts programs on their links by filters of tc; the returned function takes them away again.
 * @throws HopsackError when the kernel refuses; none of them stays then
 */
type AttachFilters = (programs: readonly LinkProgram[]) => () => void;

/** How packets of this host get to each address now; null: they do not. @throws HopsackError */
export type FindPaths = (addresses: readonly string[]) => readonly (Path | null)[];

/** Two joined links: what is sent out by one arrives at the other, TCP packets that belong together merged into super-packets. */
interface MergingPair {
  readonly sender: { readonly index: number };
  readonly receiver: { readonly index: number; readonly name: string };
  /** Both are there, and as they were made. @throws HopsackError */
  isWhole(): boolean;
  /** Packets for which there was no room between them, since it was made. @throws HopsackError */
  dropped(): number;
  /** Never throws. */
  remove(): void;
}

/** What the programs need of the kernel beside themselves. */
export interface ProgramPlaces {
  readonly attachFilters: AttachFilters;
  /** @throws HopsackError where the kernel cannot */
  readonly openMergingPair: (tunIfIndex: number) => MergingPair;
}

export interface AcceleratedPump {
  readonly places: ProgramPlaces;
  readonly findPaths: FindPaths;
  readonly socket: TunnelSocket;
  readonly underlay: Underlay;
  readonly engine: Engine;
  readonly naive: boolean;
}

const IP_PROTOCOLS = { udp: IPPROTO_UDP, ipip: IPPROTO_IPIP } as const;
/** What of the inner type of service the outer header repeats. */
const [DSCP_AND_ECN, ECN_ALONE] = [0xff, 0x03];
/** How soon it is noticed that a router has called a path narrower, or that somebody has taken a merging pair away. */
const LOOK_INTERVAL_MS = 1000;
/** Without news: what a router said expires, and rules of routing change without a word. */
const PATHS_INTERVAL_MS = 60_000;
const NOTHING: AcceleratorCounts = {
  tx_packets: 0,
  tx_bytes: 0,
  tx_super_packets: 0,
  tx_no_memory: 0,
  rx_packets: 0,
  rx_bytes: 0,
  rx_super_packets: 0,
  path_news: 0,
};

/** What the pump is given, too. */
type Table = readonly [nextHops: Uint8Array, headers: Uint8Array, routes: Uint8Array, ownSubnets: Uint8Array];

/** What there is when the programs are in their places. */
interface Attached {
  readonly peerSlots: number;
  readonly pair: MergingPair | null;
  readonly detach: () => void;
}

export class Accelerator {
  #native: NativeAccelerator | null;
  #report: EngineReport;
  /** Kept when the programs are gone: what is counted never shrinks. */
  #last: AcceleratorCounts = NOTHING;
  #lastPeerBytes: readonly PeerBytes[] = [];
  #lastOverrun = 0;
  readonly #peerSlots: number;
  readonly #pump: AcceleratedPump;
  readonly #pair: MergingPair | null;
  readonly #detach: () => void;
  #published: { readonly table: Table; readonly endpoints: readonly string[] } | null = null;
  /** To the hosts of the table, as the kernel said when all were asked for, or when the host was new. */
  #paths: ReadonlyMap<string, Path | null> = new Map();
  #measuredAt = 0;
  #newsHeard = 0;
  readonly #timer: NodeJS.Timeout | undefined;

  private constructor(
    pump: AcceleratedPump,
    native: NativeAccelerator | null,
    report: EngineReport,
    { peerSlots = 0, pair = null, detach = () => {} }: Partial<Attached> = {},
  ) {
    this.#pump = pump;
    this.#native = native;
    this.#report = report;
    this.#peerSlots = peerSlots;
    this.#pair = pair;
    this.#detach = detach;
    if (native !== null) this.#timer = setInterval(() => this.#look(native), LOOK_INTERVAL_MS).unref();
  }

  static open(
    addon: NativeAddon,
    tun: { readonly name: string; readonly ifIndex: number },
    pumps: { readonly sourcePorts: readonly number[]; readonly peerSlots: number },
    pump: AcceleratedPump,
  ): Accelerator {
    const { underlay, socket, engine } = pump;
    const objection = objectionTo(addon, pump);
    if (objection !== null) return new Accelerator(pump, null, { name: "pump", reason: objection });
    const { pair, obstacle } = openMerging(addon, tun, pump);
    if (engine === "auto" && obstacle !== null) {
      const reason = `${underlay.linkName} does not carry super-packets whole, and only the pump merges what arrives in pieces (${obstacle})`;
      return new Accelerator(pump, null, { name: "pump", reason });
    }
    let native: NativeAccelerator | null = null;
    try {
      native = new addon.Accelerator({
        bindAddress: underlay.address,
        bindPort: socket.port,
        underlayIfIndex: underlay.linkIndex,
        tunIfIndex: tun.ifIndex,
        mergingIfIndex: pair?.sender.index ?? 0,
        mergedIfIndex: pair?.receiver.index ?? 0,
        protocol: IP_PROTOCOLS[socket.protocol],
        tosMask: socket.isDscpInherited ? DSCP_AND_ECN : ECN_ALONE,
        ...pumps,
        headerBytes: socket.headerBytes,
        endsInEthernet: socket.endsInEthernet,
        expectedV4: expectedHeader(socket, 4),
        expectedV6: expectedHeader(socket, 6),
      });
      const { how, detach } = attach(native, tun, pair, pump);
      const merging = wordsOf(pump, pair, obstacle);
      const words = engine === "ebpf" ? ["asked for by --engine ebpf", how, merging] : [merging, how];
      const report: EngineReport = { name: "ebpf", reason: words.join("; ") };
      return new Accelerator(pump, native, report, { peerSlots: pumps.peerSlots, pair, detach });
    } catch (error) {
      native?.close();
      pair?.remove();
      return new Accelerator(pump, null, { name: "pump", reason: refusal(error) });
    }
  }

  get report(): EngineReport {
    return this.#report;
  }

  /**
   * Tables that cannot be filled are given up: half of them would send packets to the wrong host.
   * @param endpoints addresses of the next hops, in their order
   */
  publish(table: Table, endpoints: readonly string[]): void {
    this.#published = { table, endpoints };
    if (this.#native === null) return;
    try {
      this.#native.publish(...table, encodePaths(this.#pathsTo(endpoints)));
    } catch (error) {
      this.close();
      this.#report = { name: "pump", reason: `the kernel's tables do not take the routes (${messageOf(error)})` };
    }
  }

  /** The host's routes have changed, and with them perhaps by whom a host is reached, and how long a packet to it may be. */
  measurePaths(): void {
    this.#giveUpWithoutPair();
    this.#paths = new Map();
    if (this.#published !== null) this.publish(this.#published.table, this.#published.endpoints);
  }

  /** Packets leave by the underlay's link; what the kernel would send by another one is the pump's. */
  #pathsTo(endpoints: readonly string[]): (PathRecord | null)[] {
    const { linkIndex, mtuBytes } = this.#pump.underlay;
    this.#ask([...new Set(endpoints)]);
    return endpoints.map((address) => {
      const path = this.#paths.get(address) ?? null;
      if (path?.linkIndex !== linkIndex) return null;
      return { neighbor: path.neighbor, mtuBytes: Math.min(path.mtuBytes ?? mtuBytes, mtuBytes) };
    });
  }

  /** For those that are new. A kernel that does not answer is asked again in a second; until then the pump carries everything. */
  #ask(addresses: readonly string[]): void {
    const known = this.#paths;
    const unknown = addresses.filter((address) => !known.has(address));
    try {
      const found = new Map(this.#pump.findPaths(unknown).map((path, i) => [unknown[i], path]));
      if (known.size === 0) this.#measuredAt = performance.now();
      this.#paths = new Map(addresses.map((address) => [address, known.get(address) ?? found.get(address) ?? null]));
    } catch {
      this.#paths = new Map();
      this.#measuredAt = Number.NEGATIVE_INFINITY;
    }
  }

  /** What happens without a word to this process. */
  #look(native: NativeAccelerator): void {
    this.#giveUpWithoutPair();
    if (this.#native !== null) this.#hearNews(native);
  }

  /** Without its devices the program on the way in sends packets to nowhere. */
  #giveUpWithoutPair(): void {
    if (this.#native === null || this.#pair === null || !this.#isPairBroken(this.#pair)) return;
    const reason = `${this.#pair.receiver.name}, which merged what arrived in pieces, was removed or changed; a restart makes it anew`;
    this.#report = { name: "pump", reason };
    this.close();
  }

  #isPairBroken(pair: MergingPair): boolean {
    try {
      return !pair.isWhole();
    } catch {
      return false; // the kernel does not answer; it is asked again
    }
  }

  /** A router tells sockets that a path is narrower, and the kernel remembers it; here there are only the programs, who saw it say so. */
  #hearNews(native: NativeAccelerator): void {
    const { path_news } = native.counts();
    const isOld = performance.now() - this.#measuredAt >= PATHS_INTERVAL_MS;
    if (isOld || path_news !== this.#newsHeard) this.measurePaths();
    this.#newsHeard = path_news;
  }

  carried(): CarriedByKernel {
    if (this.#native !== null) this.#last = this.#native.counts();
    const { tx_packets, tx_bytes, tx_super_packets, rx_packets, rx_bytes, rx_super_packets } = this.#last;
    return {
      sent: { packets: tx_packets, bytes: tx_bytes, superPackets: tx_super_packets },
      received: { packets: rx_packets, bytes: rx_bytes, superPackets: rx_super_packets },
      lost: this.#last.tx_no_memory,
      overrun: this.#overrun(),
    };
  }

  #overrun(): number {
    try {
      if (this.#native !== null && this.#pair !== null) this.#lastOverrun = this.#pair.dropped();
    } catch {
      // what was known stands
    }
    return this.#lastOverrun;
  }

  /** What the programs carried to and from the peers of a slot of the table. */
  peerBytes(slot: number): PeerBytes {
    return this.#native?.peerBytes(slot) ?? this.#lastPeerBytes[slot] ?? NO_BYTES;
  }

  /** Takes the programs away; the pump carries everything from here on. May be called twice. */
  close(): void {
    if (this.#native === null) return;
    clearInterval(this.#timer);
    const native = this.#native;
    this.#last = native.counts();
    this.#overrun();
    this.#lastPeerBytes = Array.from({ length: this.#peerSlots }, (_, slot) => native.peerBytes(slot));
    native.close(); // what is still attached by filters leads nowhere from here on
    this.#native = null;
    this.#detach();
    this.#pair?.remove();
  }
}

/** What the pump asks one by one, each with its drop reason, as one: what does not fit here is the pump's, which names the reason. */
export function expectedHeader(
  { headerBytes, headerChecks }: { readonly headerBytes: number; readonly headerChecks: readonly HeaderCheck[] },
  family: IpFamily,
): ExpectedHeader {
  const expected = { value: new Uint8Array(headerBytes), mask: new Uint8Array(headerBytes) };
  for (const { offset, value, mask, exceptVersion } of headerChecks) {
    if (exceptVersion === family) continue;
    mask.forEach((bits, i) => {
      expected.mask[offset + i] = (expected.mask[offset + i] ?? 0) | bits;
      expected.value[offset + i] = (expected.value[offset + i] ?? 0) | ((value[i] ?? 0) & bits);
    });
  }
  return expected;
}

/** By what the kernel has for it: links of its own (tcx), which go with the process, or filters of tc. */
function attach(
  native: NativeAccelerator,
  tun: { readonly name: string; readonly ifIndex: number },
  pair: MergingPair | null,
  { underlay, places }: AcceleratedPump,
): { readonly how: string; readonly detach: () => void } {
  try {
    native.attach();
    return { how: "by tcx", detach: () => {} };
  } catch (error) {
    if (errnoOf(error) !== "EINVAL") throw error;
  }
  const { inFd, outFd, mergedFd } = native.openDoors();
  const filters: LinkProgram[] = [
    { linkIndex: underlay.linkIndex, linkName: underlay.linkName, direction: "ingress", programFd: inFd },
    { linkIndex: tun.ifIndex, linkName: tun.name, direction: "egress", programFd: outFd },
  ];
  if (pair !== null) {
    const { index, name } = pair.receiver;
    filters.unshift({ linkIndex: index, linkName: name, direction: "ingress", programFd: mergedFd }); // before what sends there
  }
  const detach = places.attachFilters(filters);
  return { how: "by tc filters", detach };
}

/** Why the pump is to carry everything; null: nothing speaks against the programs. */
function objectionTo(addon: NativeAddon, { engine, naive, underlay }: AcceleratedPump): string | null {
  if (engine === "pump") return "--engine pump, the default";
  if (naive) return "--naive is a way of the pump";
  if (!addon.isEthernet(underlay.linkName)) return `${underlay.linkName} is no Ethernet link`;
  return null;
}

/** A link that cuts super-packets delivers their pieces, and a device takes them one by one unless somebody merges them. */
function openMerging(
  addon: NativeAddon,
  tun: { readonly ifIndex: number },
  { underlay, socket, places }: AcceleratedPump,
): { readonly pair: MergingPair | null; readonly obstacle: string | null } {
  const isMerged = socket.protocol === "ipip"; // before the programs (ipip_gro_receive): those would overtake what goes by the pair
  if (isMerged || addon.carriesSuperPackets(underlay.linkName)) return { pair: null, obstacle: null };
  try {
    return { pair: places.openMergingPair(tun.ifIndex), obstacle: null };
  } catch (error) {
    return { pair: null, obstacle: messageOf(error) };
  }
}

function wordsOf({ socket, underlay }: AcceleratedPump, pair: MergingPair | null, obstacle: string | null): string {
  if (pair !== null) return `${pair.receiver.name} merges what arrives in pieces`;
  if (obstacle !== null) return `nothing merges what arrives in pieces (${obstacle})`;
  if (socket.protocol === "ipip") return "IP-in-IP is merged by the kernel where it arrives";
  return `${underlay.linkName} carries super-packets whole`;
}

function refusal(error: unknown): string {
  const step = error instanceof Error && "syscall" in error ? String(error.syscall) : "";
  if (error instanceof HopsackError) return error.message;
  const errno = errnoOf(error) ?? "";
  if (step === "BPF_PROG_LOAD" && errno === "EACCES")
    return "the kernel's verifier refuses the eBPF programs of a process without CAP_PERFMON; give hopsackd that too, or run it as root";
  if (["EPERM", "EACCES"].includes(errno))
    return "eBPF is not permitted here; give hopsackd CAP_BPF and CAP_PERFMON, or run it as root";
  if (step === "BPF_LINK_CREATE") return `the eBPF programs cannot be attached: ${messageOf(error)}`;
  return `the kernel does not take the eBPF programs: ${messageOf(error)}`;
}
