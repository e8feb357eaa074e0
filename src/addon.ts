// Declares every class and function of the native addon (native/addon/), and loads it. Nothing else imports the .node
// file. System errors arrive as Error with `code` = the errno name and `syscall` = what failed.
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { HopsackError, messageOf } from "./errors.js";

export interface OffloadSwitches {
  /** TCP super-packets from the TUN (TUN_F_TSO4 | TUN_F_TSO6). */
  readonly tso: boolean;
  /** UDP super-packets from the TUN (TUN_F_USO4 | TUN_F_USO6, Linux 6.2). */
  readonly uso: boolean;
  /** Several datagrams a send (UDP_SEGMENT, Linux 4.18). */
  readonly udpGso: boolean;
  /** Several datagrams a receive (UDP_GRO, used from Linux 5.12 on). */
  readonly udpGro: boolean;
  /** Coalesced super-packets written to the TUN (virtio_net_hdr with a GSO type). */
  readonly tunGro: boolean;
}

/** A few bytes of a datagram (its UDP payload), at most eight. */
export interface HeaderField {
  readonly offset: number;
  readonly value: Uint8Array;
  /** As long as `value`: the bits that count. */
  readonly mask: Uint8Array;
}

/** A datagram without this field is dropped. */
export interface HeaderCheck extends HeaderField {
  /** Name of a drop reason. */
  readonly reason: string;
  /** Not asked when the inner packet is of this IP version. */
  readonly exceptVersion?: 4 | 6;
}

/** Device and socket of a pump as open descriptors. */
export interface HandedOver {
  readonly tunFd: number;
  readonly socketFd: number;
}

interface NativePumpOptions {
  /** Interface name of the TUN device; at most 15 bytes. */
  readonly tunName: string;
  /** IP-in-IP instead of UDP: raw sockets of IP protocol 4, without ports; TTL and DF are the inner packet's. */
  readonly isIpip: boolean;
  /** Whether the outer DSCP is the inner packet's; else 0. Of IP-in-IP only. */
  readonly isDscpInherited: boolean;
  /** Local IPv4 address and port of the tunnel's socket. */
  readonly bindAddress: string;
  readonly bindPort: number;
  /** Over how many source ports inner flows are spread, at most 32; 0: everything is sent from `bindPort`. */
  readonly sourcePorts: number;
  /** What lies between the outer UDP (or IP) header and the inner packet of every datagram; at most 64. */
  readonly headerBytes: number;
  /** What must be in it, asked in this order; at most 8, each beginning within the header. */
  readonly headerChecks: readonly HeaderCheck[];
  /** Bytes in front of the inner packet on the underlay, outer IP header included: path MTU minus this is the inner MTU. */
  readonly overheadBytes: number;
  /** What the TUN will take; longer packets of kernel peers are cut to it. */
  readonly innerMtuBytes: number;
  /** Which offloads may be used; what the kernel then grants is a counter word (`offload_*`). */
  readonly offloads: OffloadSwitches;
  /** flannel's loop: one packet per system call on one thread, no offload. */
  readonly naive: boolean;
  /** Drop packets whose inner source does not belong to the sending peer's subnet. */
  readonly checkInnerAddresses: boolean;
  /** Datagrams of known hosts that are not carried but go up: all fields of one of these hold. */
  readonly punts: readonly (readonly HeaderField[])[];
  /** Gets them, at most 256 bytes each and 200 a second; what it returns goes back to the sender, at `bindPort`. */
  readonly onPunt: (datagram: Uint8Array) => Uint8Array | null;
  /** One word for each of `counterNames`, over a SharedArrayBuffer; written by the pump's threads, read with Atomics. */
  readonly counters: BigUint64Array;
  /** By slot of the forwarding table: first half sent, second half received; dataplane/peer-slots.ts. */
  readonly peerBytes: BigUint64Array;
  /** Goes on with these instead of opening others; the pump's from here on, closed when they cannot be used (EBADFD). */
  readonly handedOver: HandedOver | null;
}

