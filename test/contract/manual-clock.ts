// A clock that moves only when a test says so.
import type { Lease, TimedLease } from "../../src/lease/lease.js";
import type { Clock } from "../../src/store/clock.js";
import { TTL_SECONDS } from "./lease-store.js";

export class ManualClock implements Clock {
  #now = Date.UTC(2030, 0, 1);
  #timers = new Set<{ at: number; callback: () => void }>();

  now(): number {
    return this.#now;
  }

  after(delayMs: number, callback: () => void): () => void {
    if (delayMs <= 0) {
      const soon = setImmediate(callback); // as a real clock: its time has come
      return () => clearImmediate(soon);
    }
    const timer = { at: this.#now + delayMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Lets time pass and calls back every timer that is due. */
  advance(seconds: number): void {
    this.#now += seconds * 1000;
    for (const timer of this.#timers) {
      if (timer.at > this.#now) continue;
      this.#timers.delete(timer);
      timer.callback();
    }
  }
}

/** What a contract's harness tells of a store that runs on such a clock, and hides nothing. */
export function manualTime(clock: ManualClock) {
  return {
    now: () => clock.now(),
    toleranceMs: 0,
    advance: (seconds: number) => clock.advance(seconds),
    expire: async () => clock.advance(TTL_SECONDS + 1),
    asListed: (lease: TimedLease): Lease => lease,
  };
}
