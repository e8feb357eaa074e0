// Leases in etcd v3, in flannel's layout, so that hopsack and flannel hosts share one network. Acquire, renew and release
// are transactions that compare what they read; one etcd lease per host carries its key. The watch: etcd-watch.ts.
import { readFile } from "node:fs/promises";
import type { ICompare, IRequestOp } from "etcd3";
import { HopsackError, messageOf } from "../errors.js";
import { type Lease, type LeaseAttrs, type LeaseEvent, leaseKey, type TimedLease } from "../lease/lease.js";
import { formatLeaseAttrs } from "../lease/lease-json.js";
import { type NetworkConfig, parseNetworkConfig } from "../lease/network-config.js";
import type { SubnetPair } from "../lease/subnet-allocator.js";
import { EtcdClient, type KeyValue, NO_LEASE } from "./etcd-client.js";
import {
  configKey,
  type EtcdEntry,
  entryKey,
  holderOf,
  newLeaseId,
  readEntry,
  subnetsFolder,
  withNode,
} from "./etcd-entries.js";
import { describeEtcd, type EtcdSettings } from "./etcd-settings.js";
import { EtcdWatch } from "./etcd-watch.js";
import {
  decideAcquire,
  decideRelease,
  decideRenew,
  decideReserve,
  type LeaseTerms,
  leaseLost,
  type StoredLeases,
} from "./lease-rules.js";
import type { AcquireRequest, LeaseStore, Reservation } from "./lease-store.js";

export interface EtcdStoreOptions {
  /** Checked by etcd-settings.ts. */
  readonly settings: EtcdSettings;
  readonly leaseTtlSeconds: number;
  /** Read instead of the key `<prefix>/config`. */
  readonly netConfigPath: string | null;
  /** Gets one sentence for each entry that is skipped and each listing that is not believed. */
  readonly onWarning?: (message: string) => void;
  readonly onConfigChange?: () => void;
  /** How long leases stay in force that are suddenly all gone; default a minute: the time in which their hosts come back. */
  readonly graceMs?: number;
}

/** Each lost race means that somebody else got a subnet, so a network ends this before the limit does. */
const MAX_TRIES = 1000;
const GRACE_MS = 60_000;
/** The node of an administrator, who holds no lease. */
const NOBODY = "";

export class EtcdLeaseStore implements LeaseStore {
  readonly description: string;
  readonly #prefix: string;
  readonly #client: EtcdClient;
  readonly #watch: EtcdWatch;
  readonly #ttlSeconds: number;
  readonly #netConfigPath: string | null;
  readonly #closing = new AbortController();
  /** The etcd lease of this host, once it has one: it moves with the host to other keys. */
  #leaseId: string | null = null;
  #ownKey: string | null = null;

