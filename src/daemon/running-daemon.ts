// The daemon once it holds a lease: loops that never give up. Each waits for its own kind of news, and all of them end in one
// place: applyChanges() makes plan and kernel follow what is known.
import type { Underlay } from "../backend/backend.js";
import { HopsackError } from "../errors.js";
import { type Lease, type LeaseEvent, leaseKey, subnetsOf, type TimedLease } from "../lease/lease.js";
import { LeaseTable } from "../lease/lease-table.js";
import type { NetworkConfig } from "../lease/network-config.js";
import { fitsConfig } from "../lease/subnet-allocator.js";
import { leaseLost } from "../store/lease-rules.js";
import type { LeaseStore } from "../store/lease-store.js";
import { Bell } from "./bell.js";
import type { Context } from "./context.js";
import type { Forwarding, Setting } from "./forwarding.js";
import type { LeaseCache } from "./lease-cache.js";
import { keepLease } from "./lease-keeper.js";
import { failure } from "./log.js";
import type { PolicyWatch } from "./policy-watch.js";
import { Prober } from "./prober.js";
import { noteStoreHeard, noteStoreLost, type WarningTopic } from "./state.js";
import { isOutside, isRetryable, Trouble } from "./trouble.js";

/** After each plan a pause of half the time it took, within these bounds: however many changes, others get their turn. */
const SHORTEST_APPLY_PAUSE_MS = 5;
const LONGEST_APPLY_PAUSE_MS = 1000;
/** Addresses and routes change in several steps; the first of them is no reason to move. */
const HOST_SETTLE_MS = 200;
/** How often what is kept on disk is written at most (and whenever the store is lost), and said to be still true at least. */
const CACHE_PAUSE_MS = 5000;
const CACHE_TOUCH_MS = 60_000;

export interface RunningParts extends Context {
  readonly store: LeaseStore;
  readonly storeTrouble: Trouble;
  readonly cache: LeaseCache;
  readonly forwarding: Forwarding;
  readonly policy: PolicyWatch;
  /** @throws NO_INTERFACE, NO_ADDRESS */
  readonly findUnderlay: () => Underlay;
}

/** The configuration with --backend applied; the configured backend's own options mean nothing to another one. */
export function chosenConfig(config: NetworkConfig, backendType: string | null): NetworkConfig {
  const type = backendType?.toLowerCase() ?? config.backend.type;
  return type === config.backend.type ? config : { ...config, backend: { type, options: {} } };
}

export class RunningDaemon {
  readonly #parts: RunningParts;
  readonly #table = new LeaseTable();
  #lease: TimedLease;
  /** What forwarding is to be made for; it follows in applyChanges(). */
  #setting: Setting;
  readonly #cacheNews = new Bell();
  readonly #cacheTrouble: Trouble;
  readonly #prober: Prober;
  #isReleased = false;

  constructor(parts: RunningParts, own: TimedLease) {
    this.#parts = parts;
    this.#lease = own;
    this.#setting = parts.forwarding.setting;
    this.#cacheTrouble = this.#trouble("cache");
    const { clock, openProbeSocket } = parts.world;
    this.#prober = new Prober({ clock, openSocket: openProbeSocket, trouble: this.#trouble("probe") });
    parts.state.readReach = (peer) => this.#prober.reachOf(peer);
    parts.state.readProbeAddress = () => this.#prober.address;
    this.#noteLease("lease_acquired", own);
  }

  /** The first plan, with every peer that is known already. */
  async startForwarding(leases: readonly Lease[]): Promise<void> {
    this.#table.apply(leases.map((lease) => ({ kind: "added", lease })));
    await this.#forward();
  }

  /** Ends by the signal, or by a bug in one of the loops, which ends all of them. */
  async run(signal: AbortSignal): Promise<void> {
    const ending = new AbortController();
    const both = AbortSignal.any([signal, ending.signal]);
    const loops = [
      this.#watchLeases(both),
      this.#holdLease(both),
      this.#applyChanges(both),
      this.#followHost(both),
      this.#followConfig(both),
      this.#keepCache(both),
      this.#prober.run(both),
      this.#parts.policy.run(both),
    ];
    try {
      await Promise.all(loops);
    } finally {
      ending.abort();
      await Promise.allSettled(loops);
    }
  }

