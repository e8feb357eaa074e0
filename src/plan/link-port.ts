// UDP ports that the kernel opens for devices. Pure.
import type { LinkPlan } from "./plan.js";

/** Of a VXLAN or FOU device; null for others. */
export function linkPort(link: LinkPlan): number | null {
  if (link.kind === "tun") return null;
  return link.kind === "vxlan" ? link.port : link.fouPort;
}
