// The pump as the control plane sees it: opened with a tunnel's socket, given a table, started, stopped. Owns the
// memory that the packet threads count in. No packet comes this way, only the few datagrams that are questions.
import { type HandedOver, loadAddon, type NativeAddon, type NativePump, type OffloadSwitches } from "../addon.js";
import type { TunnelSocket, Underlay } from "../backend/backend.js";
import { errnoOf, HopsackError, messageOf } from "../errors.js";
import type { Prefix } from "../net/prefix.js";
import type { PumpRoute } from "../plan/plan.js";
import {
  Accelerator,
  type CarriedByKernel,
  type Engine,
  type EngineReport,
  type FindPaths,
  type ProgramPlaces,
} from "./accelerator.js";
import { encodeFib, encodeSubnets } from "./fib-records.js";
import { type PeerBytesReading, PeerSlots } from "./peer-slots.js";

/** The drop reasons of packets that the eBPF programs had no memory for, and that found the queue behind them full. */
const NO_MEMORY = "send_buffer_full";
const OVERRUN = "merge_queue_full";

export interface PumpOptions {
  readonly socket: TunnelSocket;
  readonly underlay: Underlay;
  /** Bytes in front of the inner packet, outer IP header included. */
  readonly overheadBytes: number;
  readonly offloads: OffloadSwitches;
  /** flannel's loop instead of the batched one. */
  readonly naive: boolean;
  readonly engine: Engine;
  readonly findPaths: FindPaths;
  readonly places: ProgramPlaces;
  readonly checkInnerAddresses: boolean;
  /** How many peers have their bytes counted one by one. */
  readonly countedPeers: number;
  /** What goes back to a host whose datagram is one of `socket.questions`; null: nothing. */
  readonly answer: (datagram: Uint8Array) => Uint8Array | null;
  /** What another process opened, and is the pump's from here on; null: opens device and socket. */
  readonly handedOver: HandedOver | null;
}

export interface PumpCounters {
  /** What the kernel carried beside the pump, and is in no word. */
  readonly accelerated: CarriedByKernel;
  /** Every word of the addon by its name; packets, bytes and calls since the pump was opened. */
  readonly words: Readonly<Record<string, number>>;
  readonly drops: readonly { readonly name: string; readonly help: string; readonly packets: number }[];
  /** What is in use now: granted by the kernel, and not fallen back since. */
  readonly offloads: Readonly<Record<keyof OffloadSwitches, boolean>>;
}

export class Pump {
  readonly #native: NativePump;
  readonly #addon: NativeAddon;
  readonly #words: BigUint64Array;
  readonly #peerSlots: PeerSlots;
  readonly #accelerator: Accelerator;

  private constructor(
    addon: NativeAddon,
    native: NativePump,
    words: BigUint64Array,
    peerSlots: PeerSlots,
    accelerator: Accelerator,
  ) {
    this.#addon = addon;
    this.#native = native;
    this.#words = words;
    this.#peerSlots = peerSlots;
    this.#accelerator = accelerator;
  }

  /**
   * Opens the TUN device and the tunnel's socket. The device is down, without address and route: the reconciler's work. Those that
   * were handed over are as they were, with what is queued in them.
   * @throws NOT_PERMITTED, NO_TUN, DEVICE_BUSY, PORT_TAKEN, NO_ADDRESS, HANDOVER_FAILED (nothing is left open)
   */
  static open(options: PumpOptions): Pump {
    if (options.naive && options.socket.protocol === "ipip") {
      const problem = "--naive is flannel's loop for UDP, and sends no IP-in-IP";
      throw new HopsackError("BAD_OPTION", `${problem}; start without it`);
    }
    const addon = loadAddon();
    const words = new BigUint64Array(
      new SharedArrayBuffer(addon.counterNames.length * BigUint64Array.BYTES_PER_ELEMENT),
    );
    const peerSlots = new PeerSlots(options.countedPeers);
    try {
      const native = new addon.Pump({
        tunName: options.socket.tunName,
        bindAddress: options.underlay.address,
        bindPort: options.socket.port,
        isIpip: options.socket.protocol === "ipip",
        isDscpInherited: options.socket.isDscpInherited,
        sourcePorts: options.socket.sourcePorts,
        headerBytes: options.socket.headerBytes,
        headerChecks: options.socket.headerChecks,
        overheadBytes: options.overheadBytes,
        innerMtuBytes: options.socket.innerMtuBytes,
        offloads: options.offloads,
        naive: options.naive,
        checkInnerAddresses: options.checkInnerAddresses,
        punts: options.socket.questions?.patterns ?? [],
        onPunt: options.answer,
        counters: words,
        peerBytes: peerSlots.words,
        handedOver: options.handedOver,
      });
      const tun = { name: native.tunName, ifIndex: native.tunIfIndex };
      const pumps = { sourcePorts: native.sourcePorts(), peerSlots: peerSlots.count };
      const accelerator = Accelerator.open(addon, tun, pumps, options);
      peerSlots.alsoCounted = (slot) => accelerator.peerBytes(slot);
      return new Pump(addon, native, words, peerSlots, accelerator);
    } catch (error) {
      throw explainOpenError(error, options);
    }
  }

  get tunName(): string {
    return this.#native.tunName;
  }

  get tunIfIndex(): number {
    return this.#native.tunIfIndex;
  }

  /** Who carries the packets, and why. */
  get engine(): EngineReport {
    return this.#accelerator.report;
  }