  /** The packets first: from the release on, the subnet may be another host's. */
  async giveUpSubnet(): Promise<void> {
    const { forwarding, options, store, cache, log, state } = this.#parts;
    forwarding.closePump();
    if (options.keepLease) return;
    this.#isReleased = true;
    // An answer that is late or lost leaves open whether the subnet is ours: then a start waits for the store.
    if (state.isStoreConnected) await this.#attempt(this.#cacheTrouble, () => cache.remove());
    await store.release(this.#lease);
    log.info({ lease: leaseKey(this.#lease) }, "lease_released");
    await this.#attempt(this.#cacheTrouble, () => cache.remove());
  }

  /** Learns what the other hosts hold. When the store is gone, what is known stays in force until it comes back. */
  async #watchLeases(signal: AbortSignal): Promise<void> {
    const { store, storeTrouble, state, bells, world } = this.#parts;
    for (;;) {
      let isFirst = true;
      try {
        for await (const batch of store.watch(signal, this.#table.list())) {
          storeTrouble.over();
          noteStoreHeard(state, world.clock.now());
          if (isFirst) bells.config.ring();
          isFirst = false;
          this.#learn(batch);
        }
        signal.throwIfAborted();
        throw new HopsackError("STORE_UNAVAILABLE", `${store.description} ended the watch`, { retryable: true });
      } catch (error) {
        if (signal.aborted || !isOutside(error)) throw error;
        noteStoreLost(state, world.clock.now());
        await this.#attempt(this.#cacheTrouble, () => this.#writeCache());
        await storeTrouble.pause(error, signal);
      }
    }
  }

  #learn(batch: readonly LeaseEvent[]): void {
    const { bells, log } = this.#parts;
    const changes = this.#table.apply(batch);
    if (!this.#isOwnLeaseKnown()) bells.doubt.ring();
    if (changes.length === 0) return;
    log.debug({ changes: changes.length, leases: this.#table.size }, "leases_changed");
    bells.changed.ring();
    this.#cacheNews.ring();
  }

  /** Whether the store, as far as we know it, shows our lease as ours. */
  #isOwnLeaseKnown(): boolean {
    const { publicIp, node } = this.#lease.attrs;
    const shown = this.#table.get(leaseKey(this.#lease))?.attrs;
    return shown?.publicIp === publicIp && (shown.node === null || shown.node === node);
  }

  /** Renews the own lease in time; when it is lost, takes another one and moves to it. */
  async #holdLease(signal: AbortSignal): Promise<void> {
    const { options, world, bells, log, store } = this.#parts;
    const trouble = this.#trouble("lease");
    for (;;) {
      const lost = await keepLease({
        lease: this.#lease,
        renew: (held) => this.#renew(held),
        renewMarginMinutes: options.renewMarginMinutes,
        clock: world.clock,
        doubt: bells.doubt,
        signal,
        onRenewed: (lease) => {
          trouble.over();
          this.#noteLease("lease_renewed", lease);
          bells.changed.ring(); // what is published may be new
        },
        onFailure: (error) => trouble.note(error),
      });
      log.warn(failure(lost), "lease_lost");
      const lease = await trouble.persist(signal, isOutside, () => store.acquire(this.#acquireRequest()));
      this.#noteLease("lease_acquired", lease);
      bells.changed.ring();
    }
  }

  async #renew(held: TimedLease): Promise<TimedLease> {
    if (!fitsConfig(this.#setting.config, held))
      throw leaseLost(held, "does not fit the network configuration any more");
    return this.#parts.store.renew(held, this.#parts.forwarding.leaseAttrs());
  }

  #acquireRequest() {
    return { config: this.#setting.config, attrs: this.#parts.forwarding.leaseAttrs(), previous: this.#lease };
  }

  /** Brings device, kernel and forwarding table to what is known now. */
  async #applyChanges(signal: AbortSignal): Promise<void> {
    const { world, bells, log, state } = this.#parts;
    const trouble = this.#trouble("forwarding");
    for (;;) {
      await bells.changed.wait(signal);
      const startedAt = performance.now();
      const isChanged = await trouble.persist(signal, isOutside, () => this.#apply());
      const milliseconds = performance.now() - startedAt;
      if (isChanged) {
        state.tallies.forwardingUpdates++;
        state.tallies.forwardingUpdateSeconds += milliseconds / 1000;
        log.info({ peers: state.peers.length, milliseconds: Math.round(milliseconds) }, "forwarding_updated");
      }
      const pauseMs = Math.min(Math.max(milliseconds / 2, SHORTEST_APPLY_PAUSE_MS), LONGEST_APPLY_PAUSE_MS);
      await world.clock.sleep(pauseMs, signal);
    }
  }

  async #apply(): Promise<boolean> {
    const { forwarding, bells, log, service } = this.#parts;
    if (!forwarding.isSame(forwarding.setting, this.#setting)) service.reloading();
    if (await forwarding.adopt(this.#setting)) {
      const { underlay } = this.#setting;
      log.info({ backend: this.#parts.state.backendType, ...underlay }, "setting_changed");
      bells.doubt.ring(); // the others are told by a renewal
    }
    const isChanged = await this.#forward();
    service.reloaded();
    return isChanged;
  }

  async #forward(): Promise<boolean> {
    const { forwarding, options, state } = this.#parts;
    const isChanged = await forwarding.apply(this.#lease, this.#table.list());
    const addressOf = (lease: Lease) => (options.probePeers ? forwarding.probeAddress(lease) : null);
    state.probeAddressOf = addressOf;
    this.#prober.follow({ ownAddress: addressOf(this.#lease), peers: state.peers, addressOf });
    return isChanged;
  }

  /** Another address, interface or MTU (DHCP, roaming): moves there. With none at all, the last one stays in force. */
  async #followHost(signal: AbortSignal): Promise<void> {
    const { bells, world, findUnderlay } = this.#parts;
    const trouble = this.#trouble("underlay");
    for (;;) {
      await bells.host.wait(signal);
      await world.clock.sleep(HOST_SETTLE_MS, signal);
      await this.#attempt(trouble, () => this.#want({ ...this.#setting, underlay: findUnderlay() }));
    }
  }

  /** Another mode or network: moves to it. With none that can be used, the last one stays in force. */
  async #followConfig(signal: AbortSignal): Promise<void> {
    const { bells, store, options } = this.#parts;
    const trouble = this.#trouble("config");
    for (;;) {
      await bells.config.wait(signal);
      const config = await trouble
        .persist(signal, isRetryable, () => store.readConfig())
        .catch((error: unknown) => {
          if (signal.aborted || !isOutside(error)) throw error;
          trouble.note(error);
          return null;
        });
      if (config === null) continue;
      await this.#attempt(trouble, () =>
        this.#want({ ...this.#setting, config: chosenConfig(config, options.backendType) }),
      );
    }
  }

  /** @throws what speaks against the setting on this host */
  #want(setting: Setting): void {
    const { forwarding, bells } = this.#parts;
    const isSame = forwarding.isSame(setting, this.#setting);
    if (!isSame) forwarding.check(setting, subnetsOf(this.#lease));
    this.#setting = setting;
    if (isSame) return;
    bells.changed.ring();
    this.#cacheNews.ring();
  }

  /** Does what only other news can cure. */
  async #attempt(trouble: Trouble, work: () => void | Promise<void>): Promise<void> {
    try {
      await work();
      trouble.over();
    } catch (error) {
      if (!isOutside(error)) throw error;
      trouble.note(error);
    }
  }

  /** Keeps on disk what is known, for a start while the store is away. */
  async #keepCache(signal: AbortSignal): Promise<void> {
    const { world } = this.#parts;
    for (;;) {
      await this.#attempt(this.#cacheTrouble, () => this.#writeCache());
      await world.clock.sleep(CACHE_PAUSE_MS, signal);
      await this.#cacheNews.within(CACHE_TOUCH_MS, world.clock, signal);
    }
  }

  async #writeCache(): Promise<void> {
    const { cache, store } = this.#parts;
    if (this.#isReleased) return;
    const { config } = this.#setting;
    await cache.write({ store: store.description, config, own: this.#lease, leases: this.#table.list() });
  }

  #noteLease(event: "lease_acquired" | "lease_renewed", lease: TimedLease): void {
    this.#lease = lease;
    this.#parts.state.lease = lease;
    this.#cacheNews.ring();
    const expiresAt = lease.expiresAt === null ? null : new Date(lease.expiresAt).toISOString();
    this.#parts.log.info({ lease: leaseKey(lease), publicIp: lease.attrs.publicIp, expiresAt }, event);
  }

  #trouble(topic: WarningTopic): Trouble {
    const { state, log, world } = this.#parts;
    return new Trouble(topic, state, log, world.clock);
  }
}
