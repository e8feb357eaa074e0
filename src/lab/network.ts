// Builds the namespaces of a lab and the cables between them. Everything is made inside the lab's own namespaces: the root
// namespace gets neither device nor address. Deleting the namespaces (lab.ts) removes all of it.
import { ipBatch, mapBounded, run } from "./command.js";
import type { HostSubnet } from "./host-subnet.js";
import type { Cable, HostPlan, Topology } from "./topology.js";

const AT_ONCE = 8;
const UNDERLAY_PREFIX_LENGTH = 24;

/** Creates all namespaces, the underlay's bridge or cable, and every host's eth0. */
export async function buildHosts(topology: Topology, signal: AbortSignal): Promise<void> {
  const { hosts } = topology;
  const pods = hosts.flatMap((host) => host.pods);
  const names = [topology.bridgeNetns, ...hosts.map((host) => host.netns), ...pods.map((pod) => pod.netns)];
  await ipBatch(
    null,
    names.map((name) => `netns add ${name}`),
    signal,
  );
  const { cable } = topology.spec;
  if (cable === undefined) await joinByBridge(topology, signal);
  else await joinByCable(topology, cable, signal);
  const prefixLength = cable?.prefixLength ?? UNDERLAY_PREFIX_LENGTH;
  await mapBounded(hosts, AT_ONCE, signal, (host, either) => buildHost(host, prefixLength, either));
}

async function joinByBridge({ bridgeNetns, hosts, etcd }: Topology, signal: AbortSignal): Promise<void> {
  await run("ip", ["netns", "exec", bridgeNetns, "sh", "-ec", SWITCH_SCRIPT], { signal });
  const bridgeLines = ["link add br0 type bridge", "link set br0 up", ...hosts.flatMap(cableLines)];
  const etcdLines = etcd.map(({ underlay }) => `address add ${underlay}/24 dev br0`);
  // Members reach each other, and themselves, by way of lo.
  await ipBatch(bridgeNetns, [...bridgeLines, ...etcdLines, ...(etcd.length > 0 ? ["link set lo up"] : [])], signal);
}

async function joinByCable({ hosts }: Topology, { mtuBytes, ethtool }: Cable, signal: AbortSignal): Promise<void> {
  const [first, second] = hosts;
  if (first === undefined || second === undefined) throw new Error("planTopology() lets a cable join two hosts only");
  const cable = `link add eth0 mtu ${mtuBytes} type veth peer name eth0 mtu ${mtuBytes} netns ${second.netns}`;
  await ipBatch(first.netns, [cable], signal);
  if (ethtool.length === 0) return;
  for (const { netns } of hosts) {
    await run("ip", ["netns", "exec", netns, "ethtool", "-K", "eth0", ...ethtool], { signal });
  }
}

/** The host's cable: its end in the bridge's namespace carries the host's name. */
function cableLines(host: HostPlan): string[] {
  return [`link add ${host.name} type veth peer name eth0 netns ${host.netns}`, `link set ${host.name} master br0 up`];
}

async function buildHost(host: HostPlan, prefixLength: number, signal: AbortSignal): Promise<void> {
  await run("ip", ["netns", "exec", host.netns, "sh", "-ec", FORWARDING_SCRIPT], { signal });
  await ipBatch(
    host.netns,
    ["link set lo up", `address add ${host.underlay}/${prefixLength} brd + dev eth0`, "link set eth0 up"],
    signal,
  );
}

/** A host routes between its pods and the tunnel, in both families where the kernel has both. */
const FORWARDING_SCRIPT = `
cd /proc/sys/net
echo 1 > ipv4/ip_forward
if [ -e ipv6/conf/all/forwarding ]; then echo 1 > ipv6/conf/all/forwarding; fi
`;

/** In alloc mode somebody else has to carry the packets: here static routes on every host do. */
export async function routeSubnets(
  hosts: readonly { readonly plan: HostPlan; readonly subnet: HostSubnet }[],
  signal: AbortSignal,
): Promise<void> {
  await mapBounded(hosts, AT_ONCE, signal, ({ plan }, either) => {
    const peers = hosts.filter((peer) => peer.plan !== plan);
    const lines = peers.map(
      ({ plan: { underlay }, subnet }) => `route add ${subnet.v4.subnet} via ${underlay} proto static`,
    );
    return ipBatch(plan.netns, lines, either);
  });
}

/** A switch shows no firewall what it carries, which costs each packet time; br_netfilter may not be loaded. */
const SWITCH_SCRIPT = `
for family in arp ip ip6; do
  setting=/proc/sys/net/bridge/bridge-nf-call-"$family"tables
  if [ -e "$setting" ]; then echo 0 > "$setting"; fi
done
`;
