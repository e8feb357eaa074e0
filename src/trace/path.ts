// Who is on the way of a traced packet: the pods and hosts of a lab, or a namespace and this machine.
import { findLab } from "../capture/host.js";
import { HopsackError } from "../errors.js";
import type { HostReport, LabReport } from "../lab/lab-folder.js";
import { labNames } from "../lab/lab-folder.js";
import { netnsNames } from "../lab/process-record.js";
import { parseIpv4 } from "../net/ipv4.js";
import { contains, parseAddress, parsePrefix } from "../net/prefix.js";
import { ownAddresses } from "./host-facts.js";

export interface Member {
  readonly name: string;
  /** null: this network namespace. */
  readonly netns: string | null;
  readonly kind: "pod" | "host";
  /** Of a host's daemon. */
  readonly socket: string | null;
}

export interface Path {
  readonly source: string;
  readonly destination: string;
  readonly sourceNetns: string;
  /** In the order in which the packet is to meet them; what lies beyond this machine is not there. */
  readonly members: readonly Member[];
  /** The packet is to end at the last member. */
  readonly isWhole: boolean;
}

/**
 * @param from a pod of the lab, else a network namespace of this machine
 * @param to a pod of the lab, or an IPv4 address
 * @throws LAB_NOT_FOUND, NO_NAMESPACE, BAD_OPTION
 */
export async function findPath(from: string, to: string, labName: string, socket: string): Promise<Path> {
  const isMember = /^h[0-9]+-p[0-9]+$/.test(from);
  if (isMember && (labNames().includes(labName) || !netnsNames().includes(from))) {
    return pathInLab(findLab(labName), from, to);
  }
  return pathFromNamespace(from, to, socket);
}

function pathInLab(lab: LabReport, from: string, to: string): Path {
  const [sourceHost, sourcePod] = findPod(lab, from);
  const isAddress = parseIpv4(to) !== undefined;
  const address = isAddress ? to : findPod(lab, to)[1].address;
  if (address === sourcePod.address) {
    throw new HopsackError("BAD_OPTION", `${to} is ${from} itself; name another pod or address`);
  }
  const targetHost = lab.hosts.find(({ subnet }) => isWithin(address, subnet));
  const targetPod = targetHost?.pods.find((pod) => pod.address === address);
  const hosts = targetHost === undefined || targetHost === sourceHost ? [sourceHost] : [sourceHost, targetHost];
  const members: Member[] = [
    { name: sourcePod.name, netns: sourcePod.netns, kind: "pod", socket: null },
    ...hosts.map((host): Member => ({ name: host.name, netns: host.netns, kind: "host", socket: host.statusSocket })),
  ];
  if (targetPod !== undefined) {
    members.push({ name: targetPod.name, netns: targetPod.netns, kind: "pod", socket: null });
  }
  return {
    source: sourcePod.address,
    destination: address,
    sourceNetns: sourcePod.netns,
    members,
    isWhole: targetPod !== undefined,
  };
}

function findPod(lab: LabReport, name: string): readonly [HostReport, HostReport["pods"][number]] {
  for (const host of lab.hosts) {
    const pod = host.pods.find((candidate) => candidate.name === name);
    if (pod !== undefined) return [host, pod];
  }
  const there = lab.hosts.flatMap(({ pods }) => pods.map((pod) => pod.name)).join(", ");
  throw new HopsackError("LAB_NOT_FOUND", `lab ${lab.name} has no pod ${name}; there are: ${there}`);
}

async function pathFromNamespace(netns: string, destination: string, socket: string): Promise<Path> {
  if (!netnsNames().includes(netns)) {
    const cure = "ip netns list shows what there is, hopsack lab status the pods of labs";
    throw new HopsackError("NO_NAMESPACE", `no network namespace is named ${netns}; ${cure}`);
  }
  if (parseIpv4(destination) === undefined) {
    throw new HopsackError("BAD_OPTION", `${destination} is no IPv4 address; from a namespace give an address`);
  }
  const source = (await ownAddresses(netns)).find((address) => !address.startsWith("127."));
  if (source === undefined) {
    throw new HopsackError("NO_NAMESPACE", `${netns} has no IPv4 address to send from; attach it with: hopsack attach`);
  }
  const members: Member[] = [
    { name: netns, netns, kind: "pod", socket: null },
    { name: "this host", netns: null, kind: "host", socket },
  ];
  return { source, destination, sourceNetns: netns, members, isWhole: false };
}

export function isWithin(address: string, subnet: string): boolean {
  const [prefix, parsed] = [parsePrefix(subnet), parseAddress(address)];
  return prefix !== undefined && parsed?.family === prefix.family && contains(prefix, parsed.bits);
}
