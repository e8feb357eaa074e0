// One daemon in a world of fakes: no kernel, no pump, a store in memory, real timers. For the tests of daemon/.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import type { Underlay } from "../../src/backend/backend.js";
import { type LinkReach, NO_REACH } from "../../src/backend/direct-route.js";
import { createBackend } from "../../src/backend/registry.js";
import { systemClock } from "../../src/daemon/clock.js";
import { runDaemon } from "../../src/daemon/daemon.js";
import { loggerTo } from "../../src/daemon/log.js";
import { type DaemonOptions, parseInvocation } from "../../src/daemon/options.js";
import type { ServiceEnvironment } from "../../src/daemon/service.js";
import { fetchStatus } from "../../src/daemon/status-client.js";
import type { World } from "../../src/daemon/world.js";
import { HopsackError } from "../../src/errors.js";
import type { ReconcilerOptions } from "../../src/kernel/reconciler.js";
import type { Lease } from "../../src/lease/lease.js";
import type { LeaseStore } from "../../src/store/lease-store.js";
import { MemoryLeaseStore, MemoryState } from "../../src/store/memory.js";
import { counters } from "./daemon-fixtures.js";

export const UNDERLAY: Underlay = {
  linkName: "eth0",
  linkIndex: 2,
  address: "192.168.50.10",
  publicIp: "192.168.50.10",
  addressV6: null,
  publicIpv6: null,
  mtuBytes: 1500,
};
/** The host's own subnet, taken by chance, is none of those that tests give to peers (10.244.200.0/24 and on). */
export const CONFIG = '{"Network": "10.244.0.0/16", "SubnetMax": "10.244.99.0", "Backend": {"Type": "udp"}}';
/** The daemon writes what it keeps every five seconds, and tries again after up to ten. */
const LIMIT_MS = 30_000;

type LogLine = Readonly<Record<string, unknown>> & { readonly event: string };

/** One daemon in a world of fakes; `deeds` is what it did to kernel and pump, in order. */
export class Trial {
  readonly leases: MemoryState;
  readonly deeds: string[] = [];
  readonly lines: LogLine[] = [];
  readonly stopping = new AbortController();
  readonly folder = mkdtempSync(join(tmpdir(), "hopsack-daemon-"));
  readonly store: LeaseStore;
  /** Set one to make that step fail. */
  faults: Partial<Record<"privileges" | "pump" | "setPlan" | "publish" | "handover" | "notify", Error>> & {
    overlap?: HopsackError;
    fouRival?: HopsackError;
  } = {};
  kernelHas = { ipip: true, fou: true };
  networkLinks = new Set<number>();
  reach: LinkReach = NO_REACH;
  /** What the service manager says, and what it and a successor are told: `address: text fds`, line breaks as blanks. */
  service: ServiceEnvironment = { notifySocket: null, watchdogMs: null, inherited: [] };
  readonly notified: string[] = [];
  /** What a daemon that is taken over from says, in its order. */
  readonly letters: { readonly text: string; readonly fds: number[] }[] = [];
  readonly successorSocket = { receive: () => this.letters.shift() ?? null, close: () => undefined };
  /** Of the last plan. */
  routes: readonly string[] = [];
  events: Pick<ReconcilerOptions, "onLinkGone" | "onFault" | "onHostChange"> | null = null;
  /** The store's word that the configuration changed. */
  configChanged: () => void = () => undefined;
  /** What the host's interfaces offer now. */
  underlay: Underlay | HopsackError = UNDERLAY;
  ended: Promise<unknown> = Promise.resolve();
  #nextIfIndex = 10;

  constructor(t: Test, wrap: (store: LeaseStore) => LeaseStore = (store) => store, leases = new MemoryState(CONFIG)) {
    this.leases = leases;
    this.store = wrap(new MemoryLeaseStore(this.leases, 3600));
    t.teardown(async () => {
      this.stopping.abort("test over");
      await this.ended;
      rmSync(this.folder, { recursive: true });
    });
  }

  get subnetFile(): string {
    return join(this.folder, "flannel", "subnet.env");
  }

  get leaseCache(): string {
    return join(this.folder, "known-leases.json");
  }

  get socket(): string {
    return join(this.folder, "hopsackd.sock");
  }

  /** Starts the daemon; the promise tells how it ended. */
  run(...flags: readonly string[]): Promise<unknown> {
    const argv = [
      "--node-name",
      "a",
      "--subnet-file",
      this.subnetFile,
      "--status-socket",
      this.socket,
      "--lease-cache",
      this.leaseCache,
      ...flags,
    ];
    const log = loggerTo({ write: (line) => this.lines.push(JSON.parse(line)) }, "debug");
    this.ended = runDaemon(parse(argv), this.#world(), log, this.stopping.signal).then(
      () => "stopped",
      (error: unknown) => error,
    );
    return this.ended;
  }

  async logged(event: string, times = 1): Promise<LogLine> {
    await until(`log line ${event}`, () => this.lines.filter((line) => line.event === event).length >= times);
    const found = this.lines.filter((line) => line.event === event)[times - 1];
    if (found === undefined) throw new Error(`no line ${event}`);
    return found;
  }

  own(): Lease {
    const mine = this.leases.leases().find((lease) => lease.attrs.node === "a");
    if (mine === undefined) throw new Error("no lease of a");
    return mine;
  }

