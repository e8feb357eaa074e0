// Policies and pods → nftables rules. Pure.
//
//   forward, chain egress    source ──map──▶ pod-egress-… ─▶ policy-egress-…     the same for input: the host itself
//   forward, chain ingress   destination ──map──▶ pod-ingress-… ─▶ policy-ingress-… ─▶ refused, unless of a known connection
//
// A pod that no policy selects is in no map. What a policy's groups hold are sets: one label more is one element more.
import { createHash } from "node:crypto";
import { formatPrefix, type IpFamily } from "../net/prefix.js";
import { type Pod, podKey } from "./pod-records.js";
import {
  DIRECTIONS,
  type Direction,
  type Group,
  type Policy,
  type PolicySet,
  type Rule,
  selects,
  type Traffic,
} from "./policy.js";
import { type NftChain, type NftSet, NO_RULES, type Ruleset, type TableFamily } from "./ruleset.js";

const FAMILIES: readonly IpFamily[] = [4, 6];
const HASH_CHARS = 12;
/** Without them no neighbour is found; RFC 4861 6.1: with 255 no router has passed them on. br_netfilter shows them to `forward`, too. */
const NEIGHBOR_DISCOVERY = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept";

/** Every pod has such an address, whatever it was given, and the host hears it. */
const LINK_LOCAL_OF_POD = "iifname @egress-links ip6 saddr fe80::/10";

export type Verdict = "allowed" | "denied";

/** A pod with the policies that speak of one direction of it. */
interface Protected {
  readonly pod: Pod;
  readonly direction: Direction;
  readonly policies: readonly Policy[];
}

export function counterName(direction: Direction, verdict: Verdict, policy: string): string {
  return `${direction}-${verdict}-${policy}`;
}

/** Nothing at all without policies. */
export function compile({ groups, policies }: PolicySet, pods: readonly Pod[]): Ruleset {
  if (policies.length === 0) return NO_RULES;
  const everyProtected = DIRECTIONS.flatMap((direction) => protectedPods(direction, policies, pods));
  const spoken = policies.flatMap((policy) =>
    DIRECTIONS.flatMap((direction) => (policy[direction] === null ? [] : [{ policy, direction }])),
  );
  const bridged = everyProtected.filter(({ pod }) => pod.bridgeMac !== null);
  const routed = everyProtected.filter(({ pod }) => pod.bridgeMac === null);
  return {
    counters: spoken.flatMap(({ policy, direction }) => [
      counterName(direction, "allowed", policy.name),
      counterName(direction, "denied", policy.name),
    ]),
    sets: [
      ...groups.flatMap((group) => groupSets(group, pods)),
      ...DIRECTIONS.flatMap((direction) => verdictMaps(direction, everyProtected)),
      linkSet("inet", "egress", routed),
      ...(bridged.length > 0 ? bridgeSets(bridged) : []),
    ],
    chains: [
      ...spoken.map(({ policy, direction }) => policyChain(policy, direction, groups)),
      ...everyProtected.map(podChain),
      ...baseChains(),
      ...(bridged.length > 0 ? bridgeChains() : []),
    ],
  };
}

/** Those that protect the pod in a direction. */
export function policiesOf(pod: Pod, policies: readonly Policy[], direction: Direction): Policy[] {
  return policies.filter((policy) => policy[direction] !== null && selects(policy.pods, pod.labels));
}

function protectedPods(direction: Direction, policies: readonly Policy[], pods: readonly Pod[]): Protected[] {
  return pods
    .map((pod) => ({ pod, direction, policies: policiesOf(pod, policies, direction) }))
    .filter(({ policies }) => policies.length > 0);
}

