// What a daemon begins with: what the store says, or, when it does not answer in time, what it said last (lease-cache.ts).
import { HopsackError } from "../errors.js";
import { type Lease, leaseKey, type TimedLease } from "../lease/lease.js";
import type { NetworkConfig } from "../lease/network-config.js";
import type { LeaseStore } from "../store/lease-store.js";
import type { Clock } from "./clock.js";
import type { CachedLeases } from "./lease-cache.js";
import { isRetryable, type Trouble } from "./trouble.js";

export interface Outset {
  readonly config: NetworkConfig;
  readonly known: readonly Lease[];
  /** The own lease, when what was kept is all there is; else it is still to be taken. */
  readonly own: TimedLease | null;
}

/** A store that answers does so in milliseconds, and packets are waiting. */
const PATIENCE_MS = 400;
/** How old what was kept may be to be called "a moment ago". */
const MOMENT_MS = 300_000;

export async function findOutset(
  store: Pick<LeaseStore, "readConfig" | "list">,
  kept: { readonly cached: CachedLeases | null; readonly ageMs: number },
  trouble: Trouble,
  clock: Clock,
  signal: AbortSignal,
): Promise<Outset> {
  const { cached, ageMs } = kept;
  const ask = async (): Promise<Outset> => {
    return { config: await store.readConfig(), known: await store.list(), own: null };
  };
  if (cached === null) return trouble.persist(signal, isRetryable, ask);
  const enough = new AbortController();
  const either = AbortSignal.any([signal, enough.signal]);
  const fromCache: Outset = { config: cached.config, known: cached.leases, own: cached.own };
  const asked = trouble.persist(either, isRetryable, ask).catch((error: unknown) => {
    if (signal.aborted || !isConfigFault(error)) throw error;
    trouble.note(error); // a broken configuration does not stop what works
    return fromCache;
  });
  const patience = clock.sleep(PATIENCE_MS, either).then(() => fromCache);
  try {
    const outset = await Promise.race([asked, patience]);
    return ageMs < MOMENT_MS ? withoutSuddenLoss(outset, cached) : outset;
  } finally {
    enough.abort();
    await Promise.allSettled([patience]);
    asked.catch(() => undefined); // a call under way may still fail
  }
}

/** A store that has lost all hosts but this one since a moment ago is not believed at once; its watch says when. */
function withoutSuddenLoss(outset: Outset, { own, leases }: CachedLeases): Outset {
  const isOther = (lease: Lease): boolean => leaseKey(lease) !== leaseKey(own);
  return outset.known.some(isOther) || !leases.some(isOther) ? outset : { ...outset, known: leases };
}

function isConfigFault(error: unknown): boolean {
  return error instanceof HopsackError && error.code === "BAD_CONFIG";
}
