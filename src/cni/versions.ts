// Which versions of the CNI specification this plugin speaks, and what each of them lacks. Pure.
import { CniCode, CniError } from "./cni-error.js";

export const VERBS = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"] as const;
export type Verb = (typeof VERBS)[number];

const SUPPORTED = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;
export type CniVersion = (typeof SUPPORTED)[number];

/** For errors that come before a version was read. */
export const NEWEST_VERSION: CniVersion = "1.1.0";

/** The version in which a verb came; the others are older than all we support. */
const SINCE: Partial<Record<Verb, CniVersion>> = { CHECK: "0.4.0", GC: "1.1.0", STATUS: "1.1.0" };

/** The answer to VERSION. */
export function versionJson(cniVersion: CniVersion): string {
  return JSON.stringify({ cniVersion, supportedVersions: SUPPORTED });
}

/** @throws CniError incompatibleVersion */
export function parseVersion(value: unknown, verb: Verb): CniVersion {
  const version = SUPPORTED.find((supported) => supported === value);
  if (version === undefined) {
    const given = value === undefined ? "no cniVersion" : `cniVersion ${JSON.stringify(value)}`;
    const message = `the network configuration has ${given}; this plugin speaks ${SUPPORTED.join(", ")}`;
    throw new CniError(CniCode.incompatibleVersion, message);
  }
  const since = SINCE[verb];
  if (since !== undefined && SUPPORTED.indexOf(version) < SUPPORTED.indexOf(since)) {
    const message = `CNI ${version} has no ${verb}; set cniVersion to ${since} or later`;
    throw new CniError(CniCode.incompatibleVersion, message);
  }
  return version;
}

/** Addresses say their family in a field of their own. */
export function hasFamilyField(version: CniVersion): boolean {
  return version === "0.3.1" || version === "0.4.0";
}

/** Interfaces say their MTU. */
export function hasMtuField(version: CniVersion): boolean {
  return version === "1.1.0";
}

/** What we say to other plugins: none of Debian 12 knows 1.1.0, and for ADD, DEL and CHECK it adds nothing we need. */
export function delegateVersion(version: CniVersion): CniVersion {
  return version === "1.1.0" ? "1.0.0" : version;
}
