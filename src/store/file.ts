// The embedded store: a folder on one machine or a shared mount. `config.json` is the network configuration,
// `subnets/<key>.json` one lease each, `lock` makes read-decide-write one step. People may edit any of it with an editor.
import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { loadAddon } from "../addon.js";
import { errnoOf, HopsackError } from "../errors.js";
import { type Lease, type LeaseEvent, leaseKey, type TimedLease } from "../lease/lease.js";
import { type NetworkConfig, parseNetworkConfig } from "../lease/network-config.js";
import { replaceFile } from "../lease/replace-file.js";
import type { SubnetPair } from "../lease/subnet-allocator.js";
import { type Clock, systemClock } from "./clock.js";
import { type TryLockFile, withFileLock } from "./file-lock.js";
import { watchFolder } from "./folder-watch.js";
import { type FolderListing, LeaseFolder, unavailable } from "./lease-folder.js";
import {
  decideAcquire,
  decideRelease,
  decideRenew,
  decideReserve,
  isLive,
  type LeaseTerms,
  type StoredLeases,
} from "./lease-rules.js";
import type { AcquireRequest, LeaseStore, Reservation } from "./lease-store.js";
import { watchSnapshots } from "./snapshot-watch.js";
import { StandingWarnings } from "./warnings.js";

export interface FileStoreOptions {
  readonly folder: string;
  readonly leaseTtlSeconds: number;
  /** Read instead of the folder's config.json. */
  readonly netConfigPath: string | null;
  /** Gets one sentence for each lease file that is skipped. */
  readonly onWarning?: (message: string) => void;
  readonly onConfigChange?: () => void;
  readonly clock?: Clock;
  readonly tryLockFile?: TryLockFile;
}

/** Shared mounts deliver no inotify events for what other machines write. */
const RELIST_MS = 10_000;
const CONFIG_MODE = 0o644;

export class FileLeaseStore implements LeaseStore {
  readonly description: string;
  readonly #configPath: string;
  readonly #root: string;
  readonly #leases: LeaseFolder;
  readonly #ttlMs: number;
  readonly #clock: Clock;
  readonly #tryLockFile: TryLockFile;
  readonly #onWarning: (message: string) => void;
  readonly #onConfigChange: () => void;
  readonly #warnings: StandingWarnings;
  readonly #watchWarnings: StandingWarnings;
  readonly #closing = new AbortController();
  /** The last listing by key: a lease whose file is damaged afterwards stays as it was until it expires. */
  #known = new Map<string, TimedLease>();

  constructor(options: FileStoreOptions) {
    this.description = `file:${options.folder}`;
    this.#root = options.folder;
    this.#configPath = options.netConfigPath ?? join(options.folder, "config.json");
    this.#leases = new LeaseFolder(join(options.folder, "subnets"));
    this.#ttlMs = options.leaseTtlSeconds * 1000;
    this.#clock = options.clock ?? systemClock;
    this.#tryLockFile = options.tryLockFile ?? ((fd) => loadAddon().tryLockFile(fd));
    this.#onWarning = options.onWarning ?? (() => undefined);
    this.#onConfigChange = options.onConfigChange ?? (() => undefined);
    this.#warnings = new StandingWarnings(this.#onWarning);
    this.#watchWarnings = new StandingWarnings(this.#onWarning);
  }

  async readConfig(): Promise<NetworkConfig> {
    const path = this.#configPath;
    const text = await readFile(path, "utf8").catch((error: unknown) => {
      if (errnoOf(error) !== "ENOENT") throw unavailable(error, path);
      const cure = 'write {"Network": "10.244.0.0/16"} there, or name another file with --net-config';
      throw new HopsackError("BAD_CONFIG", `there is no network configuration at ${path}; ${cure}`, { cause: error });
    });
    return parseNetworkConfig(text, path);
  }

