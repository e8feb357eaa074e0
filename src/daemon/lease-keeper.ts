// Renews the own lease before it runs out. Ends when the store says that the lease is no longer ours; taking a new one is
// daemon.ts's business.
import { HopsackError } from "../errors.js";
import type { TimedLease } from "../lease/lease.js";
import { Backoff } from "./backoff.js";
import type { Bell } from "./bell.js";
import type { Clock } from "./clock.js";

/** Part of the wait that chance may take away, so that hosts started together renew apart. */
const JITTER = 0.1;
/** Longest single sleep: timers end at 2^31 ms, and the machine may have been asleep meanwhile. */
const MAX_SLEEP_MS = 3_600_000;

export interface KeepLeaseInput {
  readonly lease: TimedLease;
  /** @throws LEASE_LOST when it is no longer ours */
  renew(held: TimedLease): Promise<TimedLease>;
  readonly renewMarginMinutes: number;
  readonly clock: Clock;
  /** Rung when the lease may be gone: it is renewed at once, which tells. */
  readonly doubt: Bell;
  /** Ends the keeping: the promise rejects with the signal's reason. */
  readonly signal: AbortSignal;
  onRenewed(lease: TimedLease): void;
  /** A renewal failed and will be tried again. */
  onFailure(error: unknown): void;
}

/**
 * Keeps the lease until it is lost; resolves with the store's LEASE_LOST. A reservation (no expiry) is renewed only in doubt.
 */
export async function keepLease(input: KeepLeaseInput): Promise<HopsackError> {
  const { clock, signal } = input;
  const backoff = new Backoff(clock);
  let lease = input.lease;
  for (;;) {
    await rest(input, renewalDelay(lease, input.renewMarginMinutes, clock));
    for (;;) {
      try {
        lease = await input.renew(lease);
        break;
      } catch (error) {
        if (error instanceof HopsackError && error.code === "LEASE_LOST") return error;
        input.onFailure(error);
        await clock.sleep(backoff.next(), signal);
      }
    }
    backoff.reset();
    input.onRenewed(lease);
  }
}

/** Milliseconds to the expiry minus the margin, but never less than half of the remaining life; Infinity for a reservation. */
export function renewalDelay(lease: TimedLease, marginMinutes: number, clock: Clock): number {
  if (lease.expiresAt === null) return Number.POSITIVE_INFINITY;
  const remaining = Math.max(0, lease.expiresAt - clock.now());
  const wait = Math.max(remaining - marginMinutes * 60_000, remaining / 2);
  return wait * (1 - JITTER * clock.random());
}

/** Waits for the delay or for a doubt, whichever is first. */
async function rest({ clock, doubt, signal }: KeepLeaseInput, delayMs: number): Promise<void> {
  const nap = new AbortController();
  const waking = AbortSignal.any([signal, nap.signal]);
  try {
    await Promise.race([sleep(delayMs, clock, waking), doubt.wait(waking)]);
  } finally {
    nap.abort();
  }
}

/** By whichever clock is ahead: the wall clock may be set back, and the monotonic one stands still while the machine sleeps. */
async function sleep(delayMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
  const wallEnd = clock.now() + delayMs;
  const monotonicEnd = clock.monotonic() + delayMs;
  const left = () => Math.min(wallEnd - clock.now(), monotonicEnd - clock.monotonic());
  for (let rest = left(); rest > 0; rest = left()) await clock.sleep(Math.min(rest, MAX_SLEEP_MS), signal);
}
