// Which of the leases in the store this host forwards to. A lease that contradicts another one, or that this mode cannot
// reach, never disturbs what works: it is left out and said so. Pure.
import type { Backend, Claim } from "../backend/backend.js";
import { isUnicast } from "../backend/subnets.js";
import { describeLease, type Lease, leaseKey } from "../lease/lease.js";
import type { NetworkConfig } from "../lease/network-config.js";
import { overlappingPairs, pairsOverlap } from "../lease/subnet-allocator.js";
import { covers, formatPrefix, type Prefix, parsePrefix } from "../net/prefix.js";

export interface PeerChoice {
  readonly peers: readonly Lease[];
  /** One sentence for each lease that is left out. */
  readonly conflicts: readonly string[];
}

/** What leases are judged by. */
export interface PeerRules {
  readonly config: Pick<NetworkConfig, "network">;
  readonly backend: Pick<Backend, "type" | "objectionTo" | "claimsOf">;
}

/** Of thousands of leases all but a few are the same the next time: what speaks against one alone is found out once. */
export class PeerChooser {
  readonly #own: Lease;
  readonly #rules: PeerRules;
  readonly #objections = new WeakMap<Lease, { readonly text: string | null }>();

  constructor(own: Lease, rules: PeerRules) {
    this.#own = own;
    this.#rules = rules;
  }

  /** @param leases in the order in which they became known, the own one included or not */
  choose(leases: readonly Lease[]): PeerChoice {
    const others = leases.filter((lease) => !isSameLease(lease, this.#own) && !isSameHost(lease, this.#own));
    const overlaps = overlappingPairs(others);
    const chosen = new Set<Lease>();
    const holders = new Map<string, Lease>();
    const claims = new Map<string, Lease>();
    const conflicts: string[] = [];
    for (const lease of others) {
      const { publicIp } = lease.attrs;
      const rival = overlaps.get(lease)?.find((other) => chosen.has(other) && other.attrs.publicIp !== publicIp);
      const objection = this.#objectionTo(lease) ?? (rival === undefined ? null : overlap(rival, lease));
      if (objection !== null) {
        conflicts.push(objection);
        continue;
      }
      const holder = holders.get(publicIp);
      if (holder !== undefined && !pairsOverlap(holder, lease)) {
        if (!isSameHost(holder, lease)) {
          conflicts.push(sharedAddress(holder, lease));
          continue;
        }
        chosen.delete(holder); // one host that moved: what it took last is where it is
      }
      const claimed = this.#rules.backend.claimsOf(lease);
      const contests = claimed.flatMap((claim) => {
        const claimant = claims.get(claim.what);
        return claimant === undefined || claimant.attrs.publicIp === publicIp ? [] : [{ claim, claimant }];
      });
      const contest = contests.find(
        ({ claimant: { attrs } }) => attrs.node === null || attrs.node !== lease.attrs.node,
      );
      if (contest !== undefined) {
        conflicts.push(sharedClaim(contest.claim, contest.claimant, lease));
        continue;
      }
      for (const { claimant } of contests) chosen.delete(claimant); // one host that got another address
      for (const { what } of claimed) claims.set(what, lease);
      holders.set(publicIp, lease);
      chosen.add(lease);
    }
    return { peers: [...chosen], conflicts };
  }

  #objectionTo(lease: Lease): string | null {
    let known = this.#objections.get(lease);
    if (known === undefined) {
      known = { text: objectionTo(lease, this.#own, this.#rules) };
      this.#objections.set(lease, known);
    }
    return known.text;
  }
}

/** Of one key. */
function isSameLease(a: Lease, b: Lease): boolean {
  return isSamePrefix(a.subnet, b.subnet) && isSamePrefix(a.subnetV6, b.subnetV6);
}

function isSamePrefix(a: Prefix | null, b: Prefix | null): boolean {
  return a?.base === b?.base && a?.length === b?.length;
}

function objectionTo(lease: Lease, own: Lease, { config, backend }: PeerRules): string | null {
  const { publicIp, backendType } = lease.attrs;
  const objection = (problem: string, cure: string) =>
    `lease ${describeLease(lease)} ${problem} and is not used; ${cure}`;
  if (pairsOverlap(lease, own)) return objection(`overlaps this host's ${leaseKey(own)}`, "remove one of the two");
  if (publicIp === own.attrs.publicIp) {
    return objection(`has this host's public IP ${publicIp}`, "give that host another --public-ip");
  }
  const host = parsePrefix(`${publicIp}/32`);
  if (host !== undefined && covers(config.network, host)) {
    // What is sent there would go into the tunnel again, until it no longer fits.
    const problem = `has ${publicIp} for its public IP, which lies inside the network ${formatPrefix(config.network)}`;
    return objection(problem, "give that host another --public-ip");
  }
  if (!isUnicast(publicIp)) return objection(`has ${publicIp} for its public IP`, "correct or remove it");
  if (backendType !== backend.type) {
    return objection(`is of mode ${backendType}, this host's is ${backend.type}`, "give all hosts one Backend");
  }
  if (!covers(config.network, lease.subnet)) {
    return objection(`is outside the network ${formatPrefix(config.network)}`, "remove it");
  }
  return backend.objectionTo(lease);
}

/** A lease without a node was written by flannel, or stands in etcd: nothing says that two of them are one host. */
function isSameHost(a: Lease, b: Lease): boolean {
  return a.attrs.node !== null && a.attrs.node === b.attrs.node && a.attrs.publicIp === b.attrs.publicIp;
}

function overlap(older: Lease, newer: Lease): string {
  return `leases ${describeLease(older)} and ${describeLease(newer)} overlap; the first, known longer, is used; remove the other`;
}

function sharedAddress(older: Lease, newer: Lease): string {
  return `leases ${describeLease(older)} and ${describeLease(newer)} have one public IP ${older.attrs.publicIp}; the first, known longer, is used; give one of the hosts another --public-ip`;
}

function sharedClaim({ what, flag }: Claim, older: Lease, newer: Lease): string {
  return `leases ${describeLease(older)} and ${describeLease(newer)} have one ${what}; the first, known longer, is used; give one of the hosts another ${flag}`;
}