  async status(): Promise<Record<string, unknown>> {
    return JSON.parse(await fetchStatus(this.socket));
  }

  #world(): World {
    return {
      clock: { ...systemClock, random: () => 0 },
      checkPrivileges: () => this.#step("privileges", "check privileges"),
      hostWarnings: () => [],
      openBird: () => ({
        isPresent: false,
        report: () => null,
        check: () => {},
        follow: async () => false,
        leave: async () => {},
        end: async () => {},
      }),
      openProbeSocket: async () => ({ send: () => {}, close: () => {} }),
      openPolicy: () => ({
        sync: async () => "unchanged",
        read: async () => null,
        pods: async () => [],
        counters: async () => new Map(),
      }),
      enableForwarding: () => [],
      machineId: () => "",
      createBackend,
      openStore: async (_spec, { onConfigChange }) => {
        this.configChanged = onConfigChange ?? (() => undefined);
        return this.store;
      },
      openKernel: () => ({
        findUnderlay: () => this.#underlay(),
        findOverlap: () => this.faults.overlap ?? null,
        isLinkThere: (ifIndex) => this.networkLinks.has(ifIndex),
        linkVolume: () => null,
        transmitDrops: () => 0,
        removeBirdRoutes: () => {},
        birdSubnets: () => new Set(),
        hasIpip: () => this.kernelHas.ipip,
        findIpipRival: () => null,
        hasFou: () => this.kernelHas.fou,
        findFouRival: () => this.faults.fouRival ?? null,
        linkReach: () => this.reach,
        watchTables: () => () => {},
        programPlaces: () => ({
          attachFilters: () => () => {},
          openMergingPair: () => {
            throw new Error("no pair in this world");
          },
        }),
        pathsFrom: () => [],
        openReconciler: (events) => {
          this.events = events;
          return {
            setPlan: async ({ addresses, routes }) => {
              this.routes = routes.map(({ prefix, link }) => `${prefix} ${link}`);
              this.#step("setPlan", `plan ${addresses.map((a) => a.address).join(" ")}`);
            },
            readGuard: async () => null,
            freeName: () => {},
            leave: async () => void this.deeds.push("leave plan"),
            close: async () => void this.deeds.push("take back plan"),
          };
        },
        close: () => void this.deeds.push("close kernel"),
      }),
      service: this.service,
      sendNotification: (address, text, fds) => this.#hear(address, text, fds),
      openNotifySocket: () => this.successorSocket,
      closeDescriptors: (fds) => {
        if (fds.length > 0) this.deeds.push(`close ${fds.join(" ")}`);
      },
      openPump: ({ handedOver }) => {
        const tunIfIndex = this.#nextIfIndex++;
        if (handedOver !== null && this.faults.handover !== undefined) throw this.faults.handover;
        this.#step("pump", handedOver === null ? "open pump" : "go on with pump");
        this.networkLinks.add(tunIfIndex);
        return {
          tunName: "flannel0",
          tunIfIndex,
          engine: { name: "pump", reason: "--engine pump, the default" },
          descriptors: () => ({ tunFd: 100, socketFd: 101 }),
          publish: (routes) => this.#step("publish", `publish ${routes.map((route) => route.prefix).join(" ")}`),
          measurePaths: () => {},
          start: () => void this.deeds.push("start pump"),
          endEngine: () => void this.deeds.push("end engine"),
          stop: () => {
            this.networkLinks.delete(tunIfIndex);
            this.deeds.push("stop pump");
          },
          counters: () => counters({}, {}),
          peerBytes: () => ({ peers: new Map(), others: { sent: 0, received: 0 } }),
        };
      },
    };
  }

  #underlay(): Underlay {
    if (this.underlay instanceof HopsackError) throw this.underlay;
    return this.underlay;
  }

  #hear(address: string, text: string, fds: readonly number[]): void {
    if (this.faults.notify !== undefined) throw this.faults.notify;
    this.notified.push([`${address}:`, text.replaceAll("\n", " ").replace(/USEC=\d+/, "USEC=…"), ...fds].join(" "));
  }

  #step(fault: keyof Trial["faults"], deed: string): void {
    const error = this.faults[fault];
    if (error !== undefined) throw error;
    this.deeds.push(deed);
  }
}

function parse(argv: readonly string[]): DaemonOptions {
  const invocation = parseInvocation(argv, {}, "0");
  if (invocation.kind !== "run") throw new Error("not a run");
  return invocation.options;
}

export async function until(what: string, isTrue: () => boolean): Promise<void> {
  const deadline = Date.now() + LIMIT_MS;
  while (!isTrue()) {
    if (Date.now() > deadline) throw new Error(`not within ${LIMIT_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** The store's methods as an object, so that a test can replace some. */
export function methods(store: LeaseStore): LeaseStore {
  return {
    description: store.description,
    readConfig: () => store.readConfig(),
    acquire: (request) => store.acquire(request),
    renew: (held, attrs) => store.renew(held, attrs),
    release: (held) => store.release(held),
    writeConfig: (text) => store.writeConfig(text),
    reserve: (wanted) => store.reserve(wanted),
    remove: (subnets) => store.remove(subnets),
    list: () => store.list(),
    watch: (signal, known) => store.watch(signal, known),
    close: () => store.close(),
  };
}
