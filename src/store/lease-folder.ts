// One folder of lease files, `<key>.json` each: reads, writes, removes. Knows nothing of locks, expiry or who owns what;
// store/file.ts does.
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
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

export class LeaseFolder {
  readonly path: string;
  /** Names of the last listing: a file just being replaced may be missing from the next one. */
  #seen: readonly string[] = [];

  constructor(path: string) {
    this.path = path;
  }

  async create(): Promise<void> {
    await mkdir(this.path, { recursive: true, mode: FOLDER_MODE });
  }

  /** Every readable lease; a folder that is not there yet holds none. */
  async list(): Promise<FolderListing> {
    const names = new Set([...(await this.#names()), ...this.#seen]);
    const results = await Promise.all([...names].sort().map((name) => this.#read(name)));
    const found = results.filter((result) => result !== null);
    this.#seen = found.map((result) => result.name);
    return {
      leases: found.flatMap(({ lease }) => lease ?? []),
      unreadable: found.flatMap(({ lease, pair }) => (lease === null ? (pair ?? []) : [])),
      faults: found.flatMap(({ fault }) => fault ?? []),
    };
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

  async #names(): Promise<string[]> {
    try {
      const names = await readdir(this.path);
      return names.filter((name) => name.endsWith(SUFFIX) && !name.startsWith("."));
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return [];
      throw error;
    }
  }

  /** One file: its lease, or why there is none; null when the file is gone. */
  async #read(
    name: string,
  ): Promise<{ name: string; pair: SubnetPair | null; lease: TimedLease | null; fault: string | null } | null> {
    const path = join(this.path, name);
    const pair = parseLeaseKey(name.slice(0, -SUFFIX.length)) ?? null;
    if (pair === null) {
      return { name, pair, lease: null, fault: `${path} is not named after a subnet; remove or rename it` };
    }
    try {
      return { name, pair, lease: parseLeaseFile(await readLeaseText(path), path, pair), fault: null };
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return null;
      const fault = error instanceof HopsackError ? error.message : `${path} cannot be read (${messageOf(error)})`;
      return { name, pair, lease: null, fault };
    }
  }

  #pathOf(pair: SubnetPair): string {
    return join(this.path, `${leaseKey(pair)}${SUFFIX}`);
  }
}

async function readLeaseText(path: string): Promise<string> {
  const text = await readFile(path, "utf8");
  if (text.length <= LEASE_FILE_LIMIT_BYTES) return text;
  throw new HopsackError("BAD_LEASE", `${path} is larger than any lease; repair or remove it`);
}
