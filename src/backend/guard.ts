// Who may send to the tunnel's ports when --guard is on: the hosts whose packets could mean anything here. Pure.
import type { Lease } from "../lease/lease.js";
import type { GuardPlan, Plan } from "../plan/plan.js";
import type { Backend } from "./backend.js";

/** null: this mode has no UDP port of its own. */
export function guardOf(
  { socket }: Pick<Backend, "socket">,
  { links }: Pick<Plan, "links">,
  peers: readonly Lease[],
): GuardPlan | null {
  const devicePorts = links.flatMap((link) => (link.kind === "vxlan" ? [link.port] : []));
  const ports = [...new Set([...devicePorts, ...(socket?.protocol === "udp" ? [socket.port] : [])])];
  if (ports.length === 0) return null;
  const addresses = peers.flatMap(({ attrs }) => [attrs.publicIp, attrs.publicIpv6]);
  return {
    ports: ports.sort((a, b) => a - b),
    peers: [...new Set(addresses.filter((address) => address !== null))].sort(),
  };
}
