// The modes as data: how each is asked for, and what it adds to a host, in the words of iproute2.
import type { Member, Mode, Traces } from "./mode-matrix.js";

const NO_TRACES: Traces = { links: [], addresses: [], routes: [], neighbours: [], fdb: [] };
const PUMP_LINK = "<POINTOPOINT,MULTICAST,NOARP,UP,LOWER_UP>";
const USERSPACE = ["--vxlan-engine", "userspace"];

const subnet = ({ number }: Member): string => `10.244.${number}.0/24`;
const base = ({ number }: Member): string => `10.244.${number}.0`;

/** A TUN device with one route of the whole network into it. */
function pump(device: string, mtuBytes: number, own: Member): Traces {
  return {
    ...NO_TRACES,
    links: [`${device}: ${PUMP_LINK} mtu ${mtuBytes}`],
    addresses: [`${device} inet ${base(own)}/32`],
    routes: [`10.244.0.0/16 dev ${device} proto 85 scope link`],
  };
}

/** The kernel's device, with a route, a neighbour and a forwarding entry to each peer behind it. */
function vxlan(own: Member, peers: readonly Member[], macOf: (peer: Member) => string): Traces {
  return {
    links: ["flannel.1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450"],
    addresses: [`flannel.1 inet ${base(own)}/32`],
    routes: peers.map((peer) => `${subnet(peer)} via ${base(peer)} dev flannel.1 proto 85 onlink`),
    neighbours: peers.map((peer) => `${base(peer)} dev flannel.1 lladdr ${macOf(peer)} PERMANENT`),
    fdb: peers.map((peer) => `${macOf(peer)} dev flannel.1 dst ${peer.address} self permanent`),
  };
}

const byGateway = (peer: Member): string => `${subnet(peer)} via ${peer.address} dev eth0 proto 85`;
const isOnLink = (own: Member, peer: Member): boolean => linkOf(own) === linkOf(peer);
const linkOf = ({ address }: Member): string => address.slice(0, address.lastIndexOf("."));

const COMMON = { flags: () => [], isOneLink: false, isKernels: true, isRouted: false } as const;

export const UDP: Mode = {
  ...COMMON,
  name: "udp",
  backend: { Type: "udp" },
  mtuBytes: 1472,
  isKernels: false,
  traces: (own) => pump("flannel0", 1472, own),
};

const EBPF = ["--engine", "ebpf"];

export const UDP_EBPF: Mode = { ...UDP, name: "udp, eBPF engine", flags: () => EBPF };

/** Only b has the pump alone. */
export const UDP_EBPF_MIXED: Mode = {
  ...UDP,
  name: "udp, hosts with the eBPF engine among hosts without",
  flags: ({ name }) => (name === "b" ? [] : EBPF),
};

export const VXLAN: Mode = {
  ...COMMON,
  name: "vxlan, kernel engine",
  backend: { Type: "vxlan" },
  mtuBytes: 1450,
  traces: vxlan,
};

export const VXLAN_USERSPACE: Mode = {
  ...VXLAN,
  name: "vxlan, userspace engine",
  flags: () => USERSPACE,
  isKernels: false,
  traces: (own) => pump("flannel.1", 1450, own),
};

/** Only b has the kernel's engine: streams go between the engines, and within user space. */
export const VXLAN_MIXED: Mode = {
  ...VXLAN,
  name: "vxlan, hosts with the userspace engine among hosts with the kernel's",
  flags: ({ name }) => (name === "b" ? [] : USERSPACE),
  isKernels: false,
  traces: (own, peers, macOf) => (own.name === "b" ? vxlan(own, peers, macOf) : pump("flannel.1", 1450, own)),
};

export const VXLAN_EBPF: Mode = {
  ...VXLAN_USERSPACE,
  name: "vxlan, eBPF engine",
  flags: () => [...USERSPACE, ...EBPF],
};

/** a has the eBPF engine, b the kernel's, the third the pump alone. */
export const VXLAN_EBPF_MIXED: Mode = {
  ...VXLAN_MIXED,
  name: "vxlan, hosts with the eBPF engine among hosts with the pump's and the kernel's",
  flags: ({ name }) => (name === "a" ? [...USERSPACE, ...EBPF] : name === "b" ? [] : USERSPACE),
};