  /** Connects to nobody yet. @throws BAD_OPTION */
  constructor(options: EtcdStoreOptions) {
    const { settings } = options;
    this.description = describeEtcd(settings);
    this.#prefix = settings.prefix;
    this.#ttlSeconds = options.leaseTtlSeconds;
    this.#netConfigPath = options.netConfigPath;
    this.#client = new EtcdClient(settings);
    this.#watch = new EtcdWatch({
      client: this.#client,
      prefix: settings.prefix,
      graceMs: options.graceMs ?? GRACE_MS,
      onWarning: options.onWarning ?? (() => undefined),
      onConfigChange: options.onConfigChange ?? (() => undefined),
      isOwn: (key) => key === this.#ownKey,
    });
  }

  async readConfig(): Promise<NetworkConfig> {
    const path = this.#netConfigPath;
    if (path !== null) return parseNetworkConfig(await readConfigFile(path), path);
    const key = configKey(this.#prefix);
    const stored = await this.#client.get(key);
    if (stored !== undefined) return parseNetworkConfig(stored.value, `etcd key ${key}`);
    throw new HopsackError(
      "BAD_CONFIG",
      `etcd has no key ${key}; write the network configuration with: hopsack leases set-config FILE`,
      { retryable: true },
    );
  }

  async acquire(request: AcquireRequest): Promise<TimedLease> {
    try {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const lease = await this.#tryAcquire(request);
        if (lease !== null) return this.#own(lease);
      }
      throw contended(this.description, MAX_TRIES);
    } catch (error) {
      await this.#dropSpareLease();
      throw error;
    }
  }

  async renew(held: TimedLease, attrs = held.attrs): Promise<TimedLease> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const sentAt = Date.now();
      const entry = await this.#entryOf(held);
      const renewed = decideRenew(held, attrs, this.#storedLease(held, entry), this.#terms());
      if (entry === undefined) throw leaseLost(held, "is no longer in the store");
      const { keyValue } = entry;
      const expiresAt = await this.#prolong(held, keyValue.leaseId, sentAt);
      if (!(await this.#putAttrs(keyValue, attrs))) continue;
      if (this.#leaseId !== null && this.#leaseId !== keyValue.leaseId) await this.#revoke(this.#leaseId);
      return this.#own({ ...renewed, expiresAt }, keyValue.leaseId);
    }
    throw contended(this.description, MAX_TRIES);
  }

  async release(lease: TimedLease): Promise<void> {
    const entry = await this.#entryOf(lease);
    const rest = decideRelease(lease, this.#storedLease(lease, entry));
    if (entry === undefined || rest === undefined) return;
    const { keyValue } = entry;
    if (rest !== null) await this.#putAttrs(keyValue, rest.attrs);
    else if (holderOf(keyValue.leaseId, lease.attrs.node ?? NOBODY) === "own") await this.#revoke(keyValue.leaseId);
    else await this.#client.commit([unchanged(keyValue)], [removal(keyValue)]);
    this.#ownKey = null;
  }

  async list(): Promise<Lease[]> {
    return (await this.#entries()).flatMap(({ lease }) => lease ?? []);
  }

  watch(signal: AbortSignal, known: readonly Lease[] = []): AsyncIterable<LeaseEvent[]> {
    return this.#watch.run(known, AbortSignal.any([signal, this.#closing.signal]));
  }

  async writeConfig(text: string): Promise<void> {
    const key = configKey(this.#prefix);
    parseNetworkConfig(text, `etcd key ${key}`);
    await this.#client.commit([], [putOf(key, text, NO_LEASE)]);
  }

  async reserve(reservation: Reservation): Promise<void> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const entries = await this.#entries();
      const lease = decideReserve(reservation, this.#stored(entries, NOBODY), Date.now());
      const present = entryOf(entries, lease)?.keyValue;
      const key = entryKey(this.#prefix, lease);
      const put = putOf(key, formatLeaseAttrs(lease.attrs), NO_LEASE);
      if (!(await this.#client.commit([present === undefined ? absent(key) : unchanged(present)], [put]))) continue;
      if (present !== undefined) await this.#revokeOurs(present.leaseId);
      return;
    }
    throw contended(this.description, MAX_TRIES);
  }

  async remove(subnets: SubnetPair): Promise<boolean> {
    const keyValue = await this.#client.get(entryKey(this.#prefix, subnets));
    if (keyValue === undefined) return false;
    await this.#client.commit([], [removal(keyValue)]);
    await this.#revokeOurs(keyValue.leaseId);
    return true;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#client.close();
  }

  /** One listing, one decision, one transaction; null when somebody else was faster. */
  async #tryAcquire(request: AcquireRequest): Promise<TimedLease | null> {
    const { attrs } = request;
    const node = attrs.node ?? NOBODY;
    const sentAt = Date.now();
    const entries = await this.#entries();
    const decision = decideAcquire(request, this.#stored(entries, node), this.#terms());
    const present = entryOf(entries, decision.lease)?.keyValue;
    const leaseId = present?.leaseId === NO_LEASE ? NO_LEASE : await this.#leaseFor(present, node);
    if (leaseId === null) return null;

    const key = entryKey(this.#prefix, decision.lease);
    const value = formatLeaseAttrs(attrs);
    const obsolete = decision.remove.flatMap((lease) => entryOf(entries, lease)?.keyValue ?? []);
    const isAsItWas = present?.value === value && present.leaseId === leaseId;
    const put = putOf(key, value, leaseId);
    const guard = present === undefined ? absent(key) : unchanged(present);
    const isDone = await this.#client.commit(
      [guard, ...obsolete.map(unchanged)],
      [...(isAsItWas ? [] : [put]), ...obsolete.map(removal)],
    );
    if (!isDone) return null;
    const leftOver = [present, ...obsolete].flatMap((keyValue) => keyValue?.leaseId ?? []);
    for (const id of leftOver) if (id !== leaseId && holderOf(id, node) === "own") await this.#revoke(id);
    this.#leaseId = leaseId === NO_LEASE ? null : leaseId;
    const expiresAt = leaseId === NO_LEASE ? null : sentAt + this.#ttlSeconds * 1000;
    return { ...decision.lease, expiresAt };
  }

  /** The etcd lease that is there already if it lives as long as ours should, else the one we have, else a new one. */
  async #leaseFor(present: KeyValue | undefined, node: string): Promise<string | null> {
    for (const id of [present?.leaseId, this.#leaseId]) {
      if (id === undefined || id === null) continue;
      const secondsLeft = await this.#client.keepAlive(id);
      if (secondsLeft === this.#ttlSeconds) return id;
      if (secondsLeft === 0 && id === present?.leaseId) return null; // it is about to vanish
    }
    this.#leaseId = newLeaseId(node);
    await this.#client.grant(this.#leaseId, this.#ttlSeconds);
    return this.#leaseId;
  }

  /** An etcd lease that carries no key; one that cannot be revoked now serves the next acquire, or ends when its time is up. */
  async #dropSpareLease(): Promise<void> {
    if (this.#leaseId === null || this.#ownKey !== null) return;
    await this.#revoke(this.#leaseId).catch(() => undefined);
  }

  async #prolong(held: Lease, leaseId: string, sentAt: number): Promise<number | null> {
    if (leaseId === NO_LEASE) return null;
    const seconds = await this.#client.keepAlive(leaseId);
    if (seconds === 0) throw leaseLost(held, "has expired");
    return sentAt + seconds * 1000;
  }

  /** Whether the key holds these attributes now; false when it changed meanwhile. */
  async #putAttrs(keyValue: KeyValue, attrs: LeaseAttrs): Promise<boolean> {
    const value = formatLeaseAttrs(attrs);
    if (value === keyValue.value) return true;
    return this.#client.commit([unchanged(keyValue)], [putOf(keyValue.key, value, keyValue.leaseId)]);
  }

  /** Ends an etcd lease of ours, and with it the key that hangs on it. */
  async #revoke(leaseId: string): Promise<void> {
    if (leaseId === NO_LEASE) return;
    await this.#client.revoke(leaseId);
    if (leaseId === this.#leaseId) this.#leaseId = null;
  }

  /** An etcd lease that has lost its key, if a hopsack host made it; others may carry more than that key. */
  async #revokeOurs(leaseId: string): Promise<void> {
    if (leaseId !== NO_LEASE && holderOf(leaseId, NOBODY) !== "unknown") await this.#client.revoke(leaseId);
  }

  async #entries(): Promise<EtcdEntry[]> {
    const { keyValues } = await this.#client.list(subnetsFolder(this.#prefix));
    const oldestFirst = keyValues.toSorted((a, b) => a.createRevision - b.createRevision);
    return oldestFirst.map((keyValue) => readEntry(keyValue, this.#prefix));
  }

  async #entryOf(lease: SubnetPair): Promise<EtcdEntry | undefined> {
    const keyValue = await this.#client.get(entryKey(this.#prefix, lease));
    return keyValue === undefined ? undefined : readEntry(keyValue, this.#prefix);
  }

  /** What an entry says about our lease. A value that was damaged while its etcd lease is ours is still ours. */
  #storedLease(held: TimedLease, entry: EtcdEntry | undefined): Lease | undefined {
    if (entry === undefined) return undefined;
    const { keyValue, lease, fault } = entry;
    if (lease !== null) return withNode(lease, keyValue, held.attrs.node ?? NOBODY);
    if (keyValue.leaseId === this.#leaseId) return held;
    throw new HopsackError("BAD_LEASE", fault);
  }

  #stored(entries: readonly EtcdEntry[], node: string): StoredLeases {
    return {
      description: this.description,
      leases: entries.flatMap(({ lease, keyValue }) => (lease === null ? [] : withNode(lease, keyValue, node))),
      unreadable: entries.flatMap(({ lease, pair }) => (lease === null ? (pair ?? []) : [])),
    };
  }

  #own(lease: TimedLease, leaseId: string | null = this.#leaseId): TimedLease {
    this.#ownKey = leaseKey(lease);
    this.#leaseId = leaseId === NO_LEASE ? null : leaseId;
    return lease;
  }

  #terms(): LeaseTerms {
    return { nowMs: Date.now(), ttlMs: this.#ttlSeconds * 1000 };
  }
}

function unchanged({ key, modRevision }: KeyValue): ICompare {
  return { key: Buffer.from(key), target: "Mod", result: "Equal", mod_revision: modRevision };
}

function absent(key: string): ICompare {
  return { key: Buffer.from(key), target: "Version", result: "Equal", version: 0 };
}

function putOf(key: string, value: string, leaseId: string): IRequestOp {
  return { request_put: { key: Buffer.from(key), value: Buffer.from(value), lease: leaseId } };
}

function entryOf(entries: readonly EtcdEntry[], lease: SubnetPair): EtcdEntry | undefined {
  return entries.find(({ pair }) => pair !== null && leaseKey(pair) === leaseKey(lease));
}

function removal({ key }: KeyValue): IRequestOp {
  return { request_delete_range: { key: Buffer.from(key) } };
}

function contended(description: string, tries: number): HopsackError {
  const sentence = `${description} changed during each of ${tries} tries to write to it; look for a host that writes without end`;
  return new HopsackError("STORE_UNAVAILABLE", sentence, { retryable: true });
}

async function readConfigFile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const cure = "create it or name another file with --net-config";
    throw new HopsackError("BAD_CONFIG", `${path} cannot be read (${messageOf(error)}); ${cure}`, { cause: error });
  }
}
