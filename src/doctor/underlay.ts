// Do packets to the other hosts leave by the interface that hopsackd chose, under an address that is this host's alone?
import { contains, formatPrefix, parseAddress, parsePrefix } from "../net/prefix.js";
import { type Check, type Finding, problem, warning } from "./check.js";
import { type Facts, linkOf, nameOf } from "./facts.js";

/** What VirtualBox gives to the first card of every machine, Vagrant's too. */
const VIRTUALBOX_NAT = /^10\.0\.2\.15$/;

export const UNDERLAY_CHECKS: readonly Check[] = [
  { id: "underlay-interface", question: "Does the chosen interface lead to the other hosts?", find: wrongInterface },
  {
    id: "underlay-address",
    question: "Can other hosts send to the published address?",
    find: ({ report }) => {
      const { publicIp = "", link = "" } = report?.underlay ?? {};
      if (!VIRTUALBOX_NAT.test(publicIp)) return [];
      const what = `the public IP ${publicIp} of ${link} is the one VirtualBox gives to every machine: no other host can send to it`;
      return [problem(what, "start hopsackd with --iface and the interface of the network that the machines share")];
    },
  },
  { id: "duplicate-public-ip", question: "Is the public IP this host's alone?", find: duplicateAddress },
];

/** One finding for each wrong interface, not for each peer. */
function wrongInterface(facts: Facts): Finding[] {
  const { report, peers, links } = facts;
  const underlay = report?.underlay ?? null;
  if (underlay === null) return [];
  const away = new Map<string, { peer: string; prefix: string; count: number }>();
  const unrouted: string[] = [];
  for (const peer of peers) {
    const route = facts.routeTo(peer.publicIp);
    const link = links.find(({ index }) => index === route?.nextHops[0]?.linkIndex)?.name;
    if (route === null || link === undefined) unrouted.push(nameOf(peer));
    else if (link !== underlay.link) {
      const known = away.get(link);
      away.set(link, {
        peer: known?.peer ?? nameOf(peer),
        prefix: coveringRoute(facts, peer.publicIp, link),
        count: (known?.count ?? 0) + 1,
      });
    }
  }
  const wrong = [...away].map(([link, { peer, prefix, count }]) => {
    const others = count > 1 ? ` and ${count - 1} more` : "";
    const what = `hopsackd sends from ${underlay.address} of ${underlay.link}, but packets to ${peer}${others} leave by ${link}, because of the route ${prefix}`;
    return problem(what, `start hopsackd with --iface ${link}, or correct that route`);
  });
  const [first] = unrouted;
  if (first === undefined) return wrong;
  const others = unrouted.length > 1 ? ` and ${unrouted.length - 1} more` : "";
  return [
    ...wrong,
    problem(`this host has no route to ${first}${others}`, "add a default route, or one to that network"),
  ];
}

/** The longest prefix of the main table that leads there. */
function coveringRoute({ routes, links }: Facts, text: string, linkName: string): string {
  const index = links.find(({ name }) => name === linkName)?.index;
  const address = parseAddress(text);
  const covering = routes
    .filter(({ nextHops }) => nextHops.some(({ linkIndex }) => linkIndex === index))
    .map(({ prefix }) => parsePrefix(prefix))
    .filter((prefix) => prefix !== undefined)
    .filter((prefix) => prefix.family === address?.family && contains(prefix, address.bits))
    .toSorted((a, b) => b.length - a.length)[0];
  if (covering === undefined) return `to ${text} of another table`;
  return covering.length === 0 ? "default" : formatPrefix(covering);
}

/** Another machine with our address answers ARP for it; only arping asks for one's own. */
async function duplicateAddress(facts: Facts): Promise<Finding[]> {
  const { address = null, link = "" } = facts.report?.underlay ?? {};
  const own = linkOf(facts, link)?.hardwareAddress ?? null;
  if (address === null || own === null) return [];
  const said = await facts.run("arping", ["-D", "-f", "-c", "2", "-w", "2", "-I", link, address]);
  const rival = /\[([0-9A-Fa-f:]{17})\]/.exec(said)?.[1]?.toLowerCase();
  if (rival === undefined || rival === own) return [];
  const what = `the machine ${rival} on the link of ${link} has this host's address ${address} too`;
  return [warning(what, "give one of the two another address")];
}