export const DIRECT_ROUTING: Mode = {
  ...VXLAN,
  name: "vxlan with DirectRouting",
  backend: { Type: "vxlan", DirectRouting: true },
  traces: (own, peers, macOf) => {
    const [direct, far] = [peers.filter((peer) => isOnLink(own, peer)), peers.filter((peer) => !isOnLink(own, peer))];
    const tunnelled = vxlan(own, far, macOf);
    return { ...tunnelled, routes: [...direct.map(byGateway), ...tunnelled.routes] };
  },
};

export const HOST_GW: Mode = {
  ...COMMON,
  name: "host-gw",
  backend: { Type: "host-gw" },
  mtuBytes: 1500,
  isOneLink: true,
  traces: (_own, peers) => ({ ...NO_TRACES, routes: peers.map(byGateway) }),
};

/** The pod's cable has the whole subnet, as a bridge would: the blackhole stands behind it. */
export const BGP: Mode = {
  ...COMMON,
  name: "bgp",
  backend: { Type: "bgp" },
  mtuBytes: 1500,
  isOneLink: true,
  traces: (own, peers) => ({
    ...NO_TRACES,
    routes: [
      `blackhole ${subnet(own)} proto bird metric 32`,
      ...peers.map((peer) => `${subnet(peer)} via ${peer.address} dev eth0 proto bird`),
    ],
  }),
};

const USERSPACE_IPIP = ["--ipip-engine", "userspace"];

export const IPIP: Mode = {
  ...COMMON,
  name: "ipip, userspace engine",
  backend: { Type: "ipip" },
  flags: () => USERSPACE_IPIP,
  mtuBytes: 1480,
  isKernels: false,
  traces: (own) => pump("flannel.ipip", 1480, own),
};

export const IPIP_EBPF: Mode = { ...IPIP, name: "ipip, eBPF engine", flags: () => [...USERSPACE_IPIP, ...EBPF] };

/** Only b has the pump alone. */
export const IPIP_EBPF_MIXED: Mode = {
  ...IPIP,
  name: "ipip, hosts with the eBPF engine among hosts without",
  flags: ({ name }) => [...USERSPACE_IPIP, ...(name === "b" ? [] : EBPF)],
};

export const IPIP_CROSS_SUBNET: Mode = {
  ...IPIP,
  name: "ipip across subnets, userspace engine",
  backend: { Type: "ipip", Mode: "cross-subnet" },
  traces: (own, peers) => {
    const { routes, ...tunnel } = pump("flannel.ipip", 1480, own);
    return { ...tunnel, routes: [...routes, ...peers.filter((peer) => isOnLink(own, peer)).map(byGateway)] };
  },
};

export const IPIP_NEVER: Mode = {
  ...HOST_GW,
  name: "ipip that never tunnels",
  backend: { Type: "ipip", Mode: "never" },
};

/** BIRD's routes, some or all of them through the device. */
const bgpWithIpip = (word: string, isTunnelled: (own: Member, peer: Member) => boolean): Mode => ({
  ...IPIP,
  name: `bgp, IPIP ${word}`,
  backend: { Type: "bgp", IPIP: word },
  traces: (own, peers) => {
    const { routes: _, ...tunnel } = pump("flannel.ipip", 1480, own);
    const blackhole = `blackhole ${subnet(own)} proto bird metric 32`;
    const route = (peer: Member): string => {
      const device = isTunnelled(own, peer) ? "flannel.ipip proto bird onlink" : "eth0 proto bird";
      return `${subnet(peer)} via ${peer.address} dev ${device}`;
    };
    return { ...tunnel, routes: [blackhole, ...peers.map(route)] };
  },
});

export const BGP_IPIP_ALWAYS = bgpWithIpip("Always", () => true);
export const BGP_IPIP_CROSS_SUBNET = bgpWithIpip("CrossSubnet", (own, peer) => !isOnLink(own, peer));

export const ALLOC: Mode = {
  ...COMMON,
  name: "alloc",
  backend: { Type: "alloc" },
  mtuBytes: 1500,
  isRouted: true,
  traces: () => NO_TRACES,
};
