// Makes a Plan true in Linux and keeps it true: applies the difference at once, then watches the kernel's events and puts
// back what somebody else removes. Touches only what is ours (plan/diff.ts says what that is).
import { isDeepStrictEqual } from "node:util";
import type { NativeNetlinkMonitor } from "../addon.js";
import { HopsackError } from "../errors.js";
import type { Prefix } from "../net/prefix.js";
import { type Change, objectOf } from "../netlink/change.js";
import type { FouPort } from "../netlink/fou.js";
import type { Link } from "../netlink/link.js";
import { type ActualState, type Diff, diffPlan, findLinks, type Marks } from "../plan/diff.js";
import { fouRemoval, hasFouDevice, ownFouPorts, plannedFouPorts } from "../plan/diff-fou-ports.js";
import { isOurs } from "../plan/diff-links.js";
import type { GuardPlan, MasqueradePlan, Plan } from "../plan/plan.js";
import { type Concern, concernOf, isAboutTable, type Scope } from "./concerns.js";
import { deviceAlias } from "./device-alias.js";
import { FORWARD_TABLE, type ForwardAcceptance, ForwardRules } from "./forward-rules.js";
import { FouWatch } from "./fou-watch.js";
import { type GuardReport, guardReport, guardTable } from "./guard-table.js";
import { masqueradeTable } from "./masquerade-table.js";
import { guardTableName, type OwnTable, tableName } from "./own-table.js";
import type { Rtnetlink } from "./rtnetlink.js";

/** RTNLGRP_*: links, neighbours, and addresses and routes of both families. */
const EVENT_GROUPS = [1, 3, 5, 7, 9, 11];
export const NETLINK_NETFILTER = 12;
export const NFNLGRP_NFTABLES = 7;
/** A change may bring forth another (a link that goes down takes its routes along): so often it is looked again. */
const ROUNDS_LIMIT = 4;
/** From an event to the look at the kernel, so that a burst of events is one look. */
const SHORTEST_PAUSE_MS = 10;
/** Where another program keeps undoing ours, the pause doubles up to this: what is broken is healed within a second. */
const LONGEST_PAUSE_MS = 640;
/** After so long without a repair the pause is short again. */
const QUIET_MS = 10_000;
/** Without events: they can be lost. */
const CHECK_INTERVAL_MS = 60_000;

type KernelPlan = Omit<Plan, "pumpRoutes" | "commands" | "bgp">;

export type RepairKind = Change["kind"] | "guard" | "masquerade" | "forward";

export interface ReconcilerOptions {
  readonly rtnetlink: Pick<Rtnetlink, "links" | "addresses" | "routes" | "neighbors" | "fdb" | "fouPorts" | "apply">;
  /** Opens a NetlinkMonitor. */
  readonly openMonitor: (
    groups: readonly number[],
    onMessages: (messages: Uint8Array[]) => void,
    protocol?: number,
  ) => NativeNetlinkMonitor;
  /** Names the nftables table, and marks the devices that are made here. */
  readonly deviceName: string;
  /** Routes with our mark are ours only within these. */
  readonly networks: readonly Prefix[];
  /** Whether packets from and to `networks` are accepted where a firewall drops what is forwarded. */
  readonly forward: ForwardAcceptance;
  /** Something was put back (or something stale removed) in the background: `10.244.0.0/16 dev flannel0`, `… and 7 more`. */
  readonly onRepair: (kind: RepairKind, what: string) => void;
  /** A link was made, and is still down: the moment for settings that netlink does not know. */
  readonly onLinkMade: (name: string) => void;
  /** A link of the plan is no longer there, and not ours to make; said once, until it is back. */
  readonly onLinkGone: (name: string) => void;
  /** A repair in the background failed; it is tried again at the next event, or within a minute. */
  readonly onFault: (error: unknown) => void;
  /** Links, addresses or routes that are not ours changed: another plan may be needed. */
  readonly onHostChange: () => void;
}

/** The kernel's state at the last look, as far as it matters for a plan with these links. */
interface Seen {
  readonly planned: Plan["links"];
  readonly actual: Omit<ActualState, "lastIndexes">;
}

