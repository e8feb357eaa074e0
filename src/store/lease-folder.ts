// One folder of lease files, `<key>.json` each: reads, writes, removes. Knows nothing of locks, expiry or who owns what;
// store/file.ts does.
import { mkdir, readdir, readFile, rm, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, HopsackError, messageOf } from "../errors.js";
import { leaseKey, type TimedLease } from "../lease/lease.js";
import { formatLeaseFile, parseLeaseFile } from "../lease/lease-json.js";
import { replaceFile } from "../lease/replace-file.js";
import type { SubnetPair } from "../lease/subnet-allocator.js";
import { parseLeaseKey } from "./keys.js";

export interface FolderListing {
  readonly leases: readonly TimedLease[];
  /** Subnets of files that cannot be read as a lease. */
  readonly unreadable: readonly SubnetPair[];
  /** One sentence for each file that was skipped. */
  readonly faults: readonly string[];
}

const FOLDER_MODE = 0o755;
const FILE_MODE = 0o644;
const SUFFIX = ".json";
const TEMPORARY = /^\..*\.tmp$/;
/** A lease takes some hundred bytes; whatever is larger is none. */
const LEASE_FILE_LIMIT_BYTES = 65_536;
/** statfs(2)'s f_type of file systems that this machine alone writes to: ext, XFS, Btrfs, tmpfs, overlayfs, F2FS, ZFS. */
const LOCAL_FILE_SYSTEMS: readonly number[] = [
  0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0xf2f52010, 0x2fc12fc1,
];
/** A folder that changed twice within a tick of the kernel's clock looks as if it had changed once; nothing ticks as slowly as this. */
const SETTLED_AFTER_MS = 1000;
/** inotify keeps 16,384 events that nobody has read yet, and says nothing of what was too much; a file that is replaced makes five. */
const HEARD_FILES_LIMIT = 3000;
/** Open at the same time. */
const FILES_AT_ONCE = 100;
const NANOSECONDS_PER_MS = 1_000_000n;
/** Errors that do not pass by waiting. */
const LASTING_ERRNOS = ["EACCES", "EPERM", "EROFS", "ENOTDIR", "EEXIST", "ENAMETOOLONG", "ELOOP"];

/** What a failed file operation means to the user; keeps an error that is one of ours already. */
export function unavailable(error: unknown, path: string): unknown {
  const errno = errnoOf(error);
  if (error instanceof HopsackError || errno === undefined) return error;
  const cure = "run as root on a writable file system, or choose another folder with --store file:DIR";
  return new HopsackError("STORE_UNAVAILABLE", `${path} cannot be used (${messageOf(error)}); ${cure}`, {
    retryable: !LASTING_ERRNOS.includes(errno),
    cause: error,
  });
}

/** A file of the folder: its lease, or why there is none. */
interface LeaseFile {
  readonly pair: SubnetPair | null;
  readonly lease: TimedLease | null;
  readonly fault: string | null;
}

export class LeaseFolder {
  readonly path: string;
  /** By name, as they were last read. */
  #files = new Map<string, LeaseFile>();
  /** When a file had come or gone last before all was read, by the kernel's clock; null: nobody knows. */
  #changedAt: bigint | null = null;
  /** Ends with the reading under way: what was read later is not to be overwritten by what was read before. */
  #reading: Promise<unknown> = Promise.resolve();

  constructor(path: string) {
    this.path = path;
  }

  async create(): Promise<void> {
    await mkdir(this.path, { recursive: true, mode: FOLDER_MODE });
  }

  /** Every readable lease; a folder that is not there yet holds none. */
  list(): Promise<FolderListing> {
    return this.#serially(() => this.#readAll());
  }

