// Keeps the rules of this host's policy as they must be while the daemon runs: looks at the start, when somebody touched the tables, and
// once a minute. The rules are the host's, not the daemon's: they outlive it.
import type { HostPolicy } from "../policy/host-policy.js";
import { type PolicyReport, policyReports } from "../policy/policy-report.js";
import { POLICY_TABLE } from "../policy/ruleset.js";
import { Bell } from "./bell.js";
import type { Clock } from "./clock.js";
import type { Logger } from "./log.js";
import { isOutside, type Trouble } from "./trouble.js";
import type { Kernel } from "./world.js";

/** From an event to the look, so that a burst of events is one look, and a fight with another program costs little. */
const SETTLE_MS = 100;
/** Without events: they can be lost. */
const CHECK_INTERVAL_MS = 60_000;

export interface PolicyWatchParts {
  readonly policy: Pick<HostPolicy, "sync" | "read" | "pods" | "counters">;
  readonly watchTables: Kernel["watchTables"];
  readonly clock: Clock;
  readonly log: Logger;
  readonly trouble: Trouble;
}

export class PolicyWatch {
  readonly #parts: PolicyWatchParts;

  constructor(parts: PolicyWatchParts) {
    this.#parts = parts;
  }

  /** Ends by the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, watchTables } = this.#parts;
    const touched = new Bell();
    const endWatch = watchTables(POLICY_TABLE, () => touched.ring());
    try {
      for (;;) {
        await this.#check();
        await touched.within(CHECK_INTERVAL_MS, clock, signal);
        await clock.sleep(SETTLE_MS, signal);
      }
    } finally {
      endWatch();
    }
  }

  /** Nothing where it cannot be read: the trouble says why. */
  async report(): Promise<PolicyReport[]> {
    const { policy } = this.#parts;
    try {
      const set = await policy.read();
      return set === null ? [] : policyReports(set, await policy.pods(), await policy.counters());
    } catch (error) {
      if (!isOutside(error)) throw error;
      return [];
    }
  }

  async #check(): Promise<void> {
    const { policy, log, trouble } = this.#parts;
    try {
      const outcome = await policy.sync();
      if (outcome !== "unchanged") log.info({ outcome }, "policy_rules");
      trouble.over();
    } catch (error) {
      if (!isOutside(error)) throw error;
      trouble.note(error);
    }
  }
}
