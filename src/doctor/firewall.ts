// Does a firewall on this host drop the overlay's packets on their way through?
import { covers, overlaps, type Prefix, parsePrefix } from "../net/prefix.js";
import { type Check, type Finding, note, problem, warning } from "./check.js";
import type { Facts } from "./facts.js";
import { destinationsOf, hasVerdict, type NftChain, type NftRule, type NftRules } from "./nft-rules.js";

/** Chains of iptables-nft, where hopsackd adds its own rules (kernel/forward-rules.ts). */
const IPTABLES_TABLE = "filter";
const MARK = /^hopsack-/;

export const FIREWALL_CHECKS: readonly Check[] = [
  {
    id: "forward-drop",
    question: "Do the overlay's packets pass the chains that forward?",
    find: async (facts) => {
      const rules = await facts.nftRules();
      const dropping = rules.chains.filter(({ hook, policy }) => hook === "forward" && policy === "drop");
      return dropping.filter(isForIpv4).flatMap((chain) => droppedIn(chain, rules, facts));
    },
  },
  {
    id: "guard",
    question: "Is the tunnel's port open to known hosts only?",
    find: ({ report }) => {
      const guard = report?.guard ?? null;
      if (guard === null) return [];
      const what = `the guard is on: nftables drops what others than ${guard.peers} known addresses send to UDP ${guard.ports.join(" and ")}, ${guard.droppedPackets} packets so far`;
      return [
        note(
          what,
          `a host that sends from another address than its lease says is dropped too: nft list table ${guard.table}`,
        ),
      ];
    },
  },
  {
    id: "docker-direct-routing",
    question: "Do other hosts reach containers of Docker on this one?",
    find: dockerDrops,
  },
];

function isForIpv4({ family }: { readonly family: string }): boolean {
  return family === "ip" || family === "inet";
}

function droppedIn(chain: NftChain, { rules }: NftRules, { report }: Facts): Finding[] {
  const place = `${chain.family} ${chain.table} ${chain.name}`;
  const network = report?.network ?? "the overlay's network";
  const ofTable = rules.filter(({ family, table }) => family === chain.family && table === chain.table);
  if (ofTable.some((rule) => isAccepted(rule, network))) return [];
  const what = `the policy of ${place} is drop, and no rule there accepts ${network}: containers are not reached from other hosts`;
  const isOurs = chain.family === "ip" && chain.table === IPTABLES_TABLE;
  if (isOurs)
    return [
      problem(
        what,
        "start hopsackd without --ip-forward=false, or: iptables -I FORWARD -s NETWORK -j ACCEPT, and the same with -d".replace(
          "NETWORK",
          network,
        ),
      ),
    ];
  return [
    warning(what, `accept it there: nft insert rule ${place} ip saddr ${network} accept, and the same with daddr`),
  ];
}

/** Ours, or one that names the network or a wider one. */
function isAccepted(rule: NftRule, network: string): boolean {
  if (!hasVerdict(rule, "accept")) return false;
  if (rule.comment !== null && MARK.test(rule.comment)) return true;
  const wanted = parsePrefix(network);
  return wanted !== undefined && prefixesOf(rule).some((prefix) => covers(prefix, wanted));
}

/** Docker 28 and later: what comes from another host straight to a container's address, in the table `raw` before all others. */
async function dockerDrops(facts: Facts): Promise<Finding[]> {
  const own = parsePrefix(facts.report?.lease?.subnet ?? "");
  if (own === undefined) return [];
  const { rules, chains } = await facts.nftRules();
  const early = chains.filter(({ hook }) => hook === "prerouting").filter(isForIpv4);
  const drops = rules.filter(
    (rule) =>
      early.some(({ family, table, name }) => rule.family === family && rule.table === table && rule.chain === name) &&
      hasVerdict(rule, "drop") &&
      prefixesOf(rule).some((prefix) => overlaps(prefix, own)),
  );
  const [first] = drops;
  if (first === undefined) return [];
  const where = `${first.family} ${first.table} ${first.chain}`;
  const device = facts.report?.device?.name ?? facts.report?.underlay?.link ?? "flannel.1";
  const what = `${drops.length === 1 ? "a rule" : `${drops.length} rules`} in ${where} drop what comes from other hosts to ${destinationsOf(first)[0]}, as Docker 28 does with containers' addresses`;
  return [
    problem(
      what,
      `let Docker trust the overlay's device: docker network create -o com.docker.network.bridge.trusted_host_interfaces=${device}, or set "allow-direct-routing": true in daemon.json; for ports that are not published, gateway_mode_ipv4=nat-unprotected`,
    ),
  ];
}

function prefixesOf(rule: NftRule): Prefix[] {
  return destinationsOf(rule)
    .map((text) => parsePrefix(text.includes("/") ? text : `${text}/32`))
    .filter((prefix) => prefix !== undefined);
}
