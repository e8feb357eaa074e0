// Where leases live. Every implementation passes test/contract/lease-store.ts. Methods throw HopsackError; `retryable`
// says whether the caller may try again. A store never retries for long by itself: daemon/lease-keeper.ts does.
import type { Lease, LeaseAttrs, LeaseEvent, TimedLease } from "../lease/lease.js";
import type { NetworkConfig } from "../lease/network-config.js";
import type { SubnetPair } from "../lease/subnet-allocator.js";
import type { Prefix } from "../net/prefix.js";

export interface AcquireRequest {
  readonly config: NetworkConfig;
  readonly attrs: LeaseAttrs;
  /** The subnet this host had before (subnet.env); taken again when it is free and still fits the config. */
  readonly previous: { readonly subnet: Prefix; readonly subnetV6: Prefix | null } | null;
}

/** A subnet kept for one public IP; the lease of nobody yet when it names no node. */
export type Reservation = Omit<Lease, "expiresAt">;

export interface LeaseStore {
  /** What a person calls it, e.g. `file:/var/lib/hopsack`. */
  readonly description: string;
  readConfig(): Promise<NetworkConfig>;
  /**
   * Takes a subnet for this host: its live lease (same public IP and node), else the previous subnet, else a free one.
   * @throws NETWORK_FULL, PUBLIC_IP_TAKEN, STORE_UNAVAILABLE
   */
  acquire(request: AcquireRequest): Promise<TimedLease>;
  /**
   * Puts off the expiry of the lease that we hold and publishes `attrs`, by default those it has; a new public IP is
   * published in the same way. @throws LEASE_LOST when it is no longer ours
   */
  renew(held: TimedLease, attrs?: LeaseAttrs): Promise<TimedLease>;
  /** Gives the subnet back; a lease that is already gone, or another host's by now, is left alone. */
  release(lease: TimedLease): Promise<void>;
  /** Every lease that has not expired, the own one included. */
  list(): Promise<Lease[]>;
  /**
   * Batches of changes, the own lease included: first one batch of what differs from `known` (by default: all leases there
   * are; perhaps nothing), then each change exactly once. Expired leases are "removed" without anyone touching the store. Ends when
   * `signal` aborts; may fail and be begun again with what is known by then.
   */
  watch(signal: AbortSignal, known?: readonly Lease[]): AsyncIterable<LeaseEvent[]>;
  /**
   * Replaces the network configuration, character by character; running daemons take it over. Leases stay as they are.
   * @throws BAD_CONFIG when readConfig could not read it (the old one stays), BAD_OPTION when the store is edited by hand
   */
  writeConfig(text: string): Promise<void>;
  /**
   * Keeps subnets for a public IP, for ever. Its own lease of just these subnets becomes permanent and keeps its attributes.
   * @throws SUBNET_TAKEN naming who holds them or a part of them, BAD_OPTION when the store is edited by hand
   */
  reserve(reservation: Reservation): Promise<void>;
  /**
   * Takes a lease or reservation away from whoever holds it, an unreadable entry too; false when there was none.
   * @throws BAD_OPTION when the store is edited by hand
   */
  remove(subnets: SubnetPair): Promise<boolean>;
  close(): Promise<void>;
}
