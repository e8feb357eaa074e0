// What one host holds: a subnet of the Network, and what others must know to reach it. flannel's LeaseAttrs, word for
// word (flannel's etcd values and our lease files use the same JSON names).
import { formatPrefix, type Prefix } from "../net/prefix.js";

export interface LeaseAttrs {
  /** IPv4 address the other hosts send encapsulated packets to. JSON: PublicIP. */
  readonly publicIp: string;
  /** JSON: PublicIPv6; null when the host has none. */
  readonly publicIpv6: string | null;
  /** JSON: BackendType; "udp" leases leave it out, as flannel's do. */
  readonly backendType: string;
  /** JSON: BackendData, BackendV6Data; null where the backend has none. */
  readonly backendData: unknown;
  readonly backendV6Data: unknown;
  /** Which host took the lease; null in leases that flannel wrote. JSON: Node. */
  readonly node: string | null;
}

/** Of a host that tells nothing but its IPv4 address and its mode. */
export function plainAttrs(backendType: string, publicIp: string, node: string | null): LeaseAttrs {
  return { publicIp, publicIpv6: null, backendType, backendData: null, backendV6Data: null, node };
}

/** Milliseconds since the epoch; "unknown": only the store knows, and takes the lease away by itself (etcd). */
export type Expiry = number | "unknown";

export interface Lease {
  readonly subnet: Prefix;
  /** The IPv6 part of a dual-stack lease. */
  readonly subnetV6: Prefix | null;
  readonly attrs: LeaseAttrs;
  /** When it ends unless renewed; null = a reservation, never. */
  readonly expiresAt: Expiry | null;
}

/** A lease whose end is known, as that of the own one always is. */
export interface TimedLease extends Lease {
  readonly expiresAt: number | null;
}

/** A lease appeared or changed ("added": replaces any earlier one of the same key), or is gone. */
export interface LeaseEvent {
  readonly kind: "added" | "removed";
  readonly lease: Lease;
}

/** flannel's key of a lease: `10.55.30.0-24`, dual stack `10.55.30.0-24&fc00:0:0:1::-64`. */
export function leaseKey(lease: Pick<Lease, "subnet" | "subnetV6">): string {
  const part = (prefix: Prefix): string => formatPrefix(prefix).replace("/", "-");
  return lease.subnetV6 === null ? part(lease.subnet) : `${part(lease.subnet)}&${part(lease.subnetV6)}`;
}

/** For people: `10.55.30.0-24 of h2`. */
export function describeLease(lease: Lease): string {
  return lease.attrs.node === null ? leaseKey(lease) : `${leaseKey(lease)} of ${lease.attrs.node}`;
}

/** The IPv4 subnet, and the IPv6 one where there is one. */
export function subnetsOf({ subnet, subnetV6 }: Pick<Lease, "subnet" | "subnetV6">): Prefix[] {
  return subnetV6 === null ? [subnet] : [subnet, subnetV6];
}
