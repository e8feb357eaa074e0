// What a check of `hopsack doctor` is: a question about this host, and what is wrong with its cure. One file per group beside this one.
import type { Facts } from "./facts.js";

/** The mildest first. A note is worth knowing, and nothing need be done. */
export const SEVERITIES = ["note", "warning", "problem"] as const;
export type Severity = (typeof SEVERITIES)[number];

export interface Finding {
  readonly severity: Severity;
  /** What is wrong, with which value. */
  readonly what: string;
  /** What to do about it. */
  readonly cure: string;
}

export interface Check {
  /** Stable across versions: scripts ask for it. */
  readonly id: string;
  readonly question: string;
  /** Nothing when all is well. @throws NotChecked */
  find(facts: Facts): readonly Finding[] | Promise<readonly Finding[]>;
}

/** This cannot be told here, for that reason. */
export class NotChecked extends Error {}

export function problem(what: string, cure: string): Finding {
  return { severity: "problem", what, cure };
}

export function warning(what: string, cure: string): Finding {
  return { severity: "warning", what, cure };
}

export function note(what: string, cure: string): Finding {
  return { severity: "note", what, cure };
}