  acquire(request: AcquireRequest): Promise<TimedLease> {
    return this.#exclusively(async () => {
      await this.#leases.removeTemporaries();
      const { lease, remove } = decideAcquire(request, await this.#everything(), this.#terms());
      await this.#leases.put(lease);
      for (const gone of remove) await this.#leases.remove(gone);
      return lease;
    });
  }

  renew(held: TimedLease, attrs = held.attrs): Promise<TimedLease> {
    return this.#exclusively(async () => {
      const renewed = decideRenew(held, attrs, await this.#stored(held), this.#terms());
      await this.#leases.put(renewed);
      return renewed;
    });
  }

  release(lease: TimedLease): Promise<void> {
    return this.#exclusively(async () => {
      const rest = decideRelease(lease, await this.#stored(lease));
      if (rest === null) await this.#leases.remove(lease);
      else if (rest !== undefined) await this.#leases.put(rest);
    });
  }

  list(): Promise<Lease[]> {
    return this.#live(() => this.#leases.list());
  }

  watch(signal: AbortSignal, known: readonly Lease[] = []): AsyncIterable<LeaseEvent[]> {
    let changed = new Set<string>();
    let isAllHeard = false;
    const source = {
      list: () => {
        const heard = { changed, isAll: isAllHeard };
        changed = new Set();
        isAllHeard = true;
        return this.#live(() => this.#leases.refresh(heard.changed, heard.isAll));
      },
      subscribe: (onChange: () => void) => {
        isAllHeard = false; // beside what was heard and not read yet
        return this.#subscribe((name) => {
          if (name === null) isAllHeard = false;
          else changed.add(name);
          onChange();
        });
      },
      clock: this.#clock,
      relistMs: RELIST_MS,
    };
    return watchSnapshots(source, [signal, this.#closing.signal], known);
  }

  async #live(look: () => Promise<FolderListing>): Promise<Lease[]> {
    try {
      const { leases, unreadable, faults } = await look();
      this.#warnings.update(faults);
      const damaged = unreadable.flatMap((pair) => this.#known.get(leaseKey(pair)) ?? []);
      const live = [...leases, ...damaged].filter((lease) => isLive(lease, this.#clock.now()));
      this.#known = new Map(live.map((lease) => [leaseKey(lease), lease]));
      return live;
    } catch (error) {
      throw unavailable(error, this.#leases.path);
    }
  }

  writeConfig(text: string): Promise<void> {
    return this.#exclusively(async () => {
      const path = join(this.#root, "config.json");
      parseNetworkConfig(text, path);
      await replaceFile(path, text, CONFIG_MODE);
    });
  }

  reserve(reservation: Reservation): Promise<void> {
    return this.#exclusively(async () => {
      await this.#leases.put(decideReserve(reservation, await this.#everything(), this.#clock.now()));
    });
  }

  remove(subnets: SubnetPair): Promise<boolean> {
    return this.#exclusively(async () => {
      const { leases, unreadable } = await this.#everything();
      const held = [...leases.filter((lease) => isLive(lease, this.#clock.now())), ...unreadable].map(leaseKey);
      await this.#leases.remove(subnets);
      return held.includes(leaseKey(subnets));
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  /** @param onChange gets the name of the lease file; null: any of them may have changed */
  async #subscribe(onChange: (name: string | null) => void): Promise<() => void> {
    await this.#createFolder();
    this.#onConfigChange(); // a mount that delivers no events may have hidden a change
    const isLeaseFile = (name: string | null): boolean => name === null || !name.startsWith(".");
    const onWarning = (message: string): void => this.#watchWarnings.update([message]);
    const isConfig = (name: string | null): boolean =>
      (name ?? basename(this.#configPath)) === basename(this.#configPath);
    const stops = [
      watchFolder(this.#leases.path, (name) => isLeaseFile(name) && onChange(name), onWarning),
      watchFolder(dirname(this.#configPath), (name) => isConfig(name) && this.#onConfigChange(), onWarning),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }

  async #everything(): Promise<StoredLeases> {
    const { leases, unreadable, faults } = await this.#leases.list();
    this.#warnings.update(faults);
    return { description: this.description, leases, unreadable };
  }

  /**
   * The stored lease of our own key. When its file was damaged while the lease was running, nobody else can have taken
   * it: the lease counts as stored, and the next write repairs the file.
   */
  async #stored(lease: TimedLease): Promise<TimedLease | undefined> {
    try {
      return await this.#leases.get(lease);
    } catch (error) {
      if (!(error instanceof HopsackError) || !isLive(lease, this.#clock.now())) throw error;
      this.#onWarning(`${error.message} (this host still holds ${leaseKey(lease)})`);
      return lease;
    }
  }

  async #exclusively<T>(work: () => Promise<T>): Promise<T> {
    await this.#createFolder();
    try {
      return await withFileLock(join(this.#root, "lock"), this.#tryLockFile, this.#closing.signal, work);
    } catch (error) {
      if (!this.#closing.signal.aborted) throw unavailable(error, this.#root);
      throw new HopsackError("STORE_UNAVAILABLE", `${this.description} was closed`, { cause: error });
    }
  }

  async #createFolder(): Promise<void> {
    await this.#leases.create().catch((error: unknown) => {
      throw unavailable(error, this.#leases.path);
    });
  }

  #terms(): LeaseTerms {
    return { nowMs: this.#clock.now(), ttlMs: this.#ttlMs };
  }
}
