// UDP mode, flannel's wire: the bare inner packet is the payload of one datagram to port 8285. One TUN device, one route of
// the whole Network into it; the pump finds the host by the inner destination. With --engine fou the kernel does it: udp-fou.ts.
import { HopsackError } from "../errors.js";
import { field } from "../lease/json-object.js";
import { type Lease, plainAttrs, subnetsOf } from "../lease/lease.js";
import { formatPrefix } from "../net/prefix.js";
import { EMPTY_PLAN, type Plan, type PumpRoute } from "../plan/plan.js";
import type { Backend, BackendInput } from "./backend.js";
import { baseAddress, deviceAddress, innerMtu, masquerades, PeerRows } from "./subnets.js";
import { byFou } from "./udp-fou.js";

const TYPE = "udp";
const DEFAULT_PORT = 8285;
const OUTER_IPV4_AND_UDP_BYTES = 28;
const TX_QUEUE_PACKETS = 1000;

/** @throws BAD_CONFIG for a port or an underlay MTU that cannot be used */
export function createUdpBackend(input: BackendInput): Backend {
  const { config, underlay, deviceName } = input;
  const port = tunnelPort(config.backend.options);
  const rows = new PeerRows(input, ({ prefix, peer }) => {
    const address = peer.attrs.publicIp;
    const route: PumpRoute = { prefix, endpoint: { address, port }, header: new Uint8Array() };
    return { prefix, peer, route };
  });
  const mtuBytes = innerMtu(input, underlay.mtuBytes, OUTER_IPV4_AND_UDP_BYTES);
  const shared = {
    type: TYPE,
    overheadBytes: OUTER_IPV4_AND_UDP_BYTES,
    leaseAttrs: (node: string) => plainAttrs(TYPE, underlay.publicIp, node),
    deviceNames: [deviceName],
    objectionTo: () => null,
    probeAddress: ({ subnet }: Lease) => baseAddress(subnet),
    claimsOf: () => [],
  };
  if (input.fouObjection === null) return { ...shared, ...byFou(input, { port, mtuBytes }) };
  return {
    ...shared,
    socket: {
      tunName: deviceName,
      protocol: "udp",
      port,
      isDscpInherited: false,
      sourcePorts: 0,
      innerMtuBytes: mtuBytes,
      headerBytes: 0,
      headerChecks: [],
      endsInEthernet: false,
      questions: null,
    },
    plan: (own, peers): Plan => ({
      ...EMPTY_PLAN,
      links: [{ kind: "tun", name: deviceName, mtuBytes, txQueueLength: TX_QUEUE_PACKETS }],
      addresses: subnetsOf(own).map((subnet) => ({ link: deviceName, address: deviceAddress(subnet) })),
      routes: [config.network, config.networkV6]
        .filter((network) => network !== null)
        .map((network) => ({ prefix: formatPrefix(network), link: deviceName, gateway: null, isOnLink: false })),
      masquerades: masquerades(input, own),
      pumpRoutes: rows.of(own, peers).map(({ route }) => route),
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
