// VXLAN by the pump: the same lease and the same wire as the kernel's device (vxlan.ts), host by host. One TUN device under the
// kernel device's name, one route of the whole Network into it; the pump puts 22 bytes in front of each inner packet, VXLAN and
// inner Ethernet, and finds the host by the inner destination.
import type { HeaderCheck } from "../addon.js";
import { subnetsOf } from "../lease/lease.js";
import { parseMac } from "../net/mac.js";
import { formatPrefix, type IpFamily } from "../net/prefix.js";
import type { Plan, PumpRoute, RoutePlan } from "../plan/plan.js";
import { ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, ETHERNET_HEADER_BYTES, encodeEthernetHeader } from "../wire/ethernet.js";
import { encodeVni, encodeVxlanHeader, VXLAN_FLAG_VNI, VXLAN_HEADER_BYTES, VXLAN_VNI_OFFSET } from "../wire/vxlan.js";
import type { Backend, BackendInput } from "./backend.js";
import { isOnLink } from "./direct-route.js";
import { deviceAddress, innerMtu, masquerades, PeerRows, type PeerSubnet } from "./subnets.js";
import { endOf, VXLAN } from "./tunnel-ends.js";
import { questionsTo } from "./vtep-answers.js";
import { vtepMac } from "./vtep-mac.js";
import { OVERHEAD_BYTES, readOptions, vxlanIdentity } from "./vxlan.js";

const TX_QUEUE_PACKETS = 1000;
/** RFC 7348 §5 wants the source port to differ by inner flow, so that the underlay can spread flows and receivers merge each. */
const SOURCE_PORTS = 16;
const ETHER_TYPE_OFFSET = VXLAN_HEADER_BYTES + 12;

/** @throws BAD_CONFIG for options or an underlay MTU that cannot be used */
export function createUserspaceVxlanBackend(input: BackendInput): Backend {
  const { config } = input;
  const options = readOptions(input);
  const name = `flannel.${options.vni}`;
  const ownMac = vtepMac(input.identity, options.vni);
  const mtuBytes = innerMtu(input, options.mtuBytes, OVERHEAD_BYTES);
  const isDirect = ({ subnet, peer }: PeerSubnet) =>
    options.hasDirectRouting && subnet.family === 4 && isOnLink(input.reach, peer.attrs.publicIp);
  const rows = new PeerRows(input, (row) => {
    const route = isDirect(row) ? null : pumpRoute(row, options, macBytes(ownMac));
    return { ...row, route };
  });
  return {
    ...vxlanIdentity({ vni: options.vni, v4: { endpoint: input.underlay.publicIp, macAddress: ownMac }, v6: null }),
    type: VXLAN,
    overheadBytes: OVERHEAD_BYTES,
    deviceNames: [name],
    socket: {
      tunName: name,
      protocol: "udp",
      port: options.port,
      isDscpInherited: false,
      sourcePorts: SOURCE_PORTS,
      innerMtuBytes: mtuBytes,
      headerBytes: VXLAN_HEADER_BYTES + ETHERNET_HEADER_BYTES,
      headerChecks: headerChecks(options.vni, macBytes(ownMac)),
      endsInEthernet: true,
      questions: questionsTo({ vni: options.vni, mac: macBytes(ownMac) }),
    },
    plan: (own, peers): Plan => {
      const all = rows.of(own, peers);
      return {
        links: [{ kind: "tun", name, mtuBytes, txQueueLength: TX_QUEUE_PACKETS }],
        addresses: subnetsOf(own).map((subnet) => ({ link: name, address: deviceAddress(subnet) })),
        routes: [
          ...[config.network, config.networkV6]
            .filter((network) => network !== null)
            .map((network) => ({ prefix: formatPrefix(network), link: name, gateway: null, isOnLink: false })),
          ...all.filter(isDirect).map(({ prefix, peer }): RoutePlan => {
            return { prefix, link: input.underlay.linkName, gateway: peer.attrs.publicIp, isOnLink: false };
          }),
        ],
        neighbors: [],
        fdb: [],
        masquerades: masquerades(input, own),
        pumpRoutes: all.flatMap(({ route }) => route ?? []),
      };
    },
  };
}

/** null for a peer whose tunnel end cannot be used. */
function pumpRoute(
  { subnet, prefix, peer }: PeerSubnet,
  { vni, port }: { readonly vni: number; readonly port: number },
  ownMac: Uint8Array,
): PumpRoute | null {
  const end = endOf(peer);
  if (end === null) return null;
  const ethernet = encodeEthernetHeader(macBytes(end.macAddress), ownMac, etherTypeOf(subnet.family));
  const header = Uint8Array.of(...encodeVxlanHeader(vni), ...ethernet);
  return { prefix, endpoint: { address: end.endpoint, port }, header };
}

/** In this order, so that the reason that is counted is the outermost one. */
function headerChecks(vni: number, ownMac: Uint8Array): HeaderCheck[] {
  const all = (length: number) => new Uint8Array(length).fill(0xff);
  const flag = Uint8Array.of(VXLAN_FLAG_VNI);
  return [
    { offset: 0, value: flag, mask: flag, reason: "no_vni_flag" },
    { offset: VXLAN_VNI_OFFSET, value: encodeVni(vni), mask: all(3), reason: "wrong_vni" },
    { offset: VXLAN_HEADER_BYTES, value: Uint8Array.of(0), mask: Uint8Array.of(1), reason: "inner_multicast" },
    { offset: VXLAN_HEADER_BYTES, value: ownMac, mask: all(6), reason: "wrong_inner_mac" },
    { ...etherTypeCheck(4), exceptVersion: 6 },
    { ...etherTypeCheck(6), exceptVersion: 4 },
  ];
}

function etherTypeCheck(family: IpFamily): HeaderCheck {
  const type = etherTypeOf(family);
  const value = Uint8Array.of(type >>> 8, type & 0xff);
  return { offset: ETHER_TYPE_OFFSET, value, mask: Uint8Array.of(0xff, 0xff), reason: "wrong_ether_type" };
}

function etherTypeOf(family: IpFamily): number {
  return family === 4 ? ETHER_TYPE_IPV4 : ETHER_TYPE_IPV6;
}

function macBytes(canonical: string): Uint8Array {
  const octets = parseMac(canonical);
  if (octets === undefined) throw new TypeError(`not a canonical MAC: ${canonical}`);
  return octets;
}
