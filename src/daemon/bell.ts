// Wakes one waiting loop. Any number of rings before the loop comes to wait count as one, so a thousand changes are one.

import type { Clock } from "./clock.js";

export class Bell {
  #isRung = false;
  #wake: (() => void) | null = null;

  ring(): void {
    this.#isRung = true;
    this.#wake?.();
  }

  /** Resolves at the next ring, at once when it rang already; rejects with the signal's reason. One waiter at a time. */
  async wait(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.#isRung) await this.#next(signal);
    this.#isRung = false;
  }

  /** Resolves at the next ring or after `delayMs`, whichever is first. */
  async within(delayMs: number, clock: Pick<Clock, "sleep">, signal: AbortSignal): Promise<void> {
    const nap = new AbortController();
    const waking = AbortSignal.any([signal, nap.signal]);
    try {
      await Promise.race([clock.sleep(delayMs, waking), this.wait(waking)]);
    } finally {
      nap.abort();
    }
  }

  #next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#wake = null;
        reject(signal.reason);
      };
      signal.addEventListener("abort", abort, { once: true });
      this.#wake = () => {
        this.#wake = null;
        signal.removeEventListener("abort", abort);
        resolve();
      };
    });
  }
}