/** The packet threads. Lifecycle: construct (opens TUN and socket), publish, start, publish …, stop. */
export interface NativePump {
  readonly tunName: string;
  readonly tunIfIndex: number;
  /** Ports that inner packets are sent from; until stop(). */
  sourcePorts(): number[];
  /** To send to another process; the pump's own, until stop(). */
  descriptors(): HandedOver;
  /** Replaces the forwarding table at once; layout of the records: dataplane/fib-records.ts. */
  publish(nextHops: Uint8Array, headers: Uint8Array, routes: Uint8Array, ownSubnets: Uint8Array): void;
  /** Throws EAGAIN when there can be no more threads; the pump is then stopped. */
  start(): void;
  /** Ends the threads, closes the TUN (its routes go with it) and the socket. May be called twice. */
  stop(): void;
}

/** What the kernel's shortcut carried; packets as the wire has them, the segments of a super-packet singly. */
export interface AcceleratorCounts {
  readonly tx_packets: number;
  readonly tx_bytes: number;
  readonly tx_super_packets: number;
  /** Lost half-way for lack of memory, and in no other count. */
  readonly tx_no_memory: number;
  readonly rx_packets: number;
  readonly rx_bytes: number;
  readonly rx_super_packets: number;
  /** How often a router said that a path is narrower than a packet (ICMP fragmentation needed). */
  readonly path_news: number;
}

/** All bytes of a header at once; what the mask leaves out is not compared. */
export interface ExpectedHeader {
  readonly value: Uint8Array;
  readonly mask: Uint8Array;
}

interface NativeAcceleratorOptions {
  readonly bindAddress: string;
  readonly bindPort: number;
  readonly underlayIfIndex: number;
  readonly tunIfIndex: number;
  /** Two joined links: what is sent out by the first arrives at the second, merged. 0: nothing is merged. */
  readonly mergingIfIndex: number;
  readonly mergedIfIndex: number;
  /** Of the outer IPv4 header: 17 for UDP, 4 for IP-in-IP. */
  readonly protocol: number;
  /** What of the inner type of service, or traffic class, is the outer one's too. */
  readonly tosMask: number;
  readonly sourcePorts: readonly number[];
  /** One more than the highest slot of the forwarding table: dataplane/peer-slots.ts. */
  readonly peerSlots: number;
  /** What lies between the outer UDP header and the inner packet: at most 64. */
  readonly headerBytes: number;
  /** Its last 14 bytes are an Ethernet header. */
  readonly endsInEthernet: boolean;
  /** What it must be in front of each family. */
  readonly expectedV4: ExpectedHeader;
  readonly expectedV6: ExpectedHeader;
}

/** eBPF programs beside a pump (native/bpf/accelerator.bpf.c); gone at close() or the process's end. */
export interface NativeAccelerator {
  /** Puts the programs on their links. @throws BPF_LINK_CREATE EINVAL before Linux 6.6 */
  attach(): void;
  /**
   * Where attach() cannot: programs for the underlay's ingress, the TUN's egress and the ingress of the link of `mergedIfIndex`, to be
   * attached by tc. One that is left there does nothing after close() or the process's end. The descriptors stay the accelerator's.
   */
  openDoors(): { readonly inFd: number; readonly outFd: number; readonly mergedFd: number };
  /**
   * The bytes that NativePump.publish() gets, too, and the way to each next hop. After an exception only close() may be called.
   * @param paths records of dataplane/fib-records.ts, in the order of the next hops
   */
  publish(
    nextHops: Uint8Array,
    headers: Uint8Array,
    routes: Uint8Array,
    ownSubnets: Uint8Array,
    paths: Uint8Array,
  ): void;
  counts(): AcceleratorCounts;
  /** Inner bytes to and from the peers of a slot. */
  peerBytes(slot: number): { readonly sent: number; readonly received: number };
  close(): void;
}

