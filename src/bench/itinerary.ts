// In which order everything is measured. Pure.
import type { Mode } from "./modes.js";
import type { Profile } from "./profiles.js";
import type { Scenario } from "./scenarios.js";

/** One stop of the journey; may give several samples, one for each point. */
export interface Stop {
  readonly scenario: Scenario;
  readonly mode: Mode;
  /** From 1. */
  readonly round: number;
}

/** What to measure, from the command line. */
export interface Choice {
  readonly profiles: readonly Profile[];
  readonly scenarios: readonly Scenario[];
  readonly modes: readonly Mode[];
  readonly rounds: number;
  readonly seconds: number;
  readonly isQuick: boolean;
}

/**
 * The stops within `profile`: scenario by scenario, within it round by round, within that every mode. Even rounds go
 * backwards, so that a machine that warms up, or is disturbed for a while, favours none.
 */
export function stopsOf({ scenarios, modes, rounds }: Choice, profile: Profile): Stop[] {
  const own = scenarios.filter(({ name }) => profile.scenarios?.includes(name) ?? true);
  return own.flatMap((scenario) =>
    Array.from({ length: rounds }, (_, index) => index + 1).flatMap((round) =>
      (round % 2 === 1 ? modes : modes.toReversed()).map((mode) => ({ scenario, mode, round })),
    ),
  );
}

/** The entries of these names, in the order of `all`. */
export function pick<T extends { readonly name: string }>(all: readonly T[], names: readonly string[]): T[] {
  return all.filter(({ name }) => names.includes(name));
}

/** Names of `names` that no entry of `all` has. */
export function unknownNames(all: readonly { readonly name: string }[], names: readonly string[]): string[] {
  return names.filter((name) => !all.some((entry) => entry.name === name));
}

/** Guesses the time left from how long the stops so far took. */
export class Pace {
  #stopsLeft: number;
  #stopsDone = 0;
  #secondsSpent = 0;

  constructor(stops: number) {
    this.#stopsLeft = stops;
  }

  /** Leaves a stop out. */
  skip(): void {
    this.#stopsLeft--;
  }

  /** Adds a stop that took `seconds`; returns those that are probably left. */
  secondsLeft(seconds: number): number {
    this.#stopsLeft--;
    this.#stopsDone++;
    this.#secondsSpent += seconds;
    return (this.#stopsLeft * this.#secondsSpent) / this.#stopsDone;
  }
}
