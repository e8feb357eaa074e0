import t from "tap";
import { Bell } from "../../../src/daemon/bell.js";
import type { Clock } from "../../../src/daemon/clock.js";
import { keepLease, renewalDelay } from "../../../src/daemon/lease-keeper.js";
import { HopsackError } from "../../../src/errors.js";
import type { TimedLease } from "../../../src/lease/lease.js";
import { parsePrefix } from "../../../src/net/prefix.js";

const HOUR = 3_600_000;

function leaseUntil(expiresAt: number | null): TimedLease {
  const subnet = parsePrefix("10.244.1.0/24");
  if (subnet === undefined) throw new Error("bad prefix");
  const attrs = { publicIp: "192.168.50.10", publicIpv6: null, backendType: "udp", node: "a" };
  return { subnet, subnetV6: null, attrs: { ...attrs, backendData: null, backendV6Data: null }, expiresAt };
}

/** Time passes only by sleeping; what would be slept is written down. */
function steppingClock(random = 0): Clock & { readonly slept: number[]; time: number; setBy: number } {
  const clock = {
    time: 0,
    setBy: 0,
    slept: [] as number[],
    now: () => clock.time + clock.setBy,
    monotonic: () => clock.time,
    random: () => random,
    sleep: async (milliseconds: number, signal: AbortSignal) => {
      await Promise.resolve();
      signal.throwIfAborted();
      clock.slept.push(milliseconds);
      clock.time += milliseconds;
    },
  };
  return clock;
}

const lost = new HopsackError("LEASE_LOST", "gone");
const unavailable = new HopsackError("STORE_UNAVAILABLE", "no answer", { retryable: true });

/** Answers the renewals one after the other. */
function answering(...answers: readonly (TimedLease | Error)[]): {
  renew: () => Promise<TimedLease>;
  calls: () => number;
} {
  let calls = 0;
  return {
    calls: () => calls,
    renew: async () => {
      const answer = answers[calls++];
      if (answer instanceof Error || answer === undefined) throw answer ?? new Error("one renewal too many");
      return answer;
    },
  };
}

const stopped: Clock = { now: () => 0, monotonic: () => 0, random: () => 0, sleep: () => new Promise(() => {}) };
const quiet = { onRenewed: () => {}, onFailure: () => {}, signal: new AbortController().signal };

t.test("a lease is renewed the margin before its end", async (t) => {
  t.equal(renewalDelay(leaseUntil(24 * HOUR), 60, steppingClock()), 23 * HOUR);
});

t.test("a lease shorter than the margin is renewed at half its life", async (t) => {
  t.equal(renewalDelay(leaseUntil(0.5 * HOUR), 60, steppingClock()), 0.25 * HOUR);
});

t.test("a lease little longer than the margin is not renewed in the first half of its life", async (t) => {
  t.equal(renewalDelay(leaseUntil(HOUR + 1000), 60, steppingClock()), HOUR / 2 + 500);
});

t.test("chance moves a renewal by at most a tenth, and only earlier", async (t) => {
  t.equal(renewalDelay(leaseUntil(24 * HOUR), 60, steppingClock(0.5)), 23 * HOUR * 0.95);
});

t.test("a lease that ran out already is renewed now", async (t) => {
  t.equal(renewalDelay(leaseUntil(-5), 60, steppingClock()), 0);
});

t.test("the keeper renews again and again until the store says that the lease is lost", async (t) => {
  const clock = steppingClock();
  const store = answering(leaseUntil(47 * HOUR), leaseUntil(70 * HOUR), lost);
  const renewed: (number | null)[] = [];
  const reason = await keepLease({
    ...quiet,
    lease: leaseUntil(24 * HOUR),
    renew: store.renew,
    renewMarginMinutes: 60,
    clock,
    doubt: new Bell(),
    onRenewed: (lease) => renewed.push(lease.expiresAt),
  });
  t.equal(reason, lost);
  t.same(renewed, [47 * HOUR, 70 * HOUR]);
  t.equal(clock.time, 69 * HOUR);
  t.ok(Math.max(...clock.slept) <= HOUR, "sleeps are short enough for timers and suspended machines");
});

t.test("a wall clock that is set back or forward does not make a renewal late", async (t) => {
  for (const jump of [-10 * HOUR, 30 * HOUR]) {
    const clock = steppingClock();
    const store = answering(lost);
    const { sleep } = clock;
    clock.sleep = async (milliseconds, signal) => {
      await sleep(milliseconds, signal);
      if (clock.slept.length === 1) clock.setBy = jump;
    };
    const lease = leaseUntil(24 * HOUR);
    await keepLease({ ...quiet, lease, renew: store.renew, renewMarginMinutes: 60, clock, doubt: new Bell() });
    t.equal(clock.time, jump < 0 ? 23 * HOUR : HOUR);
  }
});

t.test("a renewal that fails is tried again with growing, bounded pauses", async (t) => {
  const clock = steppingClock(0.999_999);
  const failures: unknown[] = [];
  const store = answering(...Array.from({ length: 9 }, () => unavailable), lost);
  await keepLease({
    ...quiet,
    lease: leaseUntil(1),
    renew: store.renew,
    renewMarginMinutes: 60,
    clock,
    doubt: new Bell(),
    onFailure: (error) => failures.push(error),
  });
  t.equal(failures.length, 9);
  const pauses = clock.slept.slice(1).map((milliseconds) => Math.round(milliseconds));
  t.same(pauses, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
});

t.test("a doubt makes the keeper ask at once, even for a reservation", async (t) => {
  const doubt = new Bell();
  const store = answering(lost);
  const kept = keepLease({
    ...quiet,
    lease: leaseUntil(null),
    renew: store.renew,
    renewMarginMinutes: 60,
    clock: stopped,
    doubt,
  });
  t.equal(store.calls(), 0);
  doubt.ring();
  t.equal(await kept, lost);
});

t.test("the keeper ends with its signal", async (t) => {
  const ending = new AbortController();
  const kept = keepLease({
    ...quiet,
    lease: leaseUntil(null),
    renew: answering().renew,
    renewMarginMinutes: 60,
    clock: stopped,
    doubt: new Bell(),
    signal: ending.signal,
  });
  ending.abort(new Error("enough"));
  await t.rejects(kept, { message: "enough" });
});
