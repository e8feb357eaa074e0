// Which of the leases in the store this host forwards to. A lease that contradicts another one never disturbs what works: it
// is left out and said so. Pure.
import { type Lease, leaseKey } from "../lease/lease.js";
import { pairsOverlap } from "../lease/subnet-allocator.js";

export interface PeerChoice {
  readonly peers: readonly Lease[];
  /** One sentence for each lease that is left out. */
  readonly conflicts: readonly string[];
}

/** @param leases in the order in which they became known, the own one included or not */
export function choosePeers(own: Lease, leases: readonly Lease[]): PeerChoice {
  const ownKey = leaseKey(own);
  const chosen = new Map<string, Lease>();
  const holders = new Map<string, Lease>();
  const conflicts: string[] = [];
  for (const lease of leases) {
    const key = leaseKey(lease);
    if (key === ownKey || isSameHost(lease, own)) continue;
    const objection = objectionTo(lease, own);
    if (objection !== null) {
      conflicts.push(objection);
      continue;
    }
    const holder = holders.get(lease.attrs.publicIp);
    if (holder !== undefined && !pairsOverlap(holder, lease)) {
      if (!isSameHost(holder, lease)) {
        conflicts.push(sharedAddress(holder, lease));
        continue;
      }
      chosen.delete(leaseKey(holder)); // one host that moved: what it took last is where it is
    }
    holders.set(lease.attrs.publicIp, lease);
    chosen.set(key, lease);
  }
  return { peers: [...chosen.values()], conflicts };
}

function objectionTo(lease: Lease, own: Lease): string | null {
  if (pairsOverlap(lease, own)) {
    return `lease ${describe(lease)} overlaps this host's ${leaseKey(own)} and is not used; remove one of the two`;
  }
  if (lease.attrs.publicIp === own.attrs.publicIp) {
    return `lease ${describe(lease)} has this host's public IP ${own.attrs.publicIp} and is not used; give that host another --public-ip`;
  }
  return null;
}

/** A lease without a node was written by flannel: nothing says that two of them are one host. */
function isSameHost(a: Lease, b: Lease): boolean {
  return a.attrs.node !== null && a.attrs.node === b.attrs.node && a.attrs.publicIp === b.attrs.publicIp;
}

function sharedAddress(older: Lease, newer: Lease): string {
  return `leases ${describe(older)} and ${describe(newer)} have one public IP ${older.attrs.publicIp}; the first, known longer, is used; give one of the hosts another --public-ip`;
}

function describe(lease: Lease): string {
  return lease.attrs.node === null ? leaseKey(lease) : `${leaseKey(lease)} of ${lease.attrs.node}`;
}
