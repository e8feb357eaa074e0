// One TCP stream to the one real peer while the forwarding table grows: leases of hosts that do not exist are written into the
// lab's store, and both daemons take them in.
import { readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { HopsackError } from "../../errors.js";
import { leaseKey, type TimedLease } from "../../lease/lease.js";
import { formatLeaseFile } from "../../lease/lease-json.js";
import { formatIpv4 } from "../../net/ipv4.js";
import { formatMac } from "../../net/mac.js";
import type { Prefix } from "../../net/prefix.js";
import { type Account, awaitQuiet } from "../accounts.js";
import { readReports } from "../pump-work.js";
import type { ProbeSpec } from "../scenarios.js";
import { runIperf, tcpReading } from "./iperf.js";
import type { ProbeContext } from "./probe.js";

const POLL_MS = 100;
const APPLY_LIMIT_MS = 120_000;
const STAGING = ".bench";
/** Simulated hosts: subnets from 10.64.0.0 on where free, addresses from 192.168.100.0 on, on the cable's own network. */
const FIRST_SUBNET = 0x0a400000n;
const SUBNET_SIZE = 256n;
const SUBNET_LENGTH = 24;
const FIRST_ADDRESS = 0xc0a86400;
/** No tunnel end of a real host is likely to begin with these octets: theirs are hashes. 02: locally administered. */
const MAC_PREFIX = [0x02, 0x42, 0x00, 0x00];
const VNI = 1;

type Spec = Extract<ProbeSpec, { kind: "many-peers" }>;

export interface PeerPlace {
  /** Folder of the lab's leases. */
  readonly storeFolder: string;
  readonly backend: string;
  readonly statusSockets: readonly string[];
  daemons(): readonly Account[];
}

/** A sample for each size of the table, ascending; at the end only the real peer is left. */
export async function measureManyPeers(context: ProbeContext, { routes }: Spec, place: PeerPlace): Promise<void> {
  const crowd = new Crowd(place);
  try {
    for (const count of routes) {
      await crowd.growTo(count, context.signal);
      await context.record(async () => ({ ...tcpReading(await runIperf(context, [])), point: count }));
    }
  } finally {
    await crowd.leave(context.signal);
  }
}

/** The simulated hosts of one lab. */
class Crowd {
  readonly #place: PeerPlace;
  readonly #folder: string;
  /** Names of files that were there before: the leases of the real hosts. */
  readonly #real: ReadonlySet<string>;
  readonly #written: string[] = [];
  #next = 0n;

  constructor(place: PeerPlace) {
    this.#place = place;
    this.#folder = `${place.storeFolder}/subnets`;
    this.#real = new Set(readdirSync(this.#folder));
  }

  /** Resolves when both daemons forward to `peers` hosts, the real one included, and have nothing left to do. */
  async growTo(peers: number, signal: AbortSignal): Promise<void> {
    while (this.#written.length < peers - 1) this.#add();
    await this.#awaitPeers(peers, signal);
    await awaitQuiet(() => this.#place.daemons(), signal);
  }

  /** After an abort nobody waits: the lab goes away as well. */
  async leave(signal: AbortSignal): Promise<void> {
    for (const name of this.#written) rmSync(`${this.#folder}/${name}`, { force: true });
    if (!signal.aborted) await this.#awaitPeers(1, signal);
  }

  #add(): void {
    const subnet = this.#nextSubnet();
    const text = formatLeaseFile(simulatedLease(this.#written.length, subnet, this.#place.backend));
    const name = fileName(subnet);
    writeFileSync(`${this.#place.storeFolder}/${STAGING}`, text);
    renameSync(`${this.#place.storeFolder}/${STAGING}`, `${this.#folder}/${name}`);
    this.#written.push(name);
  }

  #nextSubnet(): Prefix {
    for (;;) {
      const subnet = { family: 4, base: FIRST_SUBNET + this.#next++ * SUBNET_SIZE, length: SUBNET_LENGTH } as const;
      if (!this.#real.has(fileName(subnet))) return subnet;
    }
  }

  async #awaitPeers(count: number, signal: AbortSignal): Promise<void> {
    const deadline = performance.now() + APPLY_LIMIT_MS;
    for (;;) {
      const known = await this.#knownPeers();
      if (known.length > 0 && known.every((peers) => peers === count)) return;
      if (performance.now() > deadline) {
        const state = known.length === 0 ? "do not answer" : `forward to ${known.join(" and ")} hosts`;
        throw new HopsackError("TOOL_FAILED", `with ${count} hosts in the store, the daemons ${state}`);
      }
      await delay(POLL_MS, undefined, { signal });
    }
  }

  /** Of each daemon; empty while one is too busy to answer. */
  async #knownPeers(): Promise<number[]> {
    const reports = await readReports(this.#place.statusSockets).catch(() => []);
    return reports.map(({ peers }) => peers.length);
  }
}

function fileName(subnet: Prefix): string {
  return `${leaseKey({ subnet, subnetV6: null })}.json`;
}

function simulatedLease(index: number, subnet: Prefix, backendType: string): TimedLease {
  const mac = formatMac(Uint8Array.from([...MAC_PREFIX, index >> 8, index & 255]));
  const attrs = {
    publicIp: formatIpv4(FIRST_ADDRESS + index),
    publicIpv6: null,
    backendType,
    backendData: backendType === "vxlan" ? { VNI, VtepMAC: mac } : null,
    backendV6Data: null,
    node: `simulated-${index}`,
  };
  return { subnet, subnetV6: null, attrs, expiresAt: null };
}
