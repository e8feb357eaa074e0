// Who carries IP-in-IP packets on this host, the kernel's device or the pump, and what the pump needs for it. Called by forwarding.ts.
import type { TunnelEngine } from "../backend/backend.js";
import { usesIpip } from "../backend/ipip-tunnel.js";
import type { EngineReport } from "../dataplane/accelerator.js";
import type { NetworkConfig } from "../lease/network-config.js";
import type { DaemonOptions } from "./options.js";
import type { Kernel } from "./world.js";

type Asked = Pick<DaemonOptions, "ipipEngine">;

/** The kernel is asked only where it matters: the question loads its module. @throws BAD_CONFIG, KERNEL_REFUSED */
export function ipipEngineOf({ ipipEngine }: Asked, config: NetworkConfig, kernel: Kernel): TunnelEngine {
  if (ipipEngine !== null) return ipipEngine;
  return usesIpip(config) && !kernel.hasIpip() ? "userspace" : "kernel";
}

/** @throws DEVICE_BUSY, PORT_TAKEN when somebody else would take the same packets */
export function requireNoRival(kernel: Kernel, underlayAddress: string, { deviceName }: DaemonOptions): void {
  const rival = kernel.findIpipRival(underlayAddress, deviceName);
  if (rival !== null) throw rival;
}

/** The pump's report, with the reason why it is not the kernel's device that carries the packets. */
export function reportIpip(report: EngineReport, { ipipEngine }: Asked): EngineReport {
  const why = ipipEngine === null ? "this kernel has no ipip devices" : "asked for by --ipip-engine userspace";
  return { ...report, reason: `${report.reason}; ${why}` };
}
