// May this process build namespaces and devices? Asked by capability, not by user id: root in a container may lack them,
// and a user in a user namespace of its own has them.
import { accessSync, constants, readFileSync } from "node:fs";
import { HopsackError } from "../errors.js";

/** Bit numbers in /proc/self/status CapEff (linux/capability.h). */
const NEEDED = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13, CAP_SYS_ADMIN: 21 } as const;

/** Names of the capabilities a lab needs and this process lacks. */
export function missingCapabilities(): string[] {
  const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  const effective = BigInt(`0x${hex}`);
  return Object.entries(NEEDED)
    .filter(([, bit]) => (effective & (1n << BigInt(bit))) === 0n)
    .map(([name]) => name);
}

/** @throws NOT_PERMITTED naming the capabilities that are missing */
export function requirePermission(): void {
  const missing = missingCapabilities();
  if (missing.length === 0) return;
  throw new HopsackError("NOT_PERMITTED", `a lab needs root (missing: ${missing.join(", ")}); run it with sudo`);
}

/** Whether /dev/net/tun is there and may be opened by this user. */
export function canOpenTun(): boolean {
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
