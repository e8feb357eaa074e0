// Whether the kernel's FOU carries the packets of mode udp on this host (`--engine fou`), and what the status says of it. Where it
// cannot, the pump does, and the reason is said. Called by forwarding.ts.
import type { Backend } from "../backend/backend.js";
import type { EngineReport } from "../dataplane/accelerator.js";
import type { NetworkConfig } from "../lease/network-config.js";
import type { DaemonOptions } from "./options.js";
import type { Kernel } from "./world.js";

type Asked = Pick<DaemonOptions, "engine" | "naive">;

/** Why not; null: it does. The kernel is asked only where it matters. @throws KERNEL_REFUSED, NOT_PERMITTED */
export function fouObjection(asked: Asked, { backend, networkV6 }: NetworkConfig, kernel: Kernel): string | null {
  if (asked.engine !== "fou") return "--engine fou was not given";
  if (asked.naive) return "--naive is a way of the pump";
  if (backend.type !== "udp") return "FOU speaks the wire of mode udp only";
  if (networkV6 !== null) return "the network has IPv6, and a FOU port carries IPv4 alone";
  if (!kernel.hasIpip()) return "this kernel has no ipip devices; load them with: modprobe ipip";
  return kernel.hasFou() ? null : "this kernel has no FOU; load it with: modprobe fou";
}

/** Of a mode without a pump; null: it has no engine to choose. */
export function reportFou({ fouPort }: Backend): (() => EngineReport) | null {
  return fouPort === undefined ? null : () => ({ name: "fou", reason: "asked for by --engine fou" });
}

/** The pump's report, with the reason why it is not FOU that carries the packets, where that was asked for. */
export function reportUnusedFou(report: EngineReport, { engine }: Asked, objection: string | null): EngineReport {
  return engine === "fou" && objection !== null ? { ...report, reason: objection } : report;
}

/** @throws PORT_TAKEN where a FOU port of somebody else's is in the way */
export function requireNoFouRival(kernel: Kernel, { fouPort }: Backend, { deviceName }: DaemonOptions): void {
  const rival = fouPort === undefined ? null : kernel.findFouRival(fouPort, deviceName);
  if (rival !== null) throw rival;
}
