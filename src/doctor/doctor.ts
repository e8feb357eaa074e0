// Asks every check and collects what they found. Called by cli/doctor.ts.
import { messageOf } from "../errors.js";
import { type Check, type Finding, NotChecked, SEVERITIES, type Severity } from "./check.js";
import { DAEMON_CHECKS } from "./daemon.js";
import type { Facts } from "./facts.js";
import { FIREWALL_CHECKS } from "./firewall.js";
import { MACHINE_CHECKS } from "./machine.js";
import { OTHERS_CHECKS } from "./others.js";
import { PATH_CHECKS } from "./path.js";
import { SETTINGS_CHECKS } from "./settings.js";
import { UNDERLAY_CHECKS } from "./underlay.js";

/** In the order in which a person would look. */
export const CHECKS: readonly Check[] = [
  ...DAEMON_CHECKS,
  ...UNDERLAY_CHECKS,
  ...PATH_CHECKS,
  ...SETTINGS_CHECKS,
  ...FIREWALL_CHECKS,
  ...OTHERS_CHECKS,
  ...MACHINE_CHECKS,
];

export interface Diagnosis {
  /** The worst first. */
  readonly findings: readonly (Finding & { readonly check: string })[];
  /** What could not be told here, and why. */
  readonly notChecked: readonly { readonly check: string; readonly reason: string }[];
  readonly checks: number;
  /** null: nothing was found. */
  readonly worst: Severity | null;
}

/** A check that fails hides none of the others. */
export async function diagnose(facts: Facts, checks: readonly Check[] = CHECKS): Promise<Diagnosis> {
  const findings: (Finding & { check: string })[] = [];
  const notChecked: { check: string; reason: string }[] = [];
  for (const { id: check, find } of checks) {
    try {
      findings.push(...(await find(facts)).map((finding) => ({ check, ...finding })));
    } catch (error) {
      if (!(error instanceof NotChecked)) throw error;
      notChecked.push({ check, reason: messageOf(error) });
    }
  }
  const rank = ({ severity }: Finding): number => SEVERITIES.indexOf(severity);
  const sorted = findings.toSorted((a, b) => rank(b) - rank(a));
  const told = new Set<string>();
  // What the daemon warns of as well, in the same words, is one finding.
  const once = sorted.filter(({ what }) => !told.has(what) && told.add(what));
  return { findings: once, notChecked, checks: checks.length, worst: once[0]?.severity ?? null };
}
