// Do packets of every length reach the peers, and does the tunnel's UDP port?
import { type Check, type Finding, note, problem, warning } from "./check.js";
import { type Facts, linkOf, nameOf, type Peer } from "./facts.js";

/** An IP header and a UDP or ICMP header: what the shortest packet to be tried has. */
const SMALL_BYTES = 84;

export const PATH_CHECKS: readonly Check[] = [
  { id: "device-mtu", question: "Has the overlay's device the MTU that its mode needs?", find: deviceMtu },
  {
    id: "path-mtu",
    question: "Do packets of the underlay's full length reach every peer's host?",
    find: (facts) => eachPeer(facts, pathMtu),
  },
  {
    id: "overlay-length",
    question: "Do packets of the overlay's full length reach every peer?",
    find: (facts) => eachPeer(facts, overlayLength),
  },
  {
    id: "tunnel-port",
    question: "Does the tunnel's UDP port reach every peer?",
    find: (facts) => eachPeer(facts, tunnelPort),
  },
];

async function eachPeer(
  facts: Facts,
  find: (facts: Facts, peer: Peer) => Promise<readonly Finding[]>,
): Promise<Finding[]> {
  return (await Promise.all(facts.peers.map((peer) => find(facts, peer)))).flat();
}

function deviceMtu(facts: Facts): Finding[] {
  const { device, underlay } = facts.report ?? {};
  const link = linkOf(facts, device?.name);
  if (!device || !underlay || link === undefined || link.mtuBytes === device.mtuBytes) return [];
  const what = `${device.name} has MTU ${link.mtuBytes}, and ${device.mtuBytes} is what fits into ${underlay.link}`;
  return [problem(what, `see who changes it, and set it back: ip link set ${device.name} mtu ${device.mtuBytes}`)];
}

/** A host that answers no ping at all tells nothing about lengths. */
async function pathMtu(facts: Facts, peer: Peer): Promise<readonly Finding[]> {
  const { underlay } = facts.report ?? {};
  if (
    !underlay ||
    !(await facts.ping(peer.publicIp, SMALL_BYTES)) ||
    (await facts.ping(peer.publicIp, underlay.mtuBytes))
  ) {
    return [];
  }
  const longest = await longestPing(facts, peer.publicIp, SMALL_BYTES, underlay.mtuBytes);
  const what = `packets of ${underlay.mtuBytes} bytes, as ${underlay.link} sends them, do not reach ${nameOf(peer)}; the longest that do have ${longest}`;
  return [
    problem(
      what,
      `set the MTU of ${underlay.link} to ${longest} on all hosts, or let the way between them carry ${underlay.mtuBytes}`,
    ),
  ];
}

/** @param passes a length that does, and `fails` one that does not */
async function longestPing(facts: Facts, address: string, passes: number, fails: number): Promise<number> {
  if (fails - passes <= 1) return passes;
  const middle = Math.floor((passes + fails) / 2);
  return (await facts.ping(address, middle))
    ? longestPing(facts, address, middle, fails)
    : longestPing(facts, address, passes, middle);
}

async function overlayLength(facts: Facts, peer: Peer): Promise<readonly Finding[]> {
  const bytes = facts.report?.device?.mtuBytes;
  if (bytes === undefined || !(await facts.ask(peer, SMALL_BYTES)) || (await facts.ask(peer, bytes))) return [];
  const what = `packets of ${bytes} bytes, which pods may send, do not reach ${nameOf(peer)} through the overlay, and short ones do`;
  return [
    problem(
      what,
      "make the path between the hosts carry the underlay's MTU, or lower that of the underlay's interface on all hosts",
    ),
  ];
}

async function tunnelPort(facts: Facts, peer: Peer): Promise<readonly Finding[]> {
  const port = facts.report?.device?.udpPort ?? null;
  if (port === null) return isIpip(facts) ? ipipTunnel(facts, peer) : [];
  if (await facts.ask(peer, SMALL_BYTES)) return [];
  const place = `UDP ${port} of ${nameOf(peer)}`;
  switch (await facts.knock(peer.publicIp, port)) {
    case "kept back":
      return [
        problem(
          `this host's own firewall keeps back what goes to ${place}`,
          `accept it in the output chain: udp dport ${port} accept`,
        ),
      ];
    case "refused":
      return [
        problem(
          `nobody listens on ${place}, or its firewall rejects it`,
          "start hopsackd there, and accept that port in its firewall",
        ),
      ];
    case "silence":
      return [await unansweredPeer(facts, peer, place, `UDP ${port}`)];
  }
}

/** A mode with a device and no port. */
function isIpip({ report }: Facts): boolean {
  return report?.device != null && ["ipip", "bgp"].includes(report.backend ?? "");
}

/** Nobody can knock there: a host without IP-in-IP answers with ICMP protocol unreachable, which only raw sockets hear. */
async function ipipTunnel(facts: Facts, peer: Peer): Promise<readonly Finding[]> {
  if (await facts.ask(peer, SMALL_BYTES)) return [];
  const protocol = "IP protocol 4 (nft: ip protocol 4 accept)";
  return [await unansweredPeer(facts, peer, `IP-in-IP to ${nameOf(peer)}`, protocol)];
}

/** Who was heard before can answer. Others may run flannel, or without probes: a lease with a node's name is at least likely ours. */
async function unansweredPeer(facts: Facts, peer: Peer, place: string, protocol: string): Promise<Finding> {
  const isThere = await facts.ping(peer.publicIp, SMALL_BYTES);
  const isHeard = (peer.reach?.lastHeardAt ?? null) !== null;
  const cure = `accept ${protocol} in the firewalls of both hosts, and of what is between them`;
  if (isHeard) {
    const detail = isThere ? ", and its host answers ping" : "";
    return problem(`${place} does not answer through the tunnel${detail}: something drops the tunnel's packets`, cure);
  }
  if (!isThere) {
    const what = `${nameOf(peer)} answers neither ping nor probes`;
    return warning(
      what,
      "see whether that host runs and has that address, or remove its lease: hopsack leases release",
    );
  }
  const what = `${nameOf(peer)} does not answer probes: it runs flannel or without probes, or something drops ${place}`;
  return (peer.node === null ? note : warning)(what, `ping one of its pods; if none answers, ${cure}`);
}
