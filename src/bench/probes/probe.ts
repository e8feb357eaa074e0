// What every probe gets and gives. A probe drives a known tool between two ends and reads its words; it knows nothing of modes,
// labs, or how work is accounted.
import type { Sample } from "../results.js";

/** Where a probe works. */
export interface Ends {
  /** Network namespace of the client; null: where this process runs. */
  readonly clientNetns: string | null;
  /** Where the probe starts its servers; null: they run on another machine already. */
  readonly serverNetns: string | null;
  /** Where the client finds the server. */
  readonly address: string;
}

/** One measurement, before anything is known about what it cost and which way it went. */
export type Reading = Pick<Sample, "point" | "metrics" | "latencies" | "bytes">;

/** Calls `measure`, and accounts for what happened meanwhile. Throws when its figure must not be shown. */
type Record = (measure: () => Promise<Reading>) => Promise<Reading>;

export interface ProbeContext {
  readonly ends: Ends;
  readonly seconds: number;
  readonly signal: AbortSignal;
  readonly record: Record;
}
