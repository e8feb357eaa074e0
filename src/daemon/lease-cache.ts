// What the store said last, kept on disk: a daemon that is restarted while the store is away forwards with it. Written by the
// running daemon, read once at start.
import { readFile, rm, stat, utimes } from "node:fs/promises";
import { errnoOf, messageOf } from "../errors.js";
import { type Expiry, type Lease, leaseKey, type TimedLease } from "../lease/lease.js";
import { formatLeaseAttrs, parseLeaseAttrs } from "../lease/lease-json.js";
import { formatNetworkConfig, type NetworkConfig, parseNetworkConfig } from "../lease/network-config.js";
import { replaceFile } from "../lease/replace-file.js";
import { parseLeaseKey } from "../store/keys.js";

export interface CachedLeases {
  /** The store's own description: another store's leases are of no use. */
  readonly store: string;
  readonly config: NetworkConfig;
  readonly own: TimedLease;
  /** The own one included or not. */
  readonly leases: readonly Lease[];
}

interface Entry {
  readonly key: string;
  /** flannel's JSON, as text. */
  readonly attrs: string;
  readonly node: string | null;
  readonly expiresAt: Expiry | null;
}

interface Contents {
  readonly version: number;
  readonly store: string;
  readonly config: string;
  readonly own: Entry;
  readonly leases: readonly Entry[];
}

const VERSION = 1;
const FILE_MODE = 0o600;

export class LeaseCache {
  readonly #path: string;
  readonly #entryTexts = new WeakMap<Lease, string>();
  #text = "";
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * What was kept of `store` by `node`, with its age in milliseconds; null when there is nothing of use: another store's or host's,
   * or an own lease that has ended. `fault`: why a file that is there cannot be read.
   */
  async read(
    store: string,
    node: string,
    now: number,
  ): Promise<{ cached: CachedLeases | null; ageMs: number; fault: string | null }> {
    const nothing = { cached: null, ageMs: 0, fault: null };
    try {
      const cached = parse(await readFile(this.#path, "utf8"), this.#path);
      const { mtimeMs } = await stat(this.#path);
      const isUsable = cached?.store === store && cached.own.attrs.node === node && !hasEnded(cached.own, now);
      return isUsable ? { cached, ageMs: Math.max(0, now - mtimeMs), fault: null } : nothing;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return nothing;
      return { ...nothing, fault: `${this.#path} is not used: ${messageOf(error)}` };
    }
  }

  /** Keeps the leases if they changed; else says that they are still true. Calls follow each other, however they come. */
  write(cached: CachedLeases): Promise<void> {
    const done = this.#writing.then(() => this.#write(cached));
    this.#writing = done.catch(() => undefined);
    return done;
  }

  async #write(cached: CachedLeases): Promise<void> {
    const text = this.#format(cached);
    const isKept = text === this.#text;
    this.#text = ""; // a file that cannot be touched, because somebody removed it, is written the next time
    if (isKept) await utimes(this.#path, new Date(), new Date());
    else await replaceFile(this.#path, text, FILE_MODE);
    this.#text = text;
  }

  /** Thousands of leases of which few changed: each is formatted once. */
  #format({ store, config, own, leases }: CachedLeases): string {
    const head = { version: VERSION, store, config: formatNetworkConfig(config) };
    const entries = leases.map((lease) => this.#entryText(lease)).join(",\n");
    return `${JSON.stringify(head).slice(0, -1)},"own":${this.#entryText(own)},"leases":[\n${entries}\n]}\n`;
  }

  #entryText(lease: Lease): string {
    const known = this.#entryTexts.get(lease);
    if (known !== undefined) return known;
    const { attrs, expiresAt } = lease;
    const entry: Entry = { key: leaseKey(lease), attrs: formatLeaseAttrs(attrs), node: attrs.node, expiresAt };
    const text = JSON.stringify(entry);
    this.#entryTexts.set(lease, text);
    return text;
  }

  /** The own subnet was given back: what was kept must not be used again. */
  async remove(): Promise<void> {
    await rm(this.#path, { force: true });
  }
}

function hasEnded({ expiresAt }: TimedLease, now: number): boolean {
  return expiresAt !== null && expiresAt <= now;
}

/** null: of a version that is not ours. @throws BAD_LEASE, BAD_CONFIG, SyntaxError, TypeError for a damaged file */
function parse(text: string, path: string): CachedLeases | null {
  const contents: Contents = JSON.parse(text);
  if (contents.version !== VERSION) return null;
  const own = leaseOf(contents.own, path);
  if (own.expiresAt === "unknown") return null;
  return {
    store: contents.store,
    config: parseNetworkConfig(contents.config, path),
    own: { ...own, expiresAt: own.expiresAt },
    leases: contents.leases.map((entry) => leaseOf(entry, path)),
  };
}

function leaseOf({ key, attrs, node, expiresAt }: Entry, path: string): Lease {
  const pair = parseLeaseKey(key);
  if (pair === undefined) throw new TypeError(`${JSON.stringify(key)} is no lease's key`);
  return { ...pair, attrs: { ...parseLeaseAttrs(attrs, path), node }, expiresAt };
}
