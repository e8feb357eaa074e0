// The forwarding table as bytes, the form in which it crosses to the pump at once (native/tables/fib.cc reads it).
// Little endian but for addresses:
//   next hop  12 bytes: IPv4 address 4 | port 2 | header length 2 | header offset 4
//   route     24 bytes: address 16 (IPv4 in the first 4) | family 1 | prefix length 1 | unused 2 | next hop index 4
import { addressBytes, formatAddress, type Prefix, parsePrefix } from "../net/prefix.js";
import type { PumpRoute } from "../plan/plan.js";

const NEXT_HOP_BYTES = 12;
const HEADER_OFFSET_OFFSET = 8;
const ROUTE_BYTES = 24;
const NEXT_HOP_INDEX_OFFSET = 20;

export interface FibRecords {
  readonly nextHops: Uint8Array;
  readonly headers: Uint8Array;
  readonly routes: Uint8Array;
}

/** Routes with one endpoint and header share a next hop. Prefixes and addresses are canonical text (backend/*.ts). */
export function encodeFib(routes: readonly PumpRoute[]): FibRecords {
  const hops = new Map<string, { readonly index: number; readonly route: PumpRoute }>();
  const routeBytes = new Uint8Array(routes.length * ROUTE_BYTES);
  const view = new DataView(routeBytes.buffer);
  routes.forEach((route, i) => {
    const { hopKey, record } = partsOf(route);
    const hop = hops.get(hopKey) ?? { index: hops.size, route };
    hops.set(hopKey, hop);
    routeBytes.set(record, i * ROUTE_BYTES);
    view.setUint32(i * ROUTE_BYTES + NEXT_HOP_INDEX_OFFSET, hop.index, true);
  });
  const hopRoutes = [...hops.values()].map((hop) => hop.route);
  return {
    nextHops: encodeNextHops(hopRoutes),
    headers: Buffer.concat(hopRoutes.map((r) => r.header)),
    routes: routeBytes,
  };
}

function encodeNextHops(hops: readonly PumpRoute[]): Uint8Array {
  const bytes = new Uint8Array(hops.length * NEXT_HOP_BYTES);
  let headerOffset = 0;
  const view = new DataView(bytes.buffer);
  hops.forEach((route, i) => {
    bytes.set(partsOf(route).hop, i * NEXT_HOP_BYTES);
    view.setUint32(i * NEXT_HOP_BYTES + HEADER_OFFSET_OFFSET, headerOffset, true);
    headerOffset += route.header.length;
  });
  return bytes;
}

/** What a route's bytes are made of. */
interface RouteParts {
  readonly hopKey: string;
  /** Record of the next hop, but for where its header bytes are. */
  readonly hop: Uint8Array;
  /** Record of the route, but for the index of its next hop. */
  readonly record: Uint8Array;
}

/** A table of thousands is published anew for each change; the routes that stayed are encoded once. */
const knownParts = new WeakMap<PumpRoute, RouteParts>();

function partsOf(route: PumpRoute): RouteParts {
  const known = knownParts.get(route);
  if (known !== undefined) return known;
  const { endpoint, header } = route;
  const prefix = canonicalPrefix(route.prefix);
  const record = new Uint8Array(ROUTE_BYTES);
  record.set(addressBytes(formatAddress(prefix.family, prefix.base)));
  record[16] = prefix.family;
  record[17] = prefix.length;
  const hopKey = `${endpoint.address}:${endpoint.port}:${Buffer.from(header).toString("hex")}`;
  const hop = new Uint8Array(NEXT_HOP_BYTES);
  hop.set(addressBytes(endpoint.address));
  new DataView(hop.buffer).setUint16(4, endpoint.port, true);
  new DataView(hop.buffer).setUint16(6, header.length, true);
  const parts = { hopKey, hop, record };
  knownParts.set(route, parts);
  return parts;
}

function canonicalPrefix(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new TypeError(`not a canonical prefix: ${text}`);
  return prefix;
}
