// alloc: a lease and subnet.env, and nothing else. Somebody else carries the packets: the routers of the site, the cloud, a
// routing daemon. No device, no routes; packets may be as long as the underlay's.
import { plainAttrs } from "../lease/lease.js";
import { EMPTY_PLAN, type Plan } from "../plan/plan.js";
import type { Backend, BackendInput } from "./backend.js";
import { masquerades } from "./subnets.js";

const TYPE = "alloc";

export function createAllocBackend(input: BackendInput): Backend {
  return {
    type: TYPE,
    overheadBytes: 0,
    deviceNames: [],
    leaseAttrs: (node) => plainAttrs(TYPE, input.underlay.publicIp, node),
    socket: null,
    objectionTo: () => null,
    probeAddress: () => null,
    claimsOf: () => [],
    plan: (own): Plan => ({
      ...EMPTY_PLAN,
      masquerades: masquerades(input, own),
    }),
  };
}
