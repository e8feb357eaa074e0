// What a lab consists of, computed from its options alone: names, addresses and paths. Pure. With etcd, br0 itself has
// an address for each member, 192.168.50.2 to .4. There is no cni0 where pods are routed.
//
//        hopsack-NAME-net                      hopsack-NAME-h1                hopsack-NAME-h1-p1
//   ┌──────────────────────┐   ┌────────────────────────────────────┐   ┌─────────────────┐
//   │ br0 ─┬─ h1 ══════════╪═══╪═ eth0 192.168.50.10                │   │                 │
//   │      ├─ h2 ═══ …     │   │  flannel0 (hopsackd)   cni0 ── … ══╪═══╪═ eth0           │
//   └──────────────────────┘   └────────────────────────────────────┘   └─────────────────┘
import { HopsackError } from "../errors.js";
import { formatIpv4 } from "../net/ipv4.js";

export const LABS_FOLDER = "/run/hopsack/labs";
export const NETWORK = "10.244.0.0/16";
export const NETWORK_V6 = "fd00:10:244::/48";
const NAME_PATTERN = /^[a-z0-9](?:[a-z0-9-]{0,18}[a-z0-9])?$/;
/** What a lab in extension mode runs when it is given no commands: host-gw's routes, as flannel's documentation shows it. */
const EXTENSION_COMMANDS = {
  SubnetAddCommand: 'ip route replace "$SUBNET" via "$PUBLIC_IP"',
  SubnetRemoveCommand: 'ip route del "$SUBNET" via "$PUBLIC_IP"',
};
/** Modes whose road between lab hosts is made of IPv4 routes, or carries nothing else. */
const IPV4_ONLY = ["alloc", "bgp", "extension", "ipip"];
const MAX_HOSTS = 100;
const MAX_PODS_PER_HOST = 50;
/** Every pod pings every other, so the work grows with the square. */
const MAX_PODS = 256;
const FIRST_UNDERLAY_ADDRESS = 0xc0a8320a; // 192.168.50.10
const FIRST_ETCD_ADDRESS = 0xc0a83202; // 192.168.50.2
/** An even number tolerates no more failures than the odd one below it. */
const ETCD_MEMBER_COUNTS = [0, 1, 3];
/** Where hopsackd looks for the network configuration in etcd, unless told otherwise: flannel's key. */
export const ETCD_CONFIG_KEY = "/coreos.com/network/config";

export interface LabSpec {
  readonly name: string;
  readonly hosts: number;
  readonly podsPerHost: number;
  /** A mode, `vxlan`, or a whole Backend of the network configuration: `{"Type": "vxlan", "DirectRouting": true}`. */
  readonly backend: string;
  readonly hasIpv6: boolean;
  /** Members of the etcd that holds the leases; 0 = a folder holds them (default). */
  readonly etcdMembers?: number;
  /** Given to every hopsackd after the lab's own options. */
  readonly daemonArgs: readonly string[];
  /** The overlay's IPv4 Network; default {@link NETWORK}. */
  readonly network?: string;
  /** Joins the lab's two hosts directly; default: a bridge, as a switch would. */
  readonly cable?: Cable;
  /** How the CNI plugin attaches the pods; default: to a bridge, cni0. */
  readonly attach?: Attach;
}

/** `routed`: no bridge, a host route for each pod. */
export type Attach = "bridge" | "routed";

/** One cable from eth0 to eth0: nothing between the hosts takes part in the work. */
export interface Cable {
  readonly mtuBytes: number;
  /** Of the hosts' addresses on it. */
  readonly prefixLength: number;
  /** For `ethtool -K eth0` on both hosts, before a daemon starts; empty: everything as it comes. */
  readonly ethtool: readonly string[];
}

export interface PodPlan {
  /** `h1-p1` */
  readonly name: string;
  readonly netns: string;
}

export interface HostPlan {
  /** `h1`, also the node name of its hopsackd. */
  readonly name: string;
  readonly netns: string;
  /** IPv4 address of eth0; the prefix is a /24. */
  readonly underlay: string;
  readonly folder: string;
  readonly statusSocket: string;
  readonly subnetFile: string;
  readonly log: string;
  readonly pods: readonly PodPlan[];
}

/** One member of the lab's etcd; it runs in the bridge's namespace. */
export interface EtcdMemberPlan {
  /** `m1` */
  readonly name: string;
  /** IPv4 address on the bridge itself; the prefix is a /24. */
  readonly underlay: string;
  readonly clientUrl: string;
  readonly peerUrl: string;
  readonly dataFolder: string;
  readonly log: string;
}

export interface Topology {
  readonly spec: LabSpec;
  readonly folder: string;
  readonly storeFolder: string;
  /** Namespace of the underlay's bridge, and of etcd. */
  readonly bridgeNetns: string;
  /** Empty when the leases are in `storeFolder`. */
  readonly etcd: readonly EtcdMemberPlan[];
  readonly hosts: readonly HostPlan[];
}

/** @throws BAD_OPTION naming option, value, and what is accepted */
export function planTopology(spec: LabSpec): Topology {
  checkSpec(spec);
  const folder = labFolder(spec.name);
  const hosts = Array.from({ length: spec.hosts }, (_, index) => planHost(spec, folder, index));
  const etcd = Array.from({ length: spec.etcdMembers ?? 0 }, (_, index) => planEtcdMember(folder, index));
  return { spec, folder, storeFolder: `${folder}/store`, bridgeNetns: `${netnsPrefix(spec.name)}net`, etcd, hosts };
}