/** A netlink socket for requests; calls block for the microseconds the kernel needs. */
export interface NativeNetlinkSocket {
  /**
   * Sends the requests (complete nlmsghdr each, sequence numbers set by the caller) in as few system calls as possible
   * and returns every message received until each request is answered: acknowledged, refused or, for a dump, done.
   */
  request(messages: readonly Uint8Array[]): Uint8Array[];
  /** The number of its network namespace, never given to another one; 0 before Linux 5.14. */
  netnsCookie(): bigint;
  close(): void;
}

/** A netlink socket for events; keeps the event loop alive only until close(). */
export interface NativeNetlinkMonitor {
  close(): void;
}

/** A unix datagram socket that speaks sd_notify(3); makes its file, and does not remove it. */
export interface NativeNotifySocket {
  /** The next datagram; its descriptors are the caller's to close. null: none is there. */
  receive(): { readonly text: string; readonly fds: number[] } | null;
  close(): void;
}

export interface NativeAddon {
  readonly Pump: new (options: NativePumpOptions) => NativePump;
  /** `syscall` of its errors: BPF_MAP_CREATE, BPF_PROG_LOAD or BPF_LINK_CREATE. */
  readonly Accelerator: new (
    options: NativeAcceleratorOptions,
  ) => NativeAccelerator;
  /** Whether the packets of the link begin with an Ethernet header. */
  readonly isEthernet: (linkName: string) => boolean;
  /** Makes what one end of a new veth pair sends arrive at the other merged; false: this kernel cannot. */
  readonly makePairMerge: (sender: string, receiver: string) => boolean;
  /** Whether a super-packet that leaves by the link arrives as one: a veth pair with its offloads on. */
  readonly carriesSuperPackets: (linkName: string) => boolean;
  /** `netns`: path of the network namespace to talk about; empty: the caller's own. `protocol`: NETLINK_ROUTE by default. */
  readonly NetlinkSocket: new (
    netns?: string,
    protocol?: number,
  ) => NativeNetlinkSocket;
  /**
   * `groups`: RTNLGRP_* or NFNLGRP_* numbers of `protocol` (NETLINK_ROUTE by default). `onMessages` gets whole messages; an
   * empty list means events were lost (ENOBUFS).
   */
  readonly NetlinkMonitor: new (
    groups: readonly number[],
    onMessages: (messages: Uint8Array[]) => void,
    protocol?: number,
  ) => NativeNetlinkMonitor;
  readonly NotifySocket: new (path: string) => NativeNotifySocket;
  /** Sends text and copies of descriptors to a path or `@name`; waits a second at most, then throws EAGAIN. */
  readonly sendNotification: (address: string, text: string, fds: readonly number[]) => void;
  /** Makes a tap device and returns its descriptor, with which it goes unless keepTap() was called with that. */
  readonly makeTap: (name: string) => number;
  readonly keepTap: (fd: number) => void;
  /** flock(2), exclusive, without waiting: false when another process holds it. Released when the fd is closed. */
  readonly tryLockFile: (fd: number) => boolean;
  /** Names of the counter words, in the order of NativePumpOptions.counters. */
  readonly counterNames: readonly string[];
  /** Drop reasons (native/pump/drop_reason.def): counter word `drop_<name>` and one sentence for people. */
  readonly dropReasons: readonly { readonly name: string; readonly help: string }[];
}

const require = createRequire(import.meta.url);
let loaded: NativeAddon | undefined;

/** The native addon: the one built here (build/Release), else the prebuilt copy of the package. */
export function loadAddon(): NativeAddon {
  if (loaded !== undefined) return loaded;
  const packageRoot = dirname(dirname(fileURLToPath(import.meta.url)));
  try {
    const load = require("pkg-prebuilds") as (root: string, options: unknown) => NativeAddon;
    loaded = load(packageRoot, require("../binding-options.cjs"));
  } catch (error) {
    throw new HopsackError(
      "ADDON_MISSING",
      `the native addon cannot be loaded for Node.js ${process.version} on ${process.platform}-${process.arch} (${messageOf(error)}); build it with: npm run build:native`,
      { cause: error },
    );
  }
  return loaded;
}
