// The forwarding table as bytes, the form in which it crosses to the pump at once (native/tables/fib.cc reads it).
// Little endian but for addresses:
//   next hop  16 bytes: IPv4 address 4 | port 2 | header length 2 | header offset 4 | slot of the peer 4
//   route     24 bytes: address 16 (IPv4 in the first 4) | family 1 | prefix length 1 | unused 2 | next hop index 4
// and, for the eBPF programs alone, in the order of the next hops:
//   path       8 bytes: IPv4 address of the neighbour 4 (0: none) | MTU 2 | unused 2
import { addressBytes, formatAddress, type Prefix, parsePrefix } from "../net/prefix.js";
import type { PumpRoute } from "../plan/plan.js";

const NEXT_HOP_BYTES = 16;
const HEADER_OFFSET_OFFSET = 8;
const PEER_SLOT_OFFSET = 12;
const ROUTE_BYTES = 24;
const NEXT_HOP_INDEX_OFFSET = 20;
const PATH_BYTES = 8;
const LONGEST_PACKET_BYTES = 0xffff;

export interface FibRecords {
  readonly nextHops: Uint8Array;
  readonly headers: Uint8Array;
  readonly routes: Uint8Array;
  /** Addresses of the next hops, in their order. */
  readonly endpoints: readonly string[];
}

/** How a host's packets leave by the underlay's link. */
export interface PathRecord {
  readonly neighbor: string;
  readonly mtuBytes: number;
}

/**
 * Routes with one endpoint and header share a next hop. Prefixes and addresses are canonical text (backend/*.ts).
 * @param slotOf where the bytes of the peer with this address are counted
 */
export function encodeFib(routes: readonly PumpRoute[], slotOf: (address: string) => number): FibRecords {
  const hopIndexes = new Map<string, number>();
  const hops: PumpRoute[] = [];
  const records = new Records(routes.length, ROUTE_BYTES);
  routes.forEach((route, i) => {
    const { hopKey, record } = partsOf(route);
    let hopIndex = hopIndexes.get(hopKey);
    if (hopIndex === undefined) {
      hopIndex = hops.push(route) - 1;
      hopIndexes.set(hopKey, hopIndex);
    }
    records.put(i, record, [[NEXT_HOP_INDEX_OFFSET, hopIndex]]);
  });
  return {
    nextHops: encodeNextHops(hops, slotOf),
    headers: Buffer.concat(hops.filter(({ header }) => header.length > 0).map(({ header }) => header)),
    routes: records.bytes,
    endpoints: hops.map(({ endpoint }) => endpoint.address),
  };
}

/** @param paths null: what goes there is left to the pump */
export function encodePaths(paths: readonly (PathRecord | null)[]): Uint8Array {
  const bytes = new Uint8Array(paths.length * PATH_BYTES);
  const view = new DataView(bytes.buffer);
  paths.forEach((path, i) => {
    if (path === null) return;
    bytes.set(addressBytes(path.neighbor), i * PATH_BYTES);
    view.setUint16(i * PATH_BYTES + 4, Math.min(path.mtuBytes, LONGEST_PACKET_BYTES), true);
  });
  return bytes;
}

/** Records of routes that lead nowhere else: this host's own. */
export function encodeSubnets(subnets: readonly Prefix[]): Uint8Array {
  return Buffer.concat(subnets.map((subnet) => routeRecord(subnet)));
}

function encodeNextHops(hops: readonly PumpRoute[], slotOf: (address: string) => number): Uint8Array {
  const records = new Records(hops.length, NEXT_HOP_BYTES);
  let headerOffset = 0;
  hops.forEach((route, i) => {
    records.put(i, partsOf(route).hop, [
      [HEADER_OFFSET_OFFSET, headerOffset],
      [PEER_SLOT_OFFSET, slotOf(route.endpoint.address)],
    ]);
    headerOffset += route.header.length;
  });
  return records.bytes;
}

/** Records of one size, each a finished one with numbers of its own in it. Copied by words: TypedArray.set() is slow for so few. */
class Records {
  readonly bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #view: DataView;
  readonly #size: number;

  constructor(count: number, size: number) {
    this.bytes = new Uint8Array(count * size);
    this.#words = new Uint32Array(this.bytes.buffer);
    this.#view = new DataView(this.bytes.buffer);
    this.#size = size;
  }

  put(index: number, record: Uint32Array, numbers: readonly (readonly [offset: number, number: number])[]): void {
    const first = (index * this.#size) / Uint32Array.BYTES_PER_ELEMENT;
    for (let word = 0; word < record.length; word++) this.#words[first + word] = record[word] ?? 0;
    for (const [offset, number] of numbers) this.#view.setUint32(index * this.#size + offset, number, true);
  }
}

/** What a route's bytes are made of. */
interface RouteParts {
  readonly hopKey: string;
  /** Record of the next hop, but for where its header bytes are and its bytes are counted. */
  readonly hop: Uint32Array;
  /** Record of the route, but for the index of its next hop. */
  readonly record: Uint32Array;
}

/** A table of thousands is published anew for each change; the routes that stayed are encoded once. */
const knownParts = new WeakMap<PumpRoute, RouteParts>();

function partsOf(route: PumpRoute): RouteParts {
  const known = knownParts.get(route);
  if (known !== undefined) return known;
  const { endpoint, header } = route;
  const record = routeRecord(canonicalPrefix(route.prefix));
  const hopKey = `${endpoint.address}:${endpoint.port}:${Buffer.from(header).toString("hex")}`;
  const hop = new Uint8Array(NEXT_HOP_BYTES);
  hop.set(addressBytes(endpoint.address));
  new DataView(hop.buffer).setUint16(4, endpoint.port, true);
  new DataView(hop.buffer).setUint16(6, header.length, true);
  const parts = { hopKey, hop: new Uint32Array(hop.buffer), record: new Uint32Array(record.buffer) };
  knownParts.set(route, parts);
  return parts;
}

function routeRecord(prefix: Prefix): Uint8Array<ArrayBuffer> {
  const record = new Uint8Array(ROUTE_BYTES);
  record.set(addressBytes(formatAddress(prefix.family, prefix.base)));
  record[16] = prefix.family;
  record[17] = prefix.length;
  return record;
}

function canonicalPrefix(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new TypeError(`not a canonical prefix: ${text}`);
  return prefix;
}
