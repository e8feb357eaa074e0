// UDP mode, flannel's wire: the bare inner packet is the payload of one datagram to port 8285. One TUN device, one route of
// the whole Network into it; the pump finds the host by the inner destination.
import { HopsackError } from "../errors.js";
import { field } from "../lease/json-object.js";
import type { Lease } from "../lease/lease.js";
import { covers, formatAddress, formatPrefix, type Prefix } from "../net/prefix.js";
import type { Plan, PumpRoute } from "../plan/plan.js";
import type { Backend, BackendInput } from "./backend.js";

const TYPE = "udp";
const DEFAULT_PORT = 8285;
const OUTER_IPV4_AND_UDP_BYTES = 28;
/** Largest payload of a UDP datagram over IPv4: 65535 − 28. */
const UDP_PAYLOAD_LIMIT_BYTES = 65_507;
const TX_QUEUE_PACKETS = 1000;
/** RFC 791 and RFC 8200: Linux takes IPv4 or IPv6 off a device of a smaller MTU. */
const SMALLEST_MTU_BYTES = { 4: 68, 6: 1280 };

/** @throws BAD_CONFIG for a port or an underlay MTU that cannot be used */
export function createUdpBackend(input: BackendInput): Backend {
  const { config, underlay, deviceName } = input;
  const port = tunnelPort(config.backend.options);
  const mtuBytes = innerMtu(input);
  return {
    type: TYPE,
    overheadBytes: OUTER_IPV4_AND_UDP_BYTES,
    leaseAttrs: (node) => ({
      publicIp: underlay.publicIp,
      publicIpv6: null,
      backendType: TYPE,
      backendData: null,
      backendV6Data: null,
      node,
    }),
    socket: { tunName: deviceName, port, expectedHeader: new Uint8Array(), expectedHeaderMask: new Uint8Array() },
    objectionTo: () => null,
    plan: (own, peers): Plan => ({
      links: [{ name: deviceName, mtuBytes, txQueueLength: TX_QUEUE_PACKETS }],
      addresses: subnetsOf(own).map((subnet) => ({ link: deviceName, address: deviceAddress(subnet) })),
      routes: [config.network, config.networkV6]
        .filter((network) => network !== null)
        .map((network) => ({ prefix: formatPrefix(network), link: deviceName, gateway: null })),
      masquerades: input.ipMasq ? masquerades(input, own) : [],
      pumpRoutes: pumpRoutes(input, peers, port),
    }),
  };
}

function tunnelPort(options: Readonly<Record<string, unknown>>): number {
  const port = field(options, "Port") ?? DEFAULT_PORT;
  if (typeof port === "number" && Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw new HopsackError(
    "BAD_CONFIG",
    `Backend.Port ${JSON.stringify(port)} is not a UDP port; use a number from 1 to 65535, or remove it for ${DEFAULT_PORT}`,
  );
}

function innerMtu({ config, underlay }: BackendInput): number {
  const mtuBytes = Math.min(underlay.mtuBytes - OUTER_IPV4_AND_UDP_BYTES, UDP_PAYLOAD_LIMIT_BYTES);
  const smallest = SMALLEST_MTU_BYTES[config.networkV6 === null ? 4 : 6];
  if (mtuBytes >= smallest) return mtuBytes;
  throw new HopsackError(
    "BAD_CONFIG",
    `${underlay.linkName} has MTU ${underlay.mtuBytes}, which leaves ${mtuBytes} bytes for inner packets, and the network needs ${smallest}; ` +
      `set its MTU to ${smallest + OUTER_IPV4_AND_UDP_BYTES} or more, or choose another interface with --iface`,
  );
}

function subnetsOf(lease: Lease): Prefix[] {
  return lease.subnetV6 === null ? [lease.subnet] : [lease.subnet, lease.subnetV6];
}

/** flannel's choice: the base of the subnet as a host address, so that no subnet route appears beside the bridge's. */
function deviceAddress(subnet: Prefix): string {
  return `${formatAddress(subnet.family, subnet.base)}/${subnet.family === 4 ? 32 : 128}`;
}

function masquerades({ config }: BackendInput, own: Lease): Plan["masquerades"] {
  const rows = [{ network: formatPrefix(config.network), subnet: formatPrefix(own.subnet) }];
  if (config.networkV6 !== null && own.subnetV6 !== null) {
    rows.push({ network: formatPrefix(config.networkV6), subnet: formatPrefix(own.subnetV6) });
  }
  return rows;
}

/** One row per subnet of every peer. Of two leases of one prefix (a host gained IPv6) the younger one counts. */
function pumpRoutes({ config }: BackendInput, peers: readonly Lease[], port: number): PumpRoute[] {
  const routes = new Map<string, PumpRoute>();
  const oldestFirst = peers.toSorted((a, b) => expiry(a) - expiry(b));
  for (const peer of oldestFirst) {
    for (const subnet of subnetsOf(peer)) {
      const network = subnet.family === 4 ? config.network : config.networkV6;
      if (network === null || !covers(network, subnet)) continue;
      const prefix = formatPrefix(subnet);
      routes.set(prefix, { prefix, endpoint: { address: peer.attrs.publicIp, port }, header: new Uint8Array() });
    }
  }
  return [...routes.values()];
}

function expiry(lease: Lease): number {
  return typeof lease.expiresAt === "number" ? lease.expiresAt : Number.MAX_SAFE_INTEGER;
}