/** The Backend of the lab's network configuration. @throws BAD_OPTION */
export function backendOf({ backend }: Pick<LabSpec, "backend">): { readonly Type: string } {
  if (!backend.trimStart().startsWith("{")) {
    return { Type: backend, ...(backend === "extension" && EXTENSION_COMMANDS) };
  }
  const given = jsonObject(backend);
  const type = given?.Type;
  if (typeof type === "string" && type !== "") return { ...given, Type: type };
  const example = '{"Type": "vxlan", "DirectRouting": true}';
  throw new HopsackError("BAD_OPTION", `--backend ${backend} is no Backend; write a mode, or JSON like ${example}`);
}

function jsonObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    return { ...JSON.parse(text) };
  } catch {
    return null;
  }
}

/** The lab's folder. @throws BAD_OPTION for a name that cannot be part of a namespace's name */
export function labFolder(name: string): string {
  if (!NAME_PATTERN.test(name)) {
    const accepted = "at most 20 of a-z, 0-9 and -, with no - at either end";
    throw new HopsackError("BAD_OPTION", `--name ${JSON.stringify(name)} cannot name a lab; use ${accepted}`);
  }
  return `${LABS_FOLDER}/${name}`;
}

/** Whether a namespace of this name belongs to lab `labName` (and not to another one whose name begins alike). */
export function isNetnsOfLab(netns: string, labName: string): boolean {
  const prefix = netnsPrefix(labName);
  return netns.startsWith(prefix) && /^(?:net|h[0-9]+(?:-p[0-9]+)?)$/.test(netns.slice(prefix.length));
}

/** Namespace of the host or pod `member` (`h1`, `h1-p1`), or undefined when it cannot be a member's name. */
export function memberNetns(labName: string, member: string): string | undefined {
  return /^h[0-9]+(?:-p[0-9]+)?$/.test(member) ? `${netnsPrefix(labName)}${member}` : undefined;
}

function netnsPrefix(labName: string): string {
  return `hopsack-${labName}-`;
}

function planHost(spec: LabSpec, labFolderPath: string, index: number): HostPlan {
  const name = `h${index + 1}`;
  const folder = `${labFolderPath}/${name}`;
  const netns = `${netnsPrefix(spec.name)}${name}`;
  return {
    name,
    netns,
    underlay: formatIpv4(FIRST_UNDERLAY_ADDRESS + index),
    folder,
    statusSocket: `${folder}/hopsackd.sock`,
    subnetFile: `${folder}/subnet.env`,
    log: `${folder}/hopsackd.log`,
    pods: Array.from({ length: spec.podsPerHost }, (_, pod) => ({
      name: `${name}-p${pod + 1}`,
      netns: `${netns}-p${pod + 1}`,
    })),
  };
}

function planEtcdMember(labFolderPath: string, index: number): EtcdMemberPlan {
  const name = `m${index + 1}`;
  const underlay = formatIpv4(FIRST_ETCD_ADDRESS + index);
  const folder = `${labFolderPath}/etcd`;
  return {
    name,
    underlay,
    clientUrl: `http://${underlay}:2379`,
    peerUrl: `http://${underlay}:2380`,
    dataFolder: `${folder}/${name}`,
    log: `${folder}/${name}.log`,
  };
}

function checkSpec({ hosts, podsPerHost, backend, hasIpv6, etcdMembers = 0, cable }: LabSpec): void {
  checkCount("--hosts", hosts, MAX_HOSTS);
  checkCount("--pods", podsPerHost, MAX_PODS_PER_HOST);
  if (hosts * podsPerHost > MAX_PODS) {
    const total = `--hosts ${hosts} with --pods ${podsPerHost} makes ${hosts * podsPerHost} pods`;
    throw new HopsackError("BAD_OPTION", `${total}; a lab has at most ${MAX_PODS}`);
  }
  if (!ETCD_MEMBER_COUNTS.includes(etcdMembers)) {
    throw new HopsackError("BAD_OPTION", `--etcd-members ${etcdMembers} is not accepted; give 1 or 3`);
  }
  if (cable !== undefined && (hosts !== 2 || etcdMembers > 0)) {
    throw new HopsackError("BAD_OPTION", `a cable joins two hosts, not ${hosts} with ${etcdMembers} etcd members`);
  }
  if (backend === "") throw new HopsackError("BAD_OPTION", '--backend "" names no backend; use udp, vxlan or host-gw');
  const { Type } = backendOf({ backend });
  if (hasIpv6 && IPV4_ONLY.includes(Type)) {
    const problem = `--ipv6 does not go with --backend ${Type}: the hosts of a lab have IPv4 addresses only to route by`;
    throw new HopsackError("BAD_OPTION", `${problem}; leave it away, or use udp or vxlan`);
  }
}

function checkCount(option: string, count: number, most: number): void {
  if (Number.isInteger(count) && count >= 1 && count <= most) return;
  throw new HopsackError("BAD_OPTION", `${option} ${count} is not accepted; give a whole number from 1 to ${most}`);
}
