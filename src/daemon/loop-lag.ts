// How late the control loop comes to what it has to do: a timer that notes how late it was called. Runs from the first scrape
// on; however many ask, each sees all of it.
import type { Distribution } from "./known-metrics.js";

const INTERVAL_MS = 50;
const BOUNDS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, Number.POSITIVE_INFINITY];

export class LoopLag {
  readonly #counts = BOUNDS_SECONDS.map(() => 0);
  #sum = 0;
  #calledAt = performance.now();

  /** Keeps no process from ending. */
  constructor() {
    setInterval(() => this.#note(), INTERVAL_MS).unref();
  }

  read(): Distribution {
    const buckets = BOUNDS_SECONDS.map((bound, i) => [bound, this.#counts[i] ?? 0] as const);
    return { labels: {}, buckets, sum: this.#sum };
  }

  #note(): void {
    const now = performance.now();
    const seconds = Math.max(0, now - this.#calledAt - INTERVAL_MS) / 1000;
    this.#calledAt = now;
    const bucket = BOUNDS_SECONDS.findIndex((bound) => seconds <= bound);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += seconds;
  }
}
