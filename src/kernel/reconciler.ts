// Makes a Plan true in Linux and keeps it true: applies the difference at once, then watches the kernel's events and puts
// back what somebody else removes. Touches only what is ours (plan/diff.ts says what that is).
import type { NativeNetlinkMonitor } from "../addon.js";
import { HopsackError } from "../errors.js";
import { overlaps, type Prefix, parsePrefix } from "../net/prefix.js";
import { parseInterfaceAddressMessage } from "../netlink/addr.js";
import { type Change, objectOf } from "../netlink/change.js";
import { parseLink } from "../netlink/link.js";
import { MessageType, parseMessage } from "../netlink/message.js";
import { parseRoute, type Route } from "../netlink/route.js";
import { type Diff, diffPlan } from "../plan/diff.js";
import type { Plan } from "../plan/plan.js";
import { MasqueradeTable } from "./nftables.js";
import type { Rtnetlink } from "./rtnetlink.js";

/** RTNLGRP_*: links, and addresses and routes of both families. */
const EVENT_GROUPS = [1, 5, 7, 9, 11];
/** A change may bring forth another (a link that goes down takes its routes along): so often it is looked again. */
const ROUNDS_LIMIT = 4;
/** From an event to the look at the kernel, so that a burst of events is one look. */
const SHORTEST_PAUSE_MS = 10;
/** Where another program keeps undoing ours, the pause doubles up to this. */
const LONGEST_PAUSE_MS = 2000;
/** After so long without a repair the pause is short again. */
const QUIET_MS = 10_000;
/** Without events: nftables sends us none, and events can be lost. */
const CHECK_INTERVAL_MS = 60_000;

type KernelPlan = Pick<Plan, "links" | "addresses" | "routes" | "masquerades">;

export type RepairKind = Change["kind"] | "masquerade";

export interface ReconcilerOptions {
  readonly rtnetlink: Rtnetlink;
  /** Opens a NetlinkMonitor. */
  readonly openMonitor: (
    groups: readonly number[],
    onMessages: (messages: Uint8Array[]) => void,
  ) => NativeNetlinkMonitor;
  /** Names the nftables table. */
  readonly deviceName: string;
  /** Routes with our mark are ours only within these. */
  readonly networks: readonly Prefix[];
  /** Something was put back (or something stale removed) in the background: `10.244.0.0/16 dev flannel0`. */
  readonly onRepair: (kind: RepairKind, what: string) => void;
  /** A link of the plan is no longer there; said once, until it is back. */
  readonly onLinkGone: (name: string) => void;
  /** A repair in the background failed; it is tried again at the next event, or within a minute. */
  readonly onFault: (error: unknown) => void;
}

