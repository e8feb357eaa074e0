// The one error type of the project. Lower layers throw it, daemon/daemon.ts decides about retries, and only the cli
// turns a code into an exit status. Anything else that is thrown is our own bug.

/** Every code a user can meet, and when; stable across versions, and listed in the man pages. */
export const ERROR_CODES = {
  BAD_OPTION: "a command-line flag, environment variable or argument cannot be used",
  BAD_CONFIG: "the network configuration is not valid",
  BAD_LEASE: "a lease in the store cannot be read",
  BAD_POLICY: "a policy file, or the record of a pod, is not valid",
  NETWORK_OVERLAP: "the Network covers an address or route that this host already uses",
  NETWORK_FULL: "no free subnet is left, or no free address in this host's",
  PUBLIC_IP_TAKEN: "another host holds a lease with this host's public address",
  LEASE_LOST: "the store no longer holds our lease",
  SUBNET_TAKEN: "a subnet to be reserved belongs to another host, or overlaps one that does",
  NO_SUCH_LEASE: "no lease of this key, subnet or public address is in the store",
  LEASES_ORPHANED: "a new network configuration would leave live leases outside",
  NO_SUCH_POD: "no pod of this host, or more than one, is meant by a name",
  STORE_UNAVAILABLE: "the lease store cannot be reached, read or written",
  NO_INTERFACE: "the underlay interface is not there, or cannot be chosen",
  NO_ADDRESS: "the underlay interface has no usable address",
  NOT_PERMITTED: "root or a capability is missing",
  NO_TUN: "/dev/net/tun is missing or refuses",
  DEVICE_BUSY: "the TUN device belongs to another process, or a device's name or number to another device",
  PORT_TAKEN: "the UDP port, or the TCP port of BGP, is in use",
  KERNEL_REFUSED: "the kernel rejected a netlink request, an nftables rule or a thread",
  FILE_UNWRITABLE: "a file of ours (subnet.env, socket, lab state) cannot be written",
  HANDOVER_FAILED: "another daemon did not hand over device and socket, or those handed over cannot be used",
  ALREADY_RUNNING: "another hopsackd serves this status socket",
  NOT_RUNNING: "no hopsackd answers on the status socket",
  SERVICE_REFUSED: "hopsackd cannot become a service here, or stop being one",
  TOOL_MISSING: "an outside program (ip, ping, iperf3 ...) is not installed",
  TOOL_FAILED: "an outside program ended with an error",
  ADDON_MISSING: "the native addon was not built for this machine",
  NO_NAMESPACE: "no network namespace of this name, path or process, or it is the host's own",
  ALREADY_ATTACHED: "what is to be attached is attached already, or has an interface of that name",
  NOT_ATTACHED: "what is to be detached is not attached",
  ADDRESS_REFUSED: "the address asked for is outside this host's subnet, not for a pod, or taken",
  LAB_EXISTS: "a lab of this name is already up",
  LAB_NOT_FOUND: "no lab, host or pod of this name",
  LAB_UNREACHABLE: "a pod of the lab does not answer",
  WRONG_ROAD: "traffic to be measured does not take the way of its mode",
  FIGURES_REFUSED: "a benchmark ended, and some of its figures were not shown",
  BAD_RESULTS: "a benchmark's results file cannot be used",
  REGRESSION: "a benchmark's results are worse than earlier ones, beyond noise",
} as const satisfies Record<string, string>;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface ErrorOptions {
  /** The same call may succeed later (default: false). */
  readonly retryable?: boolean;
  readonly cause?: unknown;
}

/** One clear sentence: what went wrong, with which value, and what to do about it. */
export class HopsackError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(
      message.split("\n").map(printable).join("\n"),
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = "HopsackError";
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

/** The errno name (`ENOENT`, `EACCES` …) that Node.js and our addon put on system errors, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof SyntaxError) return printable(error.message); // JSON.parse quotes what it was given
  return error instanceof Error ? error.message : String(error);
}

/** Words that may be a stranger's, on one line, without a character that a terminal would obey. */
export function printable(words: string): string {
  return words.replace(/(?!\t)\p{Cc}/gu, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
