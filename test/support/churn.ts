// A store whose leases change all the time, and one real daemon that follows: the program of `npm run churn` and of test/netns/churn.test.ts.
// The leases are those of hosts that are not there, 10.<i>.<j>.0/24 at 172.16.<i>.<j>; a change adds one, takes one away, or moves one.
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Test } from "tap";
import { fetchStatus, parseStatus } from "../../src/daemon/status-client.js";
import { EtcdClient } from "../../src/store/etcd-client.js";
import { etcdFor, PREFIX } from "./etcd-daemons.js";
import type { Host } from "./hopsackd.js";
import { loopLagP99, scrape } from "./metrics.js";
import { Place } from "./place.js";
import { residentMegabytes } from "./usage.js";

const CONFIG = '{"Network":"10.0.0.0/8","SubnetLen":24,"Backend":{"Type":"udp"}}';
const SETTLING_LIMIT_MS = 60_000;
const SUBNETS = 256;

export interface ChurnPlan {
  readonly leases: number;
  readonly changesPerSecond: number;
  readonly seconds: number;
}

export interface ChurnReport {
  readonly store: string;
  readonly changes: number;
  /** Whether the daemon came to have exactly what the store has. */
  readonly isTrue: boolean;
  /** From the last change until then. */
  readonly behindMs: number;
  readonly lagP99Seconds: number;
  readonly megabytesBefore: number;
  readonly megabytesAfter: number;
}

/** Where leases are written past the daemon: by number of subnet, null takes one away. */
interface LeaseWriter {
  readonly name: string;
  readonly place: Place;
  writeMany(addresses: ReadonlyMap<number, string>): Promise<void>;
  write(subnet: number, address: string | null): Promise<void>;
  close(): void;
}

export async function fileLeases(t: Test): Promise<LeaseWriter> {
  const place = new Place(t, CONFIG);
  const folder = join(place.store, "subnets");
  mkdirSync(folder);
  const write = async (subnet: number, address: string | null): Promise<void> => {
    const path = join(folder, `${keyOf(subnet)}.json`);
    if (address === null) {
      rmSync(path);
      return;
    }
    writeFileSync(join(folder, ".new"), leaseOf(address));
    renameSync(join(folder, ".new"), path);
  };
  const writeMany = async (addresses: ReadonlyMap<number, string>): Promise<void> => {
    for (const [subnet, address] of addresses) await write(subnet, address);
  };
  return { name: "file", place, writeMany, write, close: () => {} };
}

/** After makeHosts() of etcd-daemons.ts. */
export async function etcdLeases(t: Test): Promise<LeaseWriter> {
  const { cluster, place } = await etcdFor(t);
  const client = new EtcdClient(cluster.settings());
  const keyIn = (subnet: number): Buffer => Buffer.from(`${PREFIX}/subnets/${keyOf(subnet)}`);
  const requestOf = (subnet: number, address: string | null) =>
    address === null
      ? { request_delete_range: { key: keyIn(subnet) } }
      : { request_put: { key: keyIn(subnet), value: Buffer.from(leaseOf(address)) } };
  const write = async (subnet: number, address: string | null): Promise<void> => {
    await client.commit([], [requestOf(subnet, address)]);
  };
  const writeMany = async (addresses: ReadonlyMap<number, string>): Promise<void> => {
    const requests = [...addresses].map(([subnet, address]) => requestOf(subnet, address));
    for (let first = 0; first < requests.length; first += 100)
      await client.commit([], requests.slice(first, first + 100));
  };
  return { name: "etcd", place, writeMany, write, close: () => client.close() };
}

export async function churn(t: Test, host: Host, writer: LeaseWriter, plan: ChurnPlan): Promise<ChurnReport> {
  t.teardown(() => writer.close());
  const { place } = writer;
  const truth = new Map<number, string>();
  for (let subnet = SUBNETS; subnet < SUBNETS + plan.leases; subnet++) truth.set(subnet, addressOf(subnet, 16));
  await writer.writeMany(truth);
  place.reserve(host, "10.250.0.0/24");
  const daemon = place.start(t, host, "--probe-peers=false");
  await daemon.logged("ready");
  const socket = place.socket(host);
  scrape(socket); // from here on the lag is noted
  const { pid } = parseStatus(await fetchStatus(socket), socket);
  const megabytesBefore = residentMegabytes(pid);

  const total = plan.changesPerSecond * plan.seconds;
  const startedAt = performance.now();
  for (let change = 0; change < total; change++) {
    const dueAt = startedAt + (1000 * change) / plan.changesPerSecond;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, dueAt - performance.now())));
    const [subnet, address] = changeOf(change, plan.leases, truth);
    if (address === null) truth.delete(subnet);
    else truth.set(subnet, address);
    await writer.write(subnet, address);
  }
  const lastAt = performance.now();
  const wanted = new Map([...truth].map(([subnet, address]) => [prefixOf(subnet), address]));
  let isTrue = false;
  while (!isTrue && performance.now() < lastAt + SETTLING_LIMIT_MS) {
    const { peers } = parseStatus(await fetchStatus(socket), socket);
    isTrue = isDeepStrictEqual(new Map(peers.map(({ subnet, publicIp }) => [subnet, publicIp])), wanted);
  }
  const behindMs = performance.now() - lastAt;
  const lagP99Seconds = loopLagP99(scrape(socket));
  const megabytesAfter = residentMegabytes(pid);
  return { store: writer.name, changes: total, isTrue, behindMs, lagP99Seconds, megabytesBefore, megabytesAfter };
}

/** A third each: a host that is new, one that goes, one that comes to another address. */
function changeOf(change: number, leases: number, truth: ReadonlyMap<number, string>): [number, string | null] {
  const old = SUBNETS + ((change * 7919) % leases);
  if (change % 3 === 0 || !truth.has(old)) return [SUBNETS + leases + change, addressOf(SUBNETS + leases + change, 16)];
  return change % 3 === 1 ? [old, null] : [old, addressOf(old, 17)];
}

const keyOf = (subnet: number): string => `10.${subnet >> 8}.${subnet & 255}.0-24`;
const prefixOf = (subnet: number): string => keyOf(subnet).replace("-", "/");
const addressOf = (subnet: number, second: number): string => `172.${second}.${subnet >> 8}.${subnet & 255}`;
const leaseOf = (address: string): string =>
  JSON.stringify({ PublicIP: address, PublicIPv6: null, BackendType: "udp", Node: address });

export function describeChurn(report: ChurnReport, { leases, changesPerSecond, seconds }: ChurnPlan): string[] {
  const { store, isTrue, behindMs, lagP99Seconds, megabytesBefore, megabytesAfter } = report;
  return [
    `${leases} leases in a ${store} store, ${changesPerSecond} changes a second for ${seconds} s: ${isTrue ? "all of them" : "not all"} in force ${Math.round(behindMs)} ms after the last`,
    `event loop: p99 within ${lagP99Seconds * 1000} ms; resident memory ${megabytesBefore.toFixed(0)} MB, then ${megabytesAfter.toFixed(0)} MB`,
  ];
}
