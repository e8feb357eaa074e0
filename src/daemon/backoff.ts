// How long to wait before the next try: doubling, bounded, and spread by chance so that a hundred hosts that lost the same
// store do not come back in the same moment.
import type { Clock } from "./clock.js";

const FIRST_DELAY_MS = 200;
const MAX_DELAY_MS = 10_000;

export class Backoff {
  #failures = 0;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds until the next try: between half and all of 200 ms, 400 ms … 10 s. */
  next(): number {
    const ceiling = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures);
    if (ceiling < MAX_DELAY_MS) this.#failures++;
    return ceiling * (0.5 + this.#clock.random() / 2);
  }

  /** Call after a success. */
  reset(): void {
    this.#failures = 0;
  }
}
