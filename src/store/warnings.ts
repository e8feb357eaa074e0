// Says each standing fault of a store once, not at every listing.

export class StandingWarnings {
  readonly #say: (message: string) => void;
  #standing = new Set<string>();

  constructor(say: (message: string) => void) {
    this.#say = say;
  }

  /** The faults that stand now: new ones are said, those that are gone may be said again when they come back. */
  update(messages: readonly string[]): void {
    const before = this.#standing;
    this.#standing = new Set(messages);
    for (const message of this.#standing) if (!before.has(message)) this.#say(message);
  }
}
