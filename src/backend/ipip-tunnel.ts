// IP-in-IP (RFC 2003) as every mode has it that tunnels by it: the options, the device with its address, and what the pump needs
// where it is the engine. Pure. Used by ipip.ts, whose routes are ours, and bgp.ts, whose routes BIRD sets.
//
// By the kernel: an ipip device, flannel's `flannel.ipip`, whose outer destination is the gateway of each route. By the pump: a TUN
// device of the same name, which never hears of gateways: the pump's table finds the host by the inner destination.
import { HopsackError } from "../errors.js";
import { field, type JsonObject } from "../lease/json-object.js";
import type { Lease } from "../lease/lease.js";
import type { NetworkConfig } from "../lease/network-config.js";
import type { Plan, PumpRoute } from "../plan/plan.js";
import type { Backend, BackendInput } from "./backend.js";
import { deviceAddress, innerMtu, PeerRows } from "./subnets.js";

export const IPIP = "ipip";
/** Another IPv4 header. */
export const OVERHEAD_BYTES = 20;
const TX_QUEUE_PACKETS = 1000;

/** Through the tunnel to every host, only to hosts behind a router, or to none. */
export type IpipMode = "always" | "cross-subnet" | "never";

/** Calico's words for them beside ours, in lower case. */
const MODES: ReadonlyMap<unknown, IpipMode> = new Map([
  ["always", "always"],
  ["cross-subnet", "cross-subnet"],
  ["crosssubnet", "cross-subnet"],
  ["never", "never"],
  ["off", "never"],
]);

export interface IpipTunnel {
  readonly link: Plan["links"][number];
  readonly socket: Backend["socket"];
  addresses(own: Lease): Plan["addresses"];
  /** Of all peers, also those that are sent plain packets: the way from them may be another one. */
  pumpRoutes(own: Lease, peers: readonly Lease[]): readonly PumpRoute[];
}

/** @throws BAD_CONFIG for an underlay MTU or a DSCP that cannot be used */
export function ipipTunnel(input: BackendInput): IpipTunnel {
  const { underlay, ipipDevice: name, ipipEngine } = input;
  const isDscpInherited = inheritsDscp(input.config.backend.options);
  const mtuBytes = innerMtu(input, underlay.mtuBytes, OVERHEAD_BYTES);
  const addresses = (own: Lease) => [{ link: name, address: deviceAddress(own.subnet) }];
  if (ipipEngine === "kernel") {
    const link = {
      kind: "ipip",
      name,
      mtuBytes,
      localAddress: underlay.address,
      isDscpInherited,
      fouPort: null,
    } as const;
    return { link, socket: null, addresses, pumpRoutes: () => [] };
  }
  const rows = new PeerRows(input, ({ prefix, peer }) => ({ prefix, peer, route: pumpRoute(prefix, peer) }));
  return {
    link: { kind: "tun", name, mtuBytes, txQueueLength: TX_QUEUE_PACKETS },
    socket: {
      tunName: name,
      protocol: "ipip",
      port: 0,
      isDscpInherited,
      sourcePorts: 0,
      innerMtuBytes: mtuBytes,
      headerBytes: 0,
      headerChecks: [],
      endsInEthernet: false,
      questions: null,
    },
    addresses,
    pumpRoutes: (own, peers) => rows.of(own, peers).map(({ route }) => route),
  };
}

function pumpRoute(prefix: string, { attrs: { publicIp: address } }: Lease): PumpRoute {
  return { prefix, endpoint: { address, port: 0 }, header: new Uint8Array() };
}

/** Whether packets of this mode may travel as IP-in-IP. @throws BAD_CONFIG for a word that is none */
export function usesIpip({ backend: { type, options } }: Pick<NetworkConfig, "backend">): boolean {
  if (type === IPIP) return ipipModeOf(options) !== "never";
  return type === "bgp" && readMode(options, "IPIP", "never") !== "never";
}

/** Of backend ipip: `Mode`, or flannel's `DirectRouting`. Without either: all through the tunnel, as flannel does. */
export function ipipModeOf(options: JsonObject): IpipMode {
  const isDirect = field(options, "DirectRouting") ?? false;
  if (typeof isDirect !== "boolean") {
    const problem = `Backend.DirectRouting ${JSON.stringify(isDirect)} is not a boolean`;
    throw new HopsackError("BAD_CONFIG", `${problem}; write true or false, or Mode instead`);
  }
  const mode = readMode(options, "Mode", isDirect ? "cross-subnet" : "always");
  if (!isDirect || mode === "cross-subnet") return mode;
  const problem = `Backend.Mode ${JSON.stringify(field(options, "Mode"))} and DirectRouting true contradict each other`;
  throw new HopsackError("BAD_CONFIG", `${problem}; remove one of them (DirectRouting is Mode cross-subnet)`);
}

/** @throws BAD_CONFIG */
export function readMode(options: JsonObject, key: string, fallback: IpipMode): IpipMode {
  const value = field(options, key) ?? fallback;
  const mode = MODES.get(typeof value === "string" ? value.toLowerCase() : value);
  if (mode !== undefined) return mode;
  const accepted = "always, cross-subnet or never (or Calico's Always, CrossSubnet, Never)";
  throw new HopsackError("BAD_CONFIG", `Backend.${key} ${JSON.stringify(value)} is not accepted; use ${accepted}`);
}

function inheritsDscp(options: JsonObject): boolean {
  const value = field(options, "DSCP") ?? 0;
  if (value === 0 || value === "inherit") return value === "inherit";
  const accepted = '0 (as tunl0 has it), or "inherit" for that of the inner packet';
  throw new HopsackError("BAD_CONFIG", `Backend.DSCP ${JSON.stringify(value)} is not accepted; use ${accepted}`);
}
