// An outside failure that daemon.ts tries to get over: says each new reason once, shows it in the status while it lasts, and
// spaces out the tries. The only place where the daemon waits because of an error.
import { errnoOf, HopsackError, messageOf } from "../errors.js";
import { Backoff } from "./backoff.js";
import type { Clock } from "./clock.js";
import { failure, type Logger } from "./log.js";
import type { DaemonState, WarningTopic } from "./state.js";

export class Trouble {
  readonly #topic: WarningTopic;
  readonly #state: DaemonState;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  #reason: string | null = null;

  constructor(topic: WarningTopic, state: DaemonState, log: Logger, clock: Clock) {
    this.#topic = topic;
    this.#state = state;
    this.#log = log;
    this.#clock = clock;
    this.#backoff = new Backoff(clock);
  }

  /** Logs the failure if its reason is new, and shows it in the status. */
  note(error: unknown): void {
    const reason = messageOf(error);
    if (reason !== this.#reason) this.#log.warn({ topic: this.#topic, ...failure(error) }, "trouble");
    this.#reason = reason;
    this.#state.warnings.set(this.#topic, reason);
  }

  /** Notes the failure and waits before the next try. Rejects when the signal aborts. */
  async pause(error: unknown, signal: AbortSignal): Promise<void> {
    this.note(error);
    await this.#clock.sleep(this.#backoff.next(), signal);
  }

  /** It works again. */
  over(): void {
    if (this.#reason === null) return;
    this.#log.info({ topic: this.#topic }, "trouble_over");
    this.#reason = null;
    this.#backoff.reset();
    this.#state.warnings.delete(this.#topic);
  }

  /** Repeats `work` until it succeeds or fails in a way that `isWorthRetrying` does not accept. */
  async persist<T>(
    signal: AbortSignal,
    isWorthRetrying: (error: unknown) => boolean,
    work: () => T | Promise<T>,
  ): Promise<T> {
    for (;;) {
      signal.throwIfAborted();
      try {
        const result = await work();
        this.over();
        return result;
      } catch (error) {
        if (signal.aborted || !isWorthRetrying(error)) throw error;
        await this.pause(error, signal);
      }
    }
  }
}

/** At the start: only what its thrower calls retryable; a person is there to read the rest. */
export function isRetryable(error: unknown): boolean {
  return error instanceof HopsackError && error.retryable;
}

/** While running: whatever the outside does. Anything else is our own bug and ends the daemon. */
export function isOutside(error: unknown): boolean {
  return error instanceof HopsackError || errnoOf(error) !== undefined;
}
