// Time and chance behind one interface, so that waits and jitter can be tested without waiting.
import { setTimeout as delay } from "node:timers/promises";

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Milliseconds since some moment; nobody sets this clock. */
  monotonic(): number;
  /** Resolves after `milliseconds`; rejects with the signal's reason when `signal` aborts first. */
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>;
  /** Evenly spread in [0, 1). */
  random(): number;
}

export const systemClock: Clock = {
  now: Date.now,
  monotonic: () => performance.now(),
  sleep: async (milliseconds, signal) => {
    await delay(milliseconds, undefined, { signal });
  },
  random: Math.random,
};
