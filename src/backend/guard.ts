// Who may send to the tunnel's ports when --guard is on: the hosts whose packets could mean anything here. Pure.
import type { Lease } from "../lease/lease.js";
import type { GuardPlan, LinkPlan, Plan } from "../plan/plan.js";
import type { Backend } from "./backend.js";

/** null: this mode has no UDP port of its own. */
export function guardOf(
  { socket }: Pick<Backend, "socket">,
  { links }: Pick<Plan, "links">,
  peers: readonly Lease[],
): GuardPlan | null {
  const ports = [...new Set([...links.flatMap(portsOf), ...(socket?.protocol === "udp" ? [socket.port] : [])])];
  if (ports.length === 0) return null;
  const addresses = peers.flatMap(({ attrs }) => [attrs.publicIp, attrs.publicIpv6]);
  return {
    ports: ports.sort((a, b) => a - b),
    peers: [...new Set(addresses.filter((address) => address !== null))].sort(),
  };
}

/** UDP ports that the kernel opens for a device. */
function portsOf(link: LinkPlan): number[] {
  if (link.kind === "vxlan") return [link.port];
  return link.kind === "ipip" && link.fouPort !== null ? [link.fouPort] : [];
}