export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #masquerade: MasqueradeTable;
  #plan: KernelPlan | null = null;
  #monitor: NativeNetlinkMonitor | null = null;
  #interval: NodeJS.Timeout | undefined;
  #pause: NodeJS.Timeout | undefined;
  #pauseMs = SHORTEST_PAUSE_MS;
  #repairedAt = Number.NEGATIVE_INFINITY;
  #ownLinkIndexes: ReadonlySet<number> = new Set();
  #goneLinks: ReadonlySet<string> = new Set();
  /** Ends when everything begun so far has ended. */
  #work: Promise<unknown> = Promise.resolve();

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#masquerade = new MasqueradeTable(options.deviceName);
  }

  /**
   * Makes the plan true, and keeps it so until the next plan or close(). Its links must be there.
   * @throws KERNEL_REFUSED, NOT_PERMITTED, TOOL_MISSING; the plan stays the desired state, part of it may be true
   */
  setPlan(plan: KernelPlan): Promise<void> {
    return this.#serially(async () => {
      this.#plan = plan;
      this.#watch();
      this.#converge(plan);
      await this.#masquerade.set(plan.masquerades);
    });
  }

  /** Looks at everything now and puts back what is missing. The events and a slow timer call it; never rejects. */
  check(): Promise<void> {
    return this.#serially(async () => {
      if (this.#plan === null) return;
      try {
        this.#repair(this.#plan);
        if (await this.#masquerade.repair()) this.#options.onRepair("masquerade", "the masquerade rules");
      } catch (error) {
        this.#options.onFault(error);
      }
    });
  }

  /** Takes back what the plan made; never rejects. What is gone already is no fault. */
  close(): Promise<void> {
    this.#monitor?.close();
    clearInterval(this.#interval);
    clearTimeout(this.#pause);
    return this.#serially(async () => {
      const plan = this.#plan;
      this.#plan = null;
      try {
        if (plan !== null) this.#takeBack(plan);
        await this.#masquerade.remove();
      } catch (error) {
        this.#options.onFault(error);
      }
    });
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#work.then(work);
    this.#work = result.catch(() => {}); // whoever called gets the error
    return result;
  }

  #watch(): void {
    if (this.#monitor !== null) return;
    this.#monitor = this.#options.openMonitor(EVENT_GROUPS, (messages) => this.#onEvents(messages));
    this.#interval = setInterval(() => void this.check(), CHECK_INTERVAL_MS);
  }

  #converge(plan: KernelPlan): void {
    let pending: readonly Change[] = [];
    for (let round = 0; round < ROUNDS_LIMIT; round++) {
      const { missingLinks, changes } = this.#diff(plan);
      if (missingLinks.length > 0) throw linkMissing(missingLinks);
      if (changes.length === 0) return;
      const refused = this.#options.rtnetlink.apply(changes).find((error) => error !== null);
      if (refused !== undefined) throw refused;
      pending = changes;
    }
    throw notKept(pending);
  }

  #repair(plan: KernelPlan): void {
    const { onRepair, onFault, onLinkGone, rtnetlink } = this.#options;
    const { missingLinks, changes } = this.#diff(plan);
    for (const name of missingLinks) if (!this.#goneLinks.has(name)) onLinkGone(name);
    this.#goneLinks = new Set(missingLinks);
    if (changes.length === 0) return;
    const results = rtnetlink.apply(changes);
    for (const [index, change] of changes.entries()) {
      const error = results[index] ?? null;
      if (error === null) onRepair(change.kind, objectOf(change));
      else onFault(error);
    }
    this.#slowDown();
  }

  #slowDown(): void {
    const now = performance.now();
    const isFight = now - this.#repairedAt < QUIET_MS;
    this.#pauseMs = isFight ? Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS) : SHORTEST_PAUSE_MS;
    this.#repairedAt = now;
  }

  #takeBack(plan: KernelPlan): void {
    const { changes } = this.#diff({ ...plan, addresses: [], routes: [] });
    const removals = changes.filter(({ kind }) => kind === "remove-address" || kind === "remove-route");
    // Removing an address can take a route along; then the next removal is refused, and nothing is wrong.
    this.#options.rtnetlink.apply(removals);
  }

  #diff(plan: KernelPlan): Diff {
    const { rtnetlink, networks } = this.#options;
    const links = rtnetlink.links();
    const names = new Set(plan.links.map(({ name }) => name));
    this.#ownLinkIndexes = new Set(links.filter(({ name }) => names.has(name)).map(({ index }) => index));
    return diffPlan({ links, addresses: rtnetlink.addresses(), routes: rtnetlink.routes() }, plan, networks);
  }

  #onEvents(messages: readonly Uint8Array[]): void {
    if (this.#pause !== undefined) return;
    const wereLost = messages.length === 0;
    if (!wereLost && !messages.some((message) => this.#concernsUs(message))) return;
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      void this.check();
    }, this.#pauseMs);
  }

  #concernsUs(bytes: Uint8Array): boolean {
    const message = parseMessage(bytes);
    if (message === undefined || this.#plan === null) return false;
    switch (message.type) {
      case MessageType.newLink:
      case MessageType.delLink: {
        const link = parseLink(message.payload);
        if (link === undefined) return false;
        return this.#ownLinkIndexes.has(link.index) || this.#plan.links.some(({ name }) => name === link.name);
      }
      case MessageType.newAddress:
      case MessageType.delAddress:
        return this.#ownLinkIndexes.has(parseInterfaceAddressMessage(message.payload)?.linkIndex ?? 0);
      default: {
        const route = parseRoute(message.payload);
        return route !== undefined && this.#isInNetworks(route);
      }
    }
  }

  #isInNetworks(route: Route): boolean {
    const prefix = parsePrefix(route.prefix);
    return (
      prefix !== undefined && prefix.length > 0 && this.#options.networks.some((network) => overlaps(network, prefix))
    );
  }
}

function linkMissing(names: readonly string[]): HopsackError {
  const message = `the network device ${names.join(" and ")} is not there, and routes are to be set on it; it is made again at the next try`;
  return new HopsackError("KERNEL_REFUSED", message, { retryable: true });
}

function notKept(changes: readonly Change[]): HopsackError {
  const what = changes.map((change) => `${change.kind} ${objectOf(change)}`).join(", ");
  const message = `the kernel accepts but does not keep these changes: ${what}; look for another program that manages this device`;
  return new HopsackError("KERNEL_REFUSED", message, { retryable: true });
}