function groupSets({ name, pods: selectors, prefixes }: Group, pods: readonly Pod[]): NftSet[] {
  const members = pods.filter(({ labels }) => selectors.some((selector) => selects(selector, labels)));
  return FAMILIES.flatMap((family) => {
    const own = prefixes.filter((prefix) => prefix.family === family);
    const base = { family: "inet", kind: "set", type: addressType(family) } as const;
    return [
      ...(selectors.length === 0
        ? []
        : [
            { ...base, name: podsSet(name, family), isInterval: false, elements: sorted(addressesOf(members, family)) },
          ]),
      ...(own.length === 0
        ? []
        : [{ ...base, name: networksSet(name, family), isInterval: true, elements: sorted(own.map(formatPrefix)) }]),
    ];
  });
}

function verdictMaps(direction: Direction, everyProtected: readonly Protected[]): NftSet[] {
  const mine = everyProtected.filter((one) => one.direction === direction);
  return FAMILIES.map((family) => ({
    family: "inet",
    name: `${direction}${family}`,
    kind: "map",
    type: `${addressType(family)} : verdict`,
    isInterval: false,
    elements: entries(mine, family, (one) => `goto ${podChainName(one)}`),
  }));
}

/** What goes to or from a protected pod must not pass from port to port, but through the host: see bridgeChains(). */
function bridgeSets(bridged: readonly Protected[]): NftSet[] {
  const maps = FAMILIES.map(
    (family): NftSet => ({
      family: "bridge",
      name: `bridge${family}`,
      kind: "map",
      type: `${addressType(family)} : ether_addr`,
      isInterval: false,
      elements: entries(bridged, family, ({ pod }) => pod.bridgeMac ?? ""),
    }),
  );
  return [...maps, ...DIRECTIONS.map((direction) => linkSet("bridge", direction, bridged))];
}

function linkSet(family: TableFamily, direction: Direction, of: readonly Protected[]): NftSet {
  const links = of.filter((one) => one.direction === direction).map(({ pod }) => pod.hostLink);
  const elements = sorted(links.filter((link) => link !== null).map((link) => `"${link}"`));
  return { family, name: `${direction}-links`, kind: "set", type: "ifname", isInterval: false, elements };
}

function policyChain(policy: Policy, direction: Direction, groups: readonly Group[]): NftChain {
  const rules = (policy[direction] ?? []).flatMap((rule) => ruleLines(rule, direction, groups));
  const allowed = `counter name ${counterName(direction, "allowed", policy.name)} accept`;
  return {
    family: "inet",
    name: policyChainName(direction, policy),
    hook: null,
    rules: rules.map((match) => `${match} ${allowed}`.trimStart()),
  };
}

/** What the rule matches, in as many lines as it takes. */
function ruleLines({ groups: names, traffic }: Rule, direction: Direction, groups: readonly Group[]): string[] {
  const side = direction === "ingress" ? "saddr" : "daddr";
  const ends =
    names === null
      ? [{ match: "", families: FAMILIES }]
      : groups
          .filter(({ name }) => names.includes(name))
          .flatMap((group) =>
            FAMILIES.flatMap((family) =>
              setsOf(group, family).map((set) => ({
                match: `${family === 4 ? "ip" : "ip6"} ${side} @${set}`,
                families: [family],
              })),
            ),
          );
  return ends.flatMap(({ match, families }) =>
    (traffic ?? [null]).map((one) => `${match} ${one === null ? "" : trafficMatch(one, families)}`.trim()),
  );
}

function setsOf({ name, pods, prefixes }: Group, family: IpFamily): string[] {
  const hasPrefixes = prefixes.some((prefix) => prefix.family === family);
  return [...(pods.length > 0 ? [podsSet(name, family)] : []), ...(hasPrefixes ? [networksSet(name, family)] : [])];
}

function trafficMatch({ protocol, ports }: Traffic, families: readonly IpFamily[]): string {
  if (protocol === "icmp") {
    const names = families.map((family) => (family === 4 ? "icmp" : "ipv6-icmp"));
    return `meta l4proto { ${names.join(", ")} }`;
  }
  if (ports === null) return `meta l4proto ${protocol}`;
  return `${protocol} dport ${ports.first === ports.last ? ports.first : `${ports.first}-${ports.last}`}`;
}

