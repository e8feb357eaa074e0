// What every mode makes of leases in the same way: the subnets that lie behind the peers, the own device's addresses, the
// inner MTU, the masquerades. Pure.
import { HopsackError } from "../errors.js";
import { type Lease, subnetsOf } from "../lease/lease.js";
import { parseIpv4 } from "../net/ipv4.js";
import { covers, formatAddress, formatPrefix, overlaps, type Prefix } from "../net/prefix.js";
import type { Plan } from "../plan/plan.js";
import type { BackendInput } from "./backend.js";

/** RFC 791 and RFC 8200: Linux takes IPv4 or IPv6 off a device of a smaller MTU. */
const SMALLEST_MTU_BYTES = { 4: 68, 6: 1280 };
/** An IPv4 packet is no longer. */
const IPV4_LIMIT_BYTES = 65_535;

/** A subnet and the peer that holds it. */
export interface PeerSubnet {
  readonly subnet: Prefix;
  readonly prefix: string;
  readonly peer: Lease;
}

/**
 * The subnets within the Network that peers hold and this host does not. Of two leases of one prefix (a host gained IPv6)
 * the younger one counts.
 */
export function peerSubnets(input: BackendInput, own: Lease, peers: readonly Lease[]): PeerSubnet[] {
  const rows = new Map<string, PeerSubnet>();
  for (const peer of peers) for (const row of rowsOf(input, own, peer)) putYounger(rows, row);
  return [...rows.values()];
}

/** A row of a backend's own, made of the subnet of a peer. */
interface PeerRow {
  readonly prefix: string;
  readonly peer: Lease;
}

/**
 * peerSubnets() with rows of a backend's own, for thousands of peers: all but a few are the same in the next plan, and the same
 * objects there, so that whoever compares or encodes them need not look inside.
 */
export class PeerRows<R extends PeerRow> {
  readonly #input: BackendInput;
  readonly #make: (row: PeerSubnet) => R;
  #own: Lease | null = null;
  #known = new WeakMap<Lease, readonly R[]>();

  constructor(input: BackendInput, make: (row: PeerSubnet) => R) {
    this.#input = input;
    this.#make = make;
  }

  of(own: Lease, peers: readonly Lease[]): R[] {
    if (own !== this.#own) this.#known = new WeakMap();
    this.#own = own;
    const rows = new Map<string, R>();
    for (const peer of peers) {
      let made = this.#known.get(peer);
      if (made === undefined) {
        made = rowsOf(this.#input, own, peer).map(this.#make);
        this.#known.set(peer, made);
      }
      for (const row of made) putYounger(rows, row);
    }
    return [...rows.values()];
  }
}

function rowsOf({ config }: BackendInput, own: Lease, peer: Lease): PeerSubnet[] {
  const mine = subnetsOf(own);
  return subnetsOf(peer)
    .filter((subnet) => {
      const network = subnet.family === 4 ? config.network : config.networkV6;
      return network !== null && covers(network, subnet) && !mine.some((own) => overlaps(own, subnet));
    })
    .map((subnet) => ({ subnet, prefix: formatPrefix(subnet), peer }));
}

function putYounger<R extends PeerRow>(rows: Map<string, R>, row: R): void {
  const rival = rows.get(row.prefix)?.peer;
  if (rival === undefined || expiry(rival) <= expiry(row.peer)) rows.set(row.prefix, row);
}

function expiry(lease: Lease): number {
  return typeof lease.expiresAt === "number" ? lease.expiresAt : Number.MAX_SAFE_INTEGER;
}

/** The base of a subnet, which stands for its host: flannel's choice. */
export function baseAddress(subnet: Prefix): string {
  return formatAddress(subnet.family, subnet.base);
}

/** The base as a host address, so that no subnet route appears beside the bridge's. */
export function deviceAddress(subnet: Prefix): string {
  return `${baseAddress(subnet)}/${subnet.family === 4 ? 32 : 128}`;
}

export function masquerades({ config, ipMasq }: BackendInput, own: Lease): Plan["masquerades"] {
  if (!ipMasq) return [];
  const rows = [{ network: formatPrefix(config.network), subnet: formatPrefix(own.subnet) }];
  if (config.networkV6 !== null && own.subnetV6 !== null) {
    rows.push({ network: formatPrefix(config.networkV6), subnet: formatPrefix(own.subnetV6) });
  }
  return rows;
}

/**
 * What is left for inner packets.
 * @throws BAD_CONFIG when that is less than the Network's families need
 */
export function innerMtu({ config, underlay }: BackendInput, outerMtuBytes: number, overheadBytes: number): number {
  const mtuBytes = Math.min(outerMtuBytes, IPV4_LIMIT_BYTES) - overheadBytes;
  const smallest = SMALLEST_MTU_BYTES[config.networkV6 === null ? 4 : 6];
  if (mtuBytes >= smallest) return mtuBytes;
  throw new HopsackError(
    "BAD_CONFIG",
    `${underlay.linkName} has MTU ${outerMtuBytes}, which leaves ${mtuBytes} bytes for inner packets, and the network needs ${smallest}; ` +
      `set its MTU to ${smallest + overheadBytes} or more, or choose another interface with --iface`,
  );
}

/** Neither 0.0.0.0/8 nor loopback (127.0.0.0/8), multicast, reserved or broadcast (224.0.0.0/3). */
export function isUnicast(address: string): boolean {
  const bits = parseIpv4(address);
  return bits !== undefined && ![0, 127].includes(bits >>> 24) && bits >>> 29 !== 7;
}
