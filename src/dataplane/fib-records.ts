// The forwarding table as bytes, the form in which it crosses to the pump at once (native/tables/fib.cc reads it).
// Little endian but for addresses:
//   next hop  12 bytes: IPv4 address 4 | port 2 | header length 2 | header offset 4
//   route     24 bytes: address 16 (IPv4 in the first 4) | family 1 | prefix length 1 | unused 2 | next hop index 4
import { addressBytes, formatAddress, type Prefix, parsePrefix } from "../net/prefix.js";
import type { PumpRoute } from "../plan/plan.js";

const NEXT_HOP_BYTES = 12;
const ROUTE_BYTES = 24;

export interface FibRecords {
  readonly nextHops: Uint8Array;
  readonly headers: Uint8Array;
  readonly routes: Uint8Array;
}

/** Routes with one endpoint and header share a next hop. Prefixes and addresses are canonical text (backend/*.ts). */
export function encodeFib(routes: readonly PumpRoute[]): FibRecords {
  const hops = new Map<string, { readonly index: number; readonly route: PumpRoute }>();
  const routeBytes = new Uint8Array(routes.length * ROUTE_BYTES);
  routes.forEach((route, i) => {
    const key = `${route.endpoint.address}:${route.endpoint.port}:${Buffer.from(route.header).toString("hex")}`;
    const hop = hops.get(key) ?? { index: hops.size, route };
    hops.set(key, hop);
    writeRoute(routeBytes.subarray(i * ROUTE_BYTES, (i + 1) * ROUTE_BYTES), canonicalPrefix(route.prefix), hop.index);
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
  hops.forEach(({ endpoint, header }, i) => {
    const view = new DataView(bytes.buffer, i * NEXT_HOP_BYTES, NEXT_HOP_BYTES);
    bytes.set(addressBytes(endpoint.address), i * NEXT_HOP_BYTES);
    view.setUint16(4, endpoint.port, true);
    view.setUint16(6, header.length, true);
    view.setUint32(8, headerOffset, true);
    headerOffset += header.length;
  });
  return bytes;
}

function writeRoute(record: Uint8Array, prefix: Prefix, nextHop: number): void {
  record.set(addressBytes(formatAddress(prefix.family, prefix.base)));
  record[16] = prefix.family;
  record[17] = prefix.length;
  new DataView(record.buffer, record.byteOffset).setUint32(20, nextHop, true);
}

function canonicalPrefix(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new TypeError(`not a canonical prefix: ${text}`);
  return prefix;
}
