// Keeps an event that repeats from filling the journal: so many lines of one event in ten seconds, then nothing, then one line that says
// how many were left out.

const WINDOW_MS = 10_000;
const LINES_LIMIT = 50;

export interface LimitClock {
  /** Calls back once, after so long; nobody waits for it when the process ends. */
  after(milliseconds: number, callback: () => void): void;
}

const systemClock: LimitClock = {
  after: (milliseconds, callback) => void setTimeout(callback, milliseconds).unref(),
};

export class LogLimit {
  readonly #clock: LimitClock;
  /** Of the events with a line in their current ten seconds. */
  readonly #lines = new Map<string, number>();

  constructor(clock: LimitClock = systemClock) {
    this.#clock = clock;
  }

  /** Whether another line of this event may be written. @param tell how many were not, in the end */
  admits(event: string, tell: (leftOut: number) => void): boolean {
    const lines = (this.#lines.get(event) ?? 0) + 1;
    this.#lines.set(event, lines);
    if (lines === 1) this.#clock.after(WINDOW_MS, () => this.#end(event, tell));
    return lines <= LINES_LIMIT;
  }

  #end(event: string, tell: (leftOut: number) => void): void {
    const leftOut = (this.#lines.get(event) ?? 0) - LINES_LIMIT;
    this.#lines.delete(event);
    if (leftOut > 0) tell(leftOut);
  }
}
