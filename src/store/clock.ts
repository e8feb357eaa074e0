// Time as the stores see it, so that tests can let a day pass at once.

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls back once after `delayMs`, unless the returned function is called before. */
  after(delayMs: number, callback: () => void): () => void;
}

/** Longest delay of a Node.js timer; longer ones would fire at once. */
const TIMER_LIMIT_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: Date.now,
  after(delayMs, callback) {
    const timer = setTimeout(callback, Math.min(delayMs, TIMER_LIMIT_MS));
    return () => clearTimeout(timer);
  },
};