  /**
   * The same, for who hears of changes (inotify). Only `changed` files are read again; unless `isAllHeard` there may be others, so all
   * are, but where the folder is this machine's own and no file came or went unheard.
   */
  refresh(changed: ReadonlySet<string>, isAllHeard: boolean): Promise<FolderListing> {
    return this.#serially(async () => {
      const changedAt = await this.#lastChange();
      const isUnchanged = changedAt !== null && changedAt === this.#changedAt;
      if (!isAllHeard && !isUnchanged) return this.#readAll();
      for (const name of changed) if (isLeaseName(name)) await this.#readAgain(name);
      this.#changedAt = changed.size < HEARD_FILES_LIMIT ? changedAt : null;
      return this.#listing();
    });
  }

  /** The stored lease of the same key, undefined when there is none. @throws BAD_LEASE when it cannot be read */
  async get(pair: SubnetPair): Promise<TimedLease | undefined> {
    const result = await this.#read(`${leaseKey(pair)}${SUFFIX}`);
    if (result?.lease === null) throw new HopsackError("BAD_LEASE", result.fault ?? `${this.path} holds no such lease`);
    return result?.lease;
  }

  async put(lease: TimedLease): Promise<void> {
    await replaceFile(this.#pathOf(lease), formatLeaseFile(lease), FILE_MODE);
  }

  async remove(pair: SubnetPair): Promise<void> {
    await rm(this.#pathOf(pair), { force: true });
  }

  /** Removes what a killed writer left half written; only while holding the lock. */
  async removeTemporaries(): Promise<void> {
    for (const name of await readdir(this.path)) {
      if (TEMPORARY.test(name)) await rm(join(this.path, name), { force: true });
    }
  }

  async #readAll(): Promise<FolderListing> {
    const changedAt = await this.#lastChange();
    const isSettled = changedAt !== null && Date.now() - Number(changedAt / NANOSECONDS_PER_MS) > SETTLED_AFTER_MS;
    // A file just being replaced may be missing from a listing.
    const names = new Set([...(await this.#names()), ...this.#files.keys()]);
    const files = new Map<string, LeaseFile>();
    const rest = [...names].sort();
    while (rest.length > 0) {
      const some = rest.splice(0, FILES_AT_ONCE);
      const read = await Promise.all(some.map((name) => this.#read(name)));
      for (const [index, name] of some.entries()) {
        const file = read[index] ?? null;
        if (file !== null) files.set(name, file);
      }
    }
    this.#files = files;
    this.#changedAt = isSettled ? changedAt : null;
    return this.#listing();
  }

  async #readAgain(name: string): Promise<void> {
    const file = await this.#read(name);
    if (file === null) this.#files.delete(name);
    else this.#files.set(name, file);
  }

  #listing(): FolderListing {
    const files = [...this.#files.values()];
    return {
      leases: files.flatMap(({ lease }) => lease ?? []),
      unreadable: files.flatMap(({ lease, pair }) => (lease === null ? (pair ?? []) : [])),
      faults: files.flatMap(({ fault }) => fault ?? []),
    };
  }

  /** Nanoseconds since the epoch; null where that does not tell whether a file came or went. */
  async #lastChange(): Promise<bigint | null> {
    try {
      const { type } = await statfs(this.path);
      const { ctimeNs } = await stat(this.path, { bigint: true });
      return LOCAL_FILE_SYSTEMS.includes(type) ? ctimeNs : null;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return null;
      throw error;
    }
  }

  async #names(): Promise<string[]> {
    try {
      return (await readdir(this.path)).filter(isLeaseName);
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return [];
      throw error;
    }
  }

  /** null when the file is gone. */
  async #read(name: string): Promise<LeaseFile | null> {
    const path = join(this.path, name);
    const pair = parseLeaseKey(name.slice(0, -SUFFIX.length)) ?? null;
    try {
      const text = await readLeaseText(path);
      if (pair === null)
        throw new HopsackError("BAD_LEASE", `${path} is not named after a subnet; remove or rename it`);
      return { pair, lease: parseLeaseFile(text, path, pair), fault: null };
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return null;
      const fault = error instanceof HopsackError ? error.message : `${path} cannot be read (${messageOf(error)})`;
      return { pair, lease: null, fault };
    }
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#reading.then(work);
    this.#reading = result.catch(() => {}); // whoever called gets the error
    return result;
  }

  #pathOf(pair: SubnetPair): string {
    return join(this.path, `${leaseKey(pair)}${SUFFIX}`);
  }
}

function isLeaseName(name: string): boolean {
  return name.endsWith(SUFFIX) && !name.startsWith(".");
}

async function readLeaseText(path: string): Promise<string> {
  const text = await readFile(path, "utf8");
  if (text.length <= LEASE_FILE_LIMIT_BYTES) return text;
  throw new HopsackError("BAD_LEASE", `${path} is larger than any lease; repair or remove it`);
}