  /** Device and socket, to be sent to another process; only until stop(). */
  descriptors(): HandedOver {
    return this.#native.descriptors();
  }

  /**
   * Replaces the forwarding table; packets see the old one or the new one, never a mixture.
   * @param ownSubnets what arriving packets may be for
   */
  publish(routes: readonly PumpRoute[], ownSubnets: readonly Prefix[]): void {
    const slots = this.#peerSlots;
    slots.assign(new Set(routes.map(({ endpoint }) => endpoint.address)));
    const { nextHops, headers, routes: records, endpoints } = encodeFib(routes, (address) => slots.slotOf(address));
    const table = [nextHops, headers, records, encodeSubnets(ownSubnets)] as const;
    this.#native.publish(...table);
    this.#accelerator.publish(table, endpoints);
  }

  /** The host's routes have changed: what is measured once and not with each packet is measured again. */
  measurePaths(): void {
    this.#accelerator.measurePaths();
  }

  /** @throws KERNEL_REFUSED (retryable) when there can be no more threads; this pump is then stopped */
  start(): void {
    try {
      this.#native.start();
    } catch (cause) {
      if (errnoOf(cause) !== "EAGAIN") throw cause;
      const message = `the kernel refused to start the packet threads (${messageOf(cause)}); allow more tasks: TasksMax= of the systemd unit, or ulimit -u`;
      throw new HopsackError("KERNEL_REFUSED", message, { retryable: true, cause });
    }
  }

  /** Carries everything itself from here on: another process may want to put programs in the place of ours. */
  endEngine(): void {
    this.#accelerator.close(); // what comes after goes to the device and the socket, where this pump or a successor finds it
  }

  /** Ends the threads; the device goes with them, and its addresses and routes with the device, unless somebody else has it open. */
  stop(): void {
    this.endEngine();
    this.#native.stop();
  }

  /** Somebody deleted the device under us: this pump carries nothing any more. */
  get isDeviceLost(): boolean {
    return Atomics.load(this.#words, this.#addon.counterNames.indexOf("device_lost")) !== 0n;
  }

  counters(): PumpCounters {
    const words = Object.fromEntries(
      this.#addon.counterNames.map((name, at) => [name, Number(Atomics.load(this.#words, at))]),
    );
    const accelerated = this.#accelerator.carried();
    const beside = new Map([
      [NO_MEMORY, accelerated.lost],
      [OVERRUN, accelerated.overrun],
    ]);
    return {
      words,
      accelerated,
      drops: this.#addon.dropReasons.map(({ name, help }) => {
        const packets = words[`drop_${name}`] ?? 0;
        return { name, help, packets: packets + (beside.get(name) ?? 0) };
      }),
      offloads: {
        tso: words.offload_tso === 1,
        uso: words.offload_uso === 1,
        udpGso: words.offload_udp_gso === 1,
        udpGro: words.offload_udp_gro === 1,
        tunGro: words.offload_tun_gro === 1,
      },
    };
  }

  /** What went to each peer and came from it; a peer that leaves the table and comes back begins at zero. */
  peerBytes(): PeerBytesReading {
    return this.#peerSlots.read();
  }
}

function syscallOf(error: unknown): unknown {
  return error instanceof Error && "syscall" in error ? error.syscall : undefined;
}

function explainOpenError(error: unknown, options: PumpOptions): unknown {
  const { tunName, port } = options.socket;
  const { address, linkName } = options.underlay;
  if (options.handedOver !== null) {
    const reason = `device and socket that were handed over are not used: ${messageOf(error)}`;
    return new HopsackError("HANDOVER_FAILED", reason, { cause: error });
  }
  switch (errnoOf(error)) {
    case "EADDRINUSE":
      return new HopsackError(
        "PORT_TAKEN",
        `UDP port ${port} on ${address} is in use; see who has it with: ss -lunp 'sport = ${port}', or set Backend.Port in the network configuration of all hosts`,
        { cause: error },
      );
    case "EADDRNOTAVAIL":
      return new HopsackError("NO_ADDRESS", `${linkName} no longer has the address ${address}`, {
        cause: error,
        retryable: true,
      });
    case "ENOENT":
    case "ENODEV":
    case "ENXIO":
      return new HopsackError("NO_TUN", "/dev/net/tun is not there; load the kernel module with: modprobe tun", {
        cause: error,
      });
    case "EPERM":
    case "EACCES":
      if (syscallOf(error) === "socket") {
        const problem = "opening a raw socket for IP-in-IP (IP protocol 4) is not permitted";
        const cure = "run hopsackd as root or with CAP_NET_RAW";
        return new HopsackError("NOT_PERMITTED", `${problem}; ${cure}`, { cause: error });
      }
      return new HopsackError(
        "NOT_PERMITTED",
        `creating the TUN device ${tunName} is not permitted; run hopsackd as root or with CAP_NET_ADMIN`,
        { cause: error },
      );
    case "EBUSY":
      return new HopsackError(
        "DEVICE_BUSY",
        `the TUN device ${tunName} is open in another process; stop that one, or choose another name with --device`,
        { cause: error },
      );
    case "EINVAL":
      return new HopsackError(
        "DEVICE_BUSY",
        `${tunName} exists and is no TUN device of the kind needed; choose another name with --device, or remove it with: ip link del ${tunName}`,
        { cause: error },
      );
    default:
      return error;
  }
}
