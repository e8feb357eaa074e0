// flannel's lease keys, read back: the names of lease files, and of leases in etcd. Written by lease/lease.ts leaseKey().

import type { SubnetPair } from "../lease/subnet-allocator.js";
import { type IpFamily, type Prefix, parsePrefix } from "../net/prefix.js";

/** `10.55.30.0-24` or `10.55.30.0-24&fc00:0:0:1::-64`; undefined for anything else, host bits included. */
export function parseLeaseKey(key: string): SubnetPair | undefined {
  const parts = key.split("&");
  const subnet = parsePart(parts[0] ?? "", 4);
  if (subnet === undefined || parts.length > 2) return undefined;
  if (parts[1] === undefined) return { subnet, subnetV6: null };
  const subnetV6 = parsePart(parts[1], 6);
  return subnetV6 === undefined ? undefined : { subnet, subnetV6 };
}

function parsePart(part: string, family: IpFamily): Prefix | undefined {
  const dash = part.lastIndexOf("-");
  if (dash < 0) return undefined;
  const prefix = parsePrefix(`${part.slice(0, dash)}/${part.slice(dash + 1)}`);
  return prefix?.family === family ? prefix : undefined;
}
