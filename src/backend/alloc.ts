// alloc: a lease and subnet.env, and nothing else. Somebody else carries the packets: the routers of the site, the cloud, a
// routing daemon. No device, no routes; packets may be as long as the underlay's.
import type { Plan } from "../plan/plan.js";
import type { Backend, BackendInput } from "./backend.js";
import { masquerades } from "./subnets.js";

const TYPE = "alloc";

export function createAllocBackend(input: BackendInput): Backend {
  const { publicIp } = input.underlay;
  return {
    type: TYPE,
    overheadBytes: 0,
    deviceNames: [],
    leaseAttrs: (node) => ({
      publicIp,
      publicIpv6: null,
      backendType: TYPE,
      backendData: null,
      backendV6Data: null,
      node,
    }),
    socket: null,
    objectionTo: () => null,
    probeAddress: () => null,
    claimsOf: () => [],
    plan: (own): Plan => ({
      links: [],
      addresses: [],
      routes: [],
      neighbors: [],
      fdb: [],
      masquerades: masquerades(input, own),
      pumpRoutes: [],
    }),
  };
}
