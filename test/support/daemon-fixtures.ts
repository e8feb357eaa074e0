// Leases, counters and a daemon state that the tests of daemon/ and cli/ share.
import { type DaemonState, initialState } from "../../src/daemon/state.js";
import type { PumpCounters } from "../../src/dataplane/pump.js";
import type { LeaseAttrs, TimedLease } from "../../src/lease/lease.js";
import { type Prefix, parsePrefix } from "../../src/net/prefix.js";

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`not a prefix: ${text}`);
  return parsed;
}

/** E.g. `lease("10.244.2.0/24", "192.168.50.11", "b")`; node null = written by flannel. */
export function lease(
  subnet: string,
  publicIp: string,
  node: string | null,
  more: Partial<LeaseAttrs> & { readonly subnetV6?: string; readonly expiresAt?: number | null } = {},
): TimedLease {
  const { subnetV6, expiresAt = null, ...attrs } = more;
  return {
    subnet: prefix(subnet),
    subnetV6: subnetV6 === undefined ? null : prefix(subnetV6),
    attrs: { publicIp, publicIpv6: null, backendType: "udp", backendData: null, backendV6Data: null, node, ...attrs },
    expiresAt,
  };
}

const NOTHING = { packets: 0, bytes: 0, superPackets: 0 };

export function counters(
  words: Readonly<Record<string, number>>,
  drops: Readonly<Record<string, number>>,
  accelerated: PumpCounters["accelerated"] = { sent: NOTHING, received: NOTHING, lost: 0, overrun: 0 },
): PumpCounters {
  return {
    words,
    accelerated,
    drops: Object.entries(drops).map(([name, packets]) => ({ name, help: `why ${name}`, packets })),
    offloads: { tso: true, uso: false, udpGso: true, udpGro: true, tunGro: true },
  };
}

/** A daemon that is ready, with two peers and some traffic. */
export function readyState(): DaemonState {
  const state = initialState({ version: "0.1.0", node: "host-a", startedAt: 1_000_000, storeSpec: "file:/srv/leases" });
  const words = {
    tun_rx_packets: 4400,
    tun_rx_bytes: 6_160_000,
    tun_rx_reads: 100,
    tun_rx_super_packets: 100,
    udp_tx_datagrams: 4400,
    udp_tx_sends: 100,
    udp_tx_calls: 100,
    udp_rx_datagrams: 2200,
    udp_rx_receives: 100,
    udp_rx_calls: 50,
    tun_tx_packets: 2199,
    tun_tx_bytes: 120_000,
    tun_tx_writes: 90,
    tun_tx_super_packets: 12,
    icmp_sent: 3,
    punts: 5,
    punt_answers: 4,
    outbound_batches_1: 1,
    outbound_batches_2: 0,
    outbound_batches_inf: 2,
    inbound_batches_1: 3,
    inbound_batches_2: 4,
    inbound_batches_inf: 0,
  };
  state.phase = "ready";
  state.isStoreConnected = true;
  state.network = "10.244.0.0/16";
  state.backendType = "udp";
  state.underlay = {
    linkName: "eth0",
    linkIndex: 2,
    address: "192.168.50.10",
    publicIp: "192.168.50.10",
    addressV6: null,
    publicIpv6: null,
    mtuBytes: 1500,
  };
  state.lease = lease("10.244.1.0/24", "192.168.50.10", "host-a", { expiresAt: 90_000_000 });
  state.device = { name: "flannel0", mtuBytes: 1472, udpPort: 8285 };
  state.peers = [lease("10.244.2.0/24", "192.168.50.11", "host-b"), lease("10.244.30.0/24", "192.168.50.12", null)];
  state.readCounters = () => counters(words, { no_route: 3, unknown_sender: 0 });
  const [host] = state.peers;
  const toHost = [[host?.attrs.publicIp ?? "", { sent: 6_000_000, received: 110_000 }]] as const;
  state.readPeerBytes = () => ({ peers: new Map(toHost), others: { sent: 160_000, received: 10_000 } });
  state.readTunRingFull = () => 17;
  return state;
}
