// UDP mode by the kernel's FOU (`--engine fou`): one ipip device whose outer packets are UDP serves all peers, the outer destination is the
// gateway of each route. Pure. Called by udp.ts, whose lease and wire these are.
import type { Lease } from "../lease/lease.js";
import { EMPTY_PLAN, type Plan } from "../plan/plan.js";
import type { Backend, BackendInput } from "./backend.js";
import { deviceAddress, masquerades, peerSubnets } from "./subnets.js";

/** What differs from a backend that the pump carries. */
export function byFou(
  input: BackendInput,
  { port, mtuBytes }: { readonly port: number; readonly mtuBytes: number },
): Pick<Backend, "socket" | "fouPort" | "plan"> {
  const { underlay, deviceName: name } = input;
  const localAddress = underlay.address;
  return {
    socket: null,
    fouPort: { port, localAddress },
    plan: (own: Lease, peers: readonly Lease[]): Plan => ({
      ...EMPTY_PLAN,
      links: [{ kind: "ipip", name, mtuBytes, localAddress, isDscpInherited: false, fouPort: port }],
      addresses: [{ link: name, address: deviceAddress(own.subnet) }],
      routes: peerSubnets(input, own, peers).map(({ prefix, peer }) => {
        return { prefix, link: name, gateway: peer.attrs.publicIp, isOnLink: true };
      }),
      masquerades: masquerades(input, own),
    }),
  };
}