/** Rules first, so that a policy counts all that it lets in; what is left of known connections are answers, and errors about them. */
function podChain(one: Protected): NftChain {
  const denied = one.policies.map(({ name }) => `counter name ${counterName(one.direction, "denied", name)} `).join("");
  return {
    family: "inet",
    name: podChainName(one),
    hook: null,
    rules: [
      ...one.policies.map((policy) => `jump ${policyChainName(one.direction, policy)}`),
      "ct state established,related accept",
      `${denied}drop`,
    ],
  };
}

/** An accept ends one of them only, so a packet from one protected pod to another must please both. */
function baseChains(): NftChain[] {
  const chain = (name: string, hook: string, rules: string[]): NftChain => ({
    family: "inet",
    name,
    hook: `type filter hook ${hook} priority filter; policy accept;`,
    rules,
  });
  const toMap = (direction: Direction, side: string): string[] => [
    NEIGHBOR_DISCOVERY,
    ...FAMILIES.map((family) => `${family === 4 ? "ip" : "ip6"} ${side} vmap @${direction}${family}`),
  ];
  return [
    chain("egress", "forward", toMap("egress", "saddr")),
    chain("egress-host", "input", [...toMap("egress", "saddr"), `${LINK_LOCAL_OF_POD} ct state new drop`]),
    chain("ingress", "forward", toMap("ingress", "daddr")),
  ];
}

/**
 * A frame from one port to another never meets the chains of inet, and not every kernel tracks connections in a bridge. So frames of
 * protected pods get the bridge's own MAC as destination: the host routes them, back into the bridge. What cannot be routed (frames to
 * many, link-local addresses, other protocols) is refused.
 */
function bridgeChains(): NftChain[] {
  const toHost = FAMILIES.flatMap((family) =>
    ["daddr", "saddr"].map(
      (side) => `ether daddr set ${family === 4 ? "ip" : "ip6"} ${side} map @bridge${family} meta pkttype set host`,
    ),
  );
  const chain = (name: string, hook: string, rules: string[]): NftChain => ({ family: "bridge", name, hook, rules });
  return [
    chain("through-host", "type filter hook prerouting priority dstnat; policy accept;", [
      "meta pkttype != other accept", // for the bridge itself, or for many
      NEIGHBOR_DISCOVERY,
      ...toHost,
    ]),
    chain("port-to-port", "type filter hook forward priority filter; policy accept;", [
      NEIGHBOR_DISCOVERY,
      "oifname @ingress-links meta protocol != arp drop",
      "iifname @egress-links meta protocol != arp drop",
    ]),
    chain("to-host", "type filter hook input priority filter; policy accept;", [
      NEIGHBOR_DISCOVERY,
      `${LINK_LOCAL_OF_POD} drop`,
    ]),
  ];
}

function policyChainName(direction: Direction, { name }: Policy): string {
  return `policy-${direction}-${name}`;
}

function podChainName({ pod, direction }: Protected): string {
  const hash = createHash("sha256").update(podKey(pod)).digest("hex");
  return `pod-${direction}-${hash.slice(0, HASH_CHARS)}`;
}

function podsSet(group: string, family: IpFamily): string {
  return `pods${family}-${group}`;
}

function networksSet(group: string, family: IpFamily): string {
  return `networks${family}-${group}`;
}

function addressType(family: IpFamily): string {
  return family === 4 ? "ipv4_addr" : "ipv6_addr";
}

function addressesOf(pods: readonly Pod[], family: IpFamily): string[] {
  return pods.flatMap(({ addresses }) => addresses.filter((address) => address.includes(":") === (family === 6)));
}

function entries(of: readonly Protected[], family: IpFamily, valueFor: (one: Protected) => string): string[] {
  return sorted(of.flatMap((one) => addressesOf([one.pod], family).map((address) => `${address} : ${valueFor(one)}`)));
}

function sorted(elements: readonly string[]): string[] {
  return [...new Set(elements)].sort();
}
