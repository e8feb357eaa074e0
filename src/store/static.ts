// A lab of a few hosts without any store: one JSON file that lists every host with its subnet, the same on each host.
// Nothing is leased, nothing expires; an edit of the file takes effect at once.
import { readFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { errnoOf, HopsackError, messageOf } from "../errors.js";
import { type Lease, type LeaseAttrs, type LeaseEvent, leaseKey, type TimedLease } from "../lease/lease.js";
import { type NetworkConfig, parseNetworkConfig } from "../lease/network-config.js";
import { systemClock } from "./clock.js";
import { watchFolder } from "./folder-watch.js";
import type { AcquireRequest, LeaseStore } from "./lease-store.js";
import { watchSnapshots } from "./snapshot-watch.js";
import { parseStaticHosts, type StaticHost } from "./static-hosts.js";
import { StandingWarnings } from "./warnings.js";

export interface StaticStoreOptions {
  readonly path: string;
  /** Network configuration; null: the file's own keys. */
  readonly netConfigPath: string | null;
  /** Gets one sentence for each edit that cannot be used. */
  readonly onWarning?: (message: string) => void;
  readonly onConfigChange?: () => void;
}

/** For mounts that deliver no inotify events. */
const RELIST_MS = 10_000;

interface StaticContents {
  readonly config: NetworkConfig;
  readonly hosts: readonly StaticHost[];
}

export class StaticLeaseStore implements LeaseStore {
  readonly description: string;
  readonly #path: string;
  readonly #configPath: string;
  readonly #onConfigChange: () => void;
  readonly #warnings: StandingWarnings;
  readonly #watchWarnings: StandingWarnings;
  readonly #closing = new AbortController();
  #lastGood: StaticContents | null = null;
  /** What acquire was given: the own entry says no more than address and subnet. */
  #ownAttrs: LeaseAttrs | null = null;

  constructor(options: StaticStoreOptions) {
    this.description = `static:${options.path}`;
    this.#path = options.path;
    this.#configPath = options.netConfigPath ?? options.path;
    const onWarning = options.onWarning ?? (() => undefined);
    this.#onConfigChange = options.onConfigChange ?? (() => undefined);
    this.#warnings = new StandingWarnings(onWarning);
    this.#watchWarnings = new StandingWarnings(onWarning);
  }

  async readConfig(): Promise<NetworkConfig> {
    return (await this.#contents()).config;
  }

  /** The own entry, found by public IP. @throws BAD_OPTION when the list has none */
  async acquire({ attrs }: AcquireRequest): Promise<TimedLease> {
    const { config, hosts } = await this.#contents();
    const own = hosts.find((host) => host.attrs.publicIp === attrs.publicIp);
    if (own === undefined) {
      const listed = hosts.map((host) => host.attrs.publicIp).join(", ") || "none";
      const cure = "add this host, or choose one of its listed addresses with --public-ip or --iface";
      throw new HopsackError(
        "BAD_OPTION",
        `${this.#path} lists no host with PublicIP ${attrs.publicIp} (listed: ${listed}); ${cure}`,
      );
    }
    this.#ownAttrs = attrs;
    return this.#leaseOf(own, config);
  }

  async renew(held: TimedLease, attrs = held.attrs): Promise<TimedLease> {
    const listed = (await this.list()).find((other) => leaseKey(other) === leaseKey(held));
    if (listed?.attrs.publicIp !== attrs.publicIp) {
      const cure = "put it back, or restart this host's daemon";
      throw new HopsackError("LEASE_LOST", `${this.#path} no longer gives ${leaseKey(held)} to this host; ${cure}`);
    }
    this.#ownAttrs = attrs;
    return { ...held, attrs, expiresAt: null };
  }

  async release(): Promise<void> {}

  async list(): Promise<Lease[]> {
    const { config, hosts } = await this.#contents();
    return hosts.map((host) => this.#leaseOf(host, config));
  }

  watch(signal: AbortSignal, known: readonly Lease[] = []): AsyncIterable<LeaseEvent[]> {
    const name = basename(this.#path);
    const source = {
      list: () => this.list(),
      subscribe: async (onChange: () => void) => {
        this.#onConfigChange(); // a mount that delivers no events may have hidden a change
        return watchFolder(
          dirname(this.#path),
          (changed) => {
            if ((changed ?? name) !== name) return;
            onChange();
            this.#onConfigChange();
          },
          (message) => this.#watchWarnings.update([message]),
        );
      },
      clock: systemClock,
      relistMs: RELIST_MS,
    };
    return watchSnapshots(source, [signal, this.#closing.signal], known);
  }

  async writeConfig(): Promise<void> {
    throw this.#editedByHand("change its network keys");
  }

  async reserve(): Promise<void> {
    throw this.#editedByHand("add the host to its Hosts");
  }

  async remove(): Promise<boolean> {
    throw this.#editedByHand("remove the host from its Hosts");
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  #editedByHand(cure: string): HopsackError {
    return new HopsackError("BAD_OPTION", `${this.description} is edited by hand; ${cure} with an editor`);
  }

  /** A host that names no mode is taken to run the one this host runs. */
  #leaseOf(host: StaticHost, config: NetworkConfig): TimedLease {
    const { subnet, subnetV6 } = host;
    const isOwn = this.#ownAttrs?.publicIp === host.attrs.publicIp;
    const backendType = host.backendType ?? this.#ownAttrs?.backendType ?? config.backend.type;
    const attrs = isOwn && this.#ownAttrs !== null ? this.#ownAttrs : { ...host.attrs, backendType };
    return { subnet, subnetV6, attrs, expiresAt: null };
  }

  /** The list as it stands; after a broken edit the last good one, with a warning. */
  async #contents(): Promise<StaticContents> {
    try {
      this.#lastGood = await this.#read();
      this.#warnings.update([]);
      return this.#lastGood;
    } catch (error) {
      if (this.#lastGood === null || !(error instanceof HopsackError)) throw error;
      this.#warnings.update([`${error.message} (the list of before stays in force)`]);
      return this.#lastGood;
    }
  }

  async #read(): Promise<StaticContents> {
    const text = await readText(this.#path);
    const configText = this.#configPath === this.#path ? text : await readText(this.#configPath);
    const config = parseNetworkConfig(configText, this.#configPath);
    return { config, hosts: parseStaticHosts(text, this.#path, config) };
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const isMissing = errnoOf(error) === "ENOENT";
    const cure = isMissing ? "create it, or name another file with --store static:FILE" : "make it readable";
    throw new HopsackError("STORE_UNAVAILABLE", `${path} cannot be read (${messageOf(error)}); ${cure}`, {
      cause: error,
    });
  }
}
