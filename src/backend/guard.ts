// Who may send to the tunnel's ports when --guard is on: the hosts whose packets could mean anything here. Pure.
import type { Lease } from "../lease/lease.js";
import { linkPort } from "../plan/link-port.js";
import type { GuardPlan, Plan } from "../plan/plan.js";
import type { Backend } from "./backend.js";

/** The plan with its guard, if this mode has something to guard. */
export function guarded<Some extends Pick<Plan, "links">>(
  backend: Pick<Backend, "socket">,
  plan: Some,
  peers: readonly Lease[],
): Some & Pick<Plan, "guard"> {
  const guard = guardOf(backend, plan, peers);
  return guard === null ? plan : { ...plan, guard };
}

/** null: this mode has no UDP port of its own. */
export function guardOf(
  { socket }: Pick<Backend, "socket">,
  { links }: Pick<Plan, "links">,
  peers: readonly Lease[],
): GuardPlan | null {
  const ownPorts = socket?.protocol === "udp" ? [socket.port] : [];
  const ports = [...new Set([...links.flatMap((link) => linkPort(link) ?? []), ...ownPorts])];
  if (ports.length === 0) return null;
  const addresses = peers.flatMap(({ attrs }) => [attrs.publicIp, attrs.publicIpv6]);
  return {
    ports: ports.sort((a, b) => a - b),
    peers: [...new Set(addresses.filter((address) => address !== null))].sort(),
  };
}
