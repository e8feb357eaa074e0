// What the probes found out about one peer. The prober writes it, the status reads it.

/** So many questions in a row without an answer, and a peer is no longer taken to be there. */
const MISSES_LIMIT = 3;
/** Over how many questions loss is counted. */
const WINDOW = 10;

/**
 * `unknown`: too early to say. `silent`: has never answered, as hosts with flannel do, and any other whose answers something keeps back.
 * `lost`: has answered, and does no longer. `one-way`: its questions arrive here, but no answer to ours.
 */
export const REACH_STATES = ["unknown", "reachable", "silent", "lost", "one-way"] as const;
export type ReachState = (typeof REACH_STATES)[number];

export interface Reach {
  readonly state: ReachState;
  /** Milliseconds since the epoch; null = never. */
  readonly lastHeardAt: number | null;
  /** Of the last answer, with the time that both daemons took. */
  readonly roundTripMilliseconds: number | null;
  /** Share of the last ten questions that found no answer; null before the first is decided. */
  readonly loss: number | null;
}

export const NOTHING_KNOWN: Reach = { state: "unknown", lastHeardAt: null, roundTripMilliseconds: null, loss: null };

export class PeerReach {
  readonly address: string;
  /** Clock.monotonic() of the next question. */
  dueAt: number;
  #question: { readonly token: bigint; readonly askedAt: number } | null = null;
  /** The last ones, the newest last: whether they were answered. */
  readonly #fates: boolean[] = [];
  #misses = 0;
  #hasAnswered = false;
  #lastHeardAt: number | null = null;
  /** Questions in a row during which nothing came from it. */
  #unheard = 0;
  #roundTripMilliseconds: number | null = null;

  constructor(address: string, dueAt: number) {
    this.address = address;
    this.dueAt = dueAt;
  }

  /** A question goes out: the one before, if it is still open, has found no answer. */
  asked(token: bigint, now: number): void {
    this.#unheard++;
    if (this.#question !== null) this.#miss();
    this.#question = { token, askedAt: now };
  }

  /** Whether this answers the open question. */
  answered(token: bigint, now: number, epochNow: number): boolean {
    if (this.#question?.token !== token) return false;
    this.#roundTripMilliseconds = now - this.#question.askedAt;
    this.#question = null;
    this.#misses = 0;
    this.#hasAnswered = true;
    this.#decide(true);
    this.heard(epochNow);
    return true;
  }

  heard(epochNow: number): void {
    this.#lastHeardAt = epochNow;
    this.#unheard = 0;
  }

  get report(): Reach {
    const losses = this.#fates.filter((isAnswered) => !isAnswered).length;
    return {
      state: this.#state(),
      lastHeardAt: this.#lastHeardAt,
      roundTripMilliseconds: this.#roundTripMilliseconds,
      loss: this.#fates.length === 0 ? null : losses / this.#fates.length,
    };
  }

  /** Too few answers are missing to say so. */
  get isUndecided(): boolean {
    return this.#misses < MISSES_LIMIT;
  }

  #miss(): void {
    this.#misses++;
    this.#decide(false);
  }

  #decide(isAnswered: boolean): void {
    this.#fates.push(isAnswered);
    if (this.#fates.length > WINDOW) this.#fates.shift();
  }

  #state(): ReachState {
    if (this.isUndecided) return this.#hasAnswered ? "reachable" : "unknown";
    if (this.#unheard < MISSES_LIMIT) return "one-way";
    return this.#hasAnswered ? "lost" : "silent";
  }
}
