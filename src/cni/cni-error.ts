// Errors as the CNI specification wants them: a number, a sentence, and what is behind it. The only place that knows which
// number means what. Every file of cni/ throws these; main.ts prints them.
import { type ErrorCode, errnoOf, HopsackError, messageOf, printable } from "../errors.js";

/** 1–99 are the specification's, from 100 on they are ours; stable across versions, listed in README.md. */
export const CniCode = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  containerUnknown: 3,
  badEnvironment: 4,
  ioFailure: 5,
  undecodable: 6,
  badConfig: 7,
  tryAgainLater: 11,
  notAvailable: 50,
  internal: 100,
  subnetFull: 101,
  alreadyThere: 102,
  kernelRefused: 103,
  notPermitted: 104,
  pluginMissing: 105,
  notAsAdded: 106,
  leaseChanged: 107,
} as const;

export class CniError extends Error {
  readonly cniCode: number;
  readonly details: string | undefined;

  constructor(cniCode: number, message: string, details?: string) {
    super(printable(message));
    this.name = "CniError";
    this.cniCode = cniCode;
    this.details = details;
  }
}

const OF_HOPSACK: Partial<Record<ErrorCode, number>> = {
  BAD_POLICY: CniCode.badConfig,
  NETWORK_FULL: CniCode.subnetFull,
  ADDRESS_REFUSED: CniCode.badConfig,
  ALREADY_ATTACHED: CniCode.alreadyThere,
  KERNEL_REFUSED: CniCode.kernelRefused,
  NOT_PERMITTED: CniCode.notPermitted,
  TOOL_MISSING: CniCode.pluginMissing,
  FILE_UNWRITABLE: CniCode.ioFailure,
};

/** Whatever was thrown as a CniError. */
export function asCniError(error: unknown): CniError {
  if (error instanceof CniError) return error;
  if (error instanceof HopsackError) {
    const code = error.retryable ? CniCode.tryAgainLater : (OF_HOPSACK[error.code] ?? CniCode.internal);
    return new CniError(code, error.message, error.code);
  }
  const errno = errnoOf(error);
  if (errno === "EPERM") {
    return new CniError(CniCode.notPermitted, `${messageOf(error)}; run the plugin as root`);
  }
  if (errno !== undefined) return new CniError(CniCode.ioFailure, messageOf(error));
  const trace = error instanceof Error ? error.stack : undefined;
  return new CniError(CniCode.internal, `internal error, please report it: ${messageOf(error)}`, trace);
}

/** What a failed plugin prints. */
export function errorJson(cniVersion: string, { cniCode, message, details }: CniError): string {
  return JSON.stringify({ cniVersion, code: cniCode, msg: message, ...(details !== undefined && { details }) });
}
