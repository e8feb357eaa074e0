// Turns "something may have changed" plus a full listing into exact changes. The watch of every store that can list
// cheaply (memory, file, static). A listing follows every signal of change, so nothing between two listings is missed.
import type { Lease, LeaseEvent } from "../lease/lease.js";
import type { Clock } from "./clock.js";
import { byKey, leaseChanges } from "./lease-changes.js";

export interface SnapshotSource {
  /** Every lease that has not expired. */
  list(): Promise<Lease[]>;
  /** Calls `onChange` whenever the listing may have changed, until the returned function is called. */
  subscribe(onChange: () => void): Promise<() => void>;
  readonly clock: Clock;
  /** List and subscribe anew at least this often, for sources that may lose changes; null: never. */
  readonly relistMs: number | null;
}

/** First one batch of what differs from `known`, then batches of changes; ends when one of `signals` aborts. @throws what `list` throws */
export async function* watchSnapshots(
  source: SnapshotSource,
  signals: readonly AbortSignal[],
  known: readonly Lease[],
): AsyncGenerator<LeaseEvent[], void> {
  const bell = new Bell();
  const isAborted = (): boolean => signals.some((signal) => signal.aborted);
  let before = byKey(known);
  let isFirst = true;
  let unsubscribe = (): void => undefined;
  const stop = (): void => {
    unsubscribe(); // at once: the reader may never ask again
    bell.ring();
  };
  for (const signal of signals) signal.addEventListener("abort", stop);
  let relistAt = Number.NEGATIVE_INFINITY;
  try {
    while (!isAborted()) {
      if (source.clock.now() >= relistAt) {
        const endSubscription = unsubscribe;
        unsubscribe = await source.subscribe(bell.ring); // before the old one ends, so that no change falls between them
        endSubscription();
        relistAt = source.clock.now() + (source.relistMs ?? Number.POSITIVE_INFINITY);
      }
      const leases = await source.list();
      if (isAborted()) return;
      const batch = leaseChanges(before, leases);
      if (isFirst || batch.length > 0) yield batch;
      isFirst = false;
      before = byKey(leases);
      const nextAt = leases.reduce((earliest, { expiresAt }) => soonest(earliest, expiresAt), relistAt);
      await bell.rung(source.clock, nextAt);
    }
  } finally {
    unsubscribe();
    for (const signal of signals) signal.removeEventListener("abort", stop);
  }
}

function soonest(earliest: number, expiresAt: Lease["expiresAt"]): number {
  return typeof expiresAt === "number" ? Math.min(earliest, expiresAt) : earliest;
}

/** Remembers that it was rung until someone waits for it; any number of rings count as one. */
class Bell {
  #isRung = false;
  #wake: (() => void) | null = null;

  readonly ring = (): void => {
    this.#isRung = true;
    this.#wake?.();
  };

  /** Waits for a ring or for the time `deadline`, whichever is first. */
  async rung(clock: Clock, deadline: number): Promise<void> {
    if (!this.#isRung) {
      const delayMs = Math.max(0, deadline - clock.now());
      await new Promise<void>((resolve) => {
        const cancel = delayMs === Number.POSITIVE_INFINITY ? () => undefined : clock.after(delayMs, resolve);
        this.#wake = () => {
          cancel();
          resolve();
        };
      });
      this.#wake = null;
    }
    this.#isRung = false;
  }
}
