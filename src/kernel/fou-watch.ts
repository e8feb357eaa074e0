// FOU ports come and go without an event of the kernel's: looks at them twice a second and tells when they changed. Called by reconciler.ts.
import { isDeepStrictEqual } from "node:util";
import type { FouPort } from "../netlink/fou.js";

/** What is broken is healed within a second. */
const LOOK_INTERVAL_MS = 500;

export class FouWatch {
  readonly #timer: NodeJS.Timeout;
  #last: readonly FouPort[];

  /** @param read may throw: then onChange leads to whoever says why */
  constructor(read: () => readonly FouPort[], onChange: () => void) {
    this.#last = read();
    this.#timer = setInterval(() => {
      try {
        const ports = read();
        if (isDeepStrictEqual(ports, this.#last)) return;
        this.#last = ports;
      } catch {
        // The look that follows meets the same error, and reports it.
      }
      onChange();
    }, LOOK_INTERVAL_MS);
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