export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #marks: Marks;
  readonly #guard: OwnTable<GuardPlan>;
  readonly #masquerade: OwnTable<readonly MasqueradePlan[]>;
  readonly #forward: ForwardRules;
  #isForwardSet = false;
  #plan: KernelPlan | null = null;
  readonly #monitors: NativeNetlinkMonitor[] = [];
  #fouWatch: FouWatch | null = null;
  #interval: NodeJS.Timeout | undefined;
  #pause: NodeJS.Timeout | undefined;
  #pauseMs = SHORTEST_PAUSE_MS;
  #repairedAt = Number.NEGATIVE_INFINITY;
  #lastRepairs: ReadonlySet<string> = new Set();
  /** What the events since the last look concern. */
  readonly #concerns = new Set<Concern>();
  #scope: Scope;
  /** null: something happened since. A change of one peer need not look at a thousand others again. */
  #seen: Seen | null = null;
  #lastIndexes: ReadonlyMap<string, number> = new Map();
  #goneLinks: ReadonlySet<string> = new Set();
  /** Ends when everything begun so far has ended. */
  #work: Promise<unknown> = Promise.resolve();

  constructor(options: ReconcilerOptions) {
    const { networks, deviceName, forward } = options;
    this.#options = options;
    this.#marks = { networks, alias: deviceAlias(deviceName) };
    this.#guard = guardTable(deviceName);
    this.#masquerade = masqueradeTable(deviceName);
    this.#forward = new ForwardRules(deviceName, forward, networks);
    this.#scope = { ownIndexes: new Set(), linkNames: new Set(), linkIndexes: new Set(), networks };
  }

  /**
   * Makes the plan true, and keeps it so until the next plan or close(). Its TUN links and the underlay must be there.
   * @throws KERNEL_REFUSED, DEVICE_BUSY, PORT_TAKEN, NOT_PERMITTED, TOOL_MISSING; the plan stays the desired state, part of it
   * may be true
   */
  setPlan(plan: KernelPlan): Promise<void> {
    return this.#serially(async () => {
      this.#plan = plan;
      this.#watch();
      await this.#guard.set(plan.guard ?? null); // before anything is sent to a new peer, which would answer
      this.#converge(plan);
      this.#watchFou(plan);
      await this.#masquerade.set(plan.masquerades.length > 0 ? plan.masquerades : null);
      if (!this.#isForwardSet) await this.#forward.set(); // from then on events lead to it
      this.#isForwardSet = true;
    });
  }

  /** Looks at everything now and puts back what is missing. The events and a slow timer call it; never rejects. */
  check(): Promise<void> {
    return this.#serially(async () => {
      if (this.#plan === null) return;
      this.#seen = null;
      try {
        this.#repair(this.#plan);
        if (await this.#guard.repair()) this.#options.onRepair("guard", "the guard's rules");
        if (await this.#masquerade.repair()) this.#options.onRepair("masquerade", "the masquerade rules");
        if (await this.#forward.repair()) this.#options.onRepair("forward", "the forward rules");
      } catch (error) {
        this.#options.onFault(error);
      }
    });
  }

  /** What the guard has done; null: it is off. */
  readGuard(): Promise<GuardReport | null> {
    return guardReport(this.#guard);
  }

  /**
   * Removes a device that a killed run left under this name: a TUN device is to have it.
   * @throws KERNEL_REFUSED, NOT_PERMITTED
   */
  freeName(name: string): void {
    const { rtnetlink } = this.#options;
    const leftover = rtnetlink.links().find((link) => link.name === name && isOurs(link, this.#marks.alias));
    if (leftover === undefined) return;
    const ports = ownFouPorts({ links: [leftover], fouPorts: this.#fouPorts([leftover]) }, this.#marks.alias);
    const removal: Change = { kind: "remove-link", linkIndex: leftover.index, linkName: name };
    const refused = rtnetlink.apply([...ports.map(fouRemoval), removal]).find((error) => error !== null);
    if (refused !== undefined) throw refused;
  }

  /** Ends the watch and leaves the plan in force: another process goes on with it. */
  leave(): Promise<void> {
    this.#endWatch();
    return this.#serially(async () => {
      this.#plan = null;
    });
  }

  /** Takes back what the plan made; never rejects. What is gone already is no fault. */
  close(): Promise<void> {
    this.#endWatch();
    return this.#serially(async () => {
      const plan = this.#plan;
      this.#plan = null;
      this.#seen = null;
      try {
        if (plan !== null) this.#takeBack(plan);
        await this.#masquerade.remove();
        await this.#guard.remove();
        await this.#forward.remove();
      } catch (error) {
        this.#options.onFault(error);
      }
    });
  }

  #endWatch(): void {
    for (const monitor of this.#monitors) monitor.close();
    this.#fouWatch?.close();
    clearInterval(this.#interval);
    clearTimeout(this.#pause);
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#work.then(work);
    this.#work = result.catch(() => {}); // whoever called gets the error
    return result;
  }

  #watch(): void {
    if (this.#monitors.length > 0) return;
    const { openMonitor, deviceName } = this.#options;
    this.#monitors.push(
      openMonitor(EVENT_GROUPS, (messages) => {
        if (messages.length === 0) this.#notice(["plan", "host"]); // events were lost
        for (const message of messages) this.#notice(concernOf(message, this.#scope));
      }),
    );
    this.#interval = setInterval(() => void this.check(), CHECK_INTERVAL_MS);
    const tables = [tableName(deviceName), guardTableName(deviceName), FORWARD_TABLE];
    const onRules = (messages: readonly Uint8Array[]): void => {
      const isOurs = messages.some((message) => tables.some((table) => isAboutTable(message, table)));
      if (messages.length === 0 || isOurs) this.#notice(["plan"]);
    };
    try {
      this.#monitors.push(openMonitor([NFNLGRP_NFTABLES], onRules, NETLINK_NETFILTER));
    } catch {
      // A kernel without nf_tables has no rules of ours to lose.
    }
  }

  #watchFou({ links }: KernelPlan): void {
    const isNeeded = plannedFouPorts(links).length > 0;
    if (isNeeded === (this.#fouWatch !== null)) return;
    this.#fouWatch?.close();
    const { rtnetlink } = this.#options;
    this.#fouWatch = isNeeded
      ? new FouWatch(
          () => rtnetlink.fouPorts(),
          () => this.#notice(["plan"]),
        )
      : null;
  }

  #converge(plan: KernelPlan): void {
    let pending: readonly Change[] = [];
    for (let round = 0; round < ROUNDS_LIMIT; round++) {
      const { missingLinks, changes } = this.#diff(plan);
      if (missingLinks.length > 0) throw linkMissing(missingLinks);
      if (changes.length === 0) return;
      const refused = this.#apply(changes).find((error) => error !== null);
      if (refused !== undefined) throw refused;
      if (!changes.some(bringsForthMore)) return;
      pending = changes;
    }
    throw notKept(pending);
  }

  #repair(plan: KernelPlan): void {
    for (let round = 0; round < ROUNDS_LIMIT; round++) {
      const { missingLinks, changes } = this.#diff(plan);
      for (const name of missingLinks) if (!this.#goneLinks.has(name)) this.#options.onLinkGone(name);
      this.#goneLinks = new Set(missingLinks);
      if (changes.length === 0) return;
      if (round === 0) this.#slowDown(changes);
      const results = this.#apply(changes);
      this.#tellRepairs(changes.filter((_, index) => results[index] === null));
      const refused = results.find((error) => error !== null);
      if (refused !== undefined && refused !== null) this.#options.onFault(refused); // of a thousand, one says it all
      if (refused !== undefined || !changes.some(bringsForthMore)) return;
    }
  }

  /** One line for each kind of change, however many peers a device had. */
  #tellRepairs(changes: readonly Change[]): void {
    for (const first of firstOfKinds(changes)) {
      const others = changes.filter(({ kind }) => kind === first.kind).length - 1;
      this.#options.onRepair(first.kind, `${objectOf(first)}${others === 0 ? "" : ` and ${others} more`}`);
    }
  }

  /** The same repair over and over is a fight; different ones are only a bad day. */
  #slowDown(changes: readonly Change[]): void {
    const now = performance.now();
    const repairs = new Set(firstOfKinds(changes).map((change) => `${change.kind} ${objectOf(change)}`));
    const isFight = now - this.#repairedAt < QUIET_MS && [...repairs].some((repair) => this.#lastRepairs.has(repair));
    this.#pauseMs = isFight ? Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS) : SHORTEST_PAUSE_MS;
    this.#repairedAt = now;
    this.#lastRepairs = repairs;
  }

  #takeBack(plan: KernelPlan): void {
    const links = plan.links.filter(({ kind }) => kind === "tun");
    const { changes } = this.#diff({ ...plan, links, addresses: [], routes: [], neighbors: [], fdb: [] });
    this.#apply(changes.filter(({ kind }) => kind.startsWith("remove-")));
  }

  #diff(plan: KernelPlan): Diff {
    const { networks } = this.#options;
    if (this.#seen === null || !isDeepStrictEqual(this.#seen.planned, plan.links)) this.#seen = this.#look(plan);
    const { actual } = this.#seen;
    const found = findLinks({ links: actual.links, lastIndexes: this.#lastIndexes }, plan);
    const indexes = new Map([...found].map(([name, { index }]) => [name, index]));
    this.#lastIndexes = new Map([...this.#lastIndexes, ...indexes]);
    this.#scope = {
      ownIndexes: new Set(plan.links.map(({ name }) => indexes.get(name)).filter((index) => index !== undefined)),
      linkNames: new Set(this.#lastIndexes.keys()),
      linkIndexes: new Set(this.#lastIndexes.values()),
      networks,
    };
    return diffPlan({ ...actual, lastIndexes: this.#lastIndexes }, plan, this.#marks);
  }

  #look(plan: KernelPlan): Seen {
    const { rtnetlink } = this.#options;
    const links = rtnetlink.links();
    const found = findLinks({ links, lastIndexes: this.#lastIndexes }, plan);
    const own = plan.links.map(({ name }) => found.get(name)).filter((link) => link !== undefined);
    const vxlans = own.filter(({ kind }) => kind === "vxlan");
    const actual = {
      links,
      addresses: rtnetlink.addresses(),
      routes: rtnetlink.routes(),
      neighbors: vxlans.flatMap(({ index }) => rtnetlink.neighbors(index)),
      fdb: vxlans.flatMap(({ index }) => rtnetlink.fdb(index)),
      fouPorts: plannedFouPorts(plan.links).length > 0 ? rtnetlink.fouPorts() : this.#fouPorts(links),
    };
    return { planned: plan.links, actual };
  }

  /** Those of the host, if one of these links is ours and has one: most kernels need not be asked. */
  #fouPorts(links: readonly Link[]): readonly FouPort[] {
    return hasFouDevice(links, this.#marks.alias) ? this.#options.rtnetlink.fouPorts() : [];
  }

  /** For each change null, or why it was refused. */
  #apply(changes: readonly Change[]): (HopsackError | null)[] {
    this.#seen = null;
    const results = this.#options.rtnetlink.apply(changes);
    for (const [index, change] of changes.entries()) {
      const isMade = (change.kind === "add-link" || change.kind === "add-ipip-link") && results[index] === null;
      if (isMade) this.#options.onLinkMade(change.linkName);
    }
    return results;
  }

  #notice(concerns: readonly Concern[]): void {
    for (const concern of concerns) this.#concerns.add(concern);
    if (this.#concerns.has("plan")) this.#seen = null;
    if (this.#concerns.size === 0 || this.#pause !== undefined) return;
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      const noticed = new Set(this.#concerns);
      this.#concerns.clear();
      if (noticed.has("plan")) void this.check();
      if (noticed.has("host")) this.#options.onHostChange();
    }, this.#pauseMs);
  }
}

/** What lies on a link depends on it and on its addresses; anything else is done when the kernel says so. */
function bringsForthMore({ kind }: Change): boolean {
  return kind.endsWith("-link") || kind.endsWith("-address");
}

/** What a list of changes is about, in a few of them. */
function firstOfKinds(changes: readonly Change[]): Change[] {
  const firsts = new Map<Change["kind"], Change>();
  for (const change of changes) if (!firsts.has(change.kind)) firsts.set(change.kind, change);
  return [...firsts.values()];
}

function linkMissing(names: readonly string[]): HopsackError {
  const message = `the network device ${names.join(" and ")} is not there, and routes are to be set on it; it is looked for again at the next try`;
  return new HopsackError("KERNEL_REFUSED", message, { retryable: true });
}

function notKept(changes: readonly Change[]): HopsackError {
  const what = changes.map((change) => `${change.kind} ${objectOf(change)}`).join(", ");
  const message = `the kernel accepts but does not keep these changes: ${what}; look for another program that manages this device`;
  return new HopsackError("KERNEL_REFUSED", message, { retryable: true });
}
