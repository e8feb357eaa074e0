// The MAC of our VXLAN tunnel end. Computed, not stored: a host has the same one after every restart, in both engines, and
// whatever a network daemon has done to the device meanwhile. Pure.
import { createHash } from "node:crypto";
import { formatMac } from "../net/mac.js";
import type { IpFamily } from "../net/prefix.js";

/** What tells this host from all others. */
export interface HostIdentity {
  /** Text of /etc/machine-id; empty where there is none. Machines cloned from one image may share it. */
  readonly machineId: string;
  readonly nodeName: string;
}

const OCTETS = 6;
const MULTICAST_BIT = 0x01;
const LOCALLY_ADMINISTERED_BIT = 0x02;

/** Locally administered and unicast: `26:8e:4e:aa:08:d3`. @param family of the outer packets: each device has a MAC of its own */
export function vtepMac({ machineId, nodeName }: HostIdentity, vni: number, family: IpFamily = 4): string {
  const name = `${machineId}\n${nodeName}\n${vni}${family === 6 ? "\nIPv6" : ""}`;
  const digest = createHash("sha256").update(name).digest();
  const octets = Uint8Array.from(digest.subarray(0, OCTETS));
  octets[0] = ((octets[0] ?? 0) & ~MULTICAST_BIT) | LOCALLY_ADMINISTERED_BIT;
  return formatMac(octets);
}
