// Says of leases that cannot be used: in the status while there are such, in the log once for each reason. Called by forwarding.ts.
import type { Logger } from "./log.js";
import type { DaemonState } from "./state.js";

/** A store that another network was poured into has thousands. */
const NAMED_LIMIT = 10;

export class ConflictNote {
  #named: readonly string[] = [];

  note(log: Logger, { warnings }: DaemonState, conflicts: readonly string[]): void {
    const named = conflicts.slice(0, NAMED_LIMIT);
    for (const reason of named) if (!this.#named.includes(reason)) log.warn({ reason }, "lease_conflict");
    this.#named = named;
    const others = conflicts.length - named.length;
    const sentences = others > 0 ? [...named, `and ${others} more of the kind`] : named;
    if (sentences.length === 0) warnings.delete("conflict");
    else warnings.set("conflict", sentences.join("; "));
  }
}
