// What `hopsack leases` prints: leases and network configurations as tables, facts and JSON. Pure.
import { type Lease, leaseKey } from "../lease/lease.js";
import type { NetworkConfig } from "../lease/network-config.js";
import { formatPrefix, type Prefix } from "../net/prefix.js";
import { describeHolder, describeSubnets } from "../store/lease-rules.js";
import { formatCount, formatDuration, type Paint, tableLines } from "./output.js";

const LABEL_WIDTH = 14;
/** How many leases a sentence names. */
const NAMED_LIMIT = 10;

type Fact = readonly [label: string, value: string];

/** By subnet, as numbers. */
export function sortedLeases(leases: readonly Lease[]): Lease[] {
  return leases.toSorted((a, b) => compare(a.subnet.base, b.subnet.base) || a.subnet.length - b.subnet.length);
}

/** The screen of `leases list`. */
export function leaseTable(leases: readonly Lease[], store: string, paint: Paint, now: number): string {
  if (leases.length === 0) return `no leases in ${store}\n`;
  const columns = ["subnet", "public IP", "node", "mode", "ends in"].map((title) => ({ title }));
  const rows = leases.map((lease) => [
    pairText(lease),
    lease.attrs.publicIp,
    lease.attrs.node ?? "-",
    lease.attrs.backendType,
    endText(lease, now),
  ]);
  const [titles = "", ...lines] = tableLines(columns, rows).map((line) => `  ${line}`);
  const count = leases.length === 1 ? "1 lease" : `${formatCount(leases.length)} leases`;
  return `${[`${paint.bold(count)} in ${store}`, paint.dim(titles), ...lines].join("\n")}\n`;
}

/** The screen of `leases show`. */
export function leaseFacts(lease: Lease, store: string, paint: Paint, now: number): string {
  const { subnet, subnetV6, attrs } = lease;
  const facts: Fact[] = [["subnet", formatPrefix(subnet)]];
  if (subnetV6 !== null) facts.push(["IPv6 subnet", formatPrefix(subnetV6)]);
  facts.push(["public IP", attrs.publicIp]);
  if (attrs.publicIpv6 !== null) facts.push(["public IPv6", attrs.publicIpv6]);
  facts.push(["node", attrs.node ?? "not named"], ["mode", attrs.backendType]);
  if (attrs.backendData !== null) facts.push(["mode's data", JSON.stringify(attrs.backendData)]);
  if (attrs.backendV6Data !== null) facts.push(["  for IPv6", JSON.stringify(attrs.backendV6Data)]);
  facts.push(["ends", endSentence(lease, now)], ["store", store]);
  return `${[paint.bold(leaseKey(lease)), "", ...factLines(facts)].join("\n")}\n`;
}

/** One lease for programs; `expiresAt` as in the store's own words: a time, null = reserved, or "unknown". */
export function leaseJson(lease: Lease): Readonly<Record<string, unknown>> {
  const { subnet, subnetV6, attrs, expiresAt } = lease;
  return {
    key: leaseKey(lease),
    subnet: formatPrefix(subnet),
    subnetV6: subnetV6 === null ? null : formatPrefix(subnetV6),
    publicIp: attrs.publicIp,
    publicIpv6: attrs.publicIpv6,
    node: attrs.node,
    backendType: attrs.backendType,
    backendData: attrs.backendData,
    backendV6Data: attrs.backendV6Data,
    expiresAt: typeof expiresAt === "number" ? new Date(expiresAt).toISOString() : expiresAt,
  };
}

/** The screen of `leases config`. */
export function configText(config: NetworkConfig): string {
  return `${factLines(configFacts(config)).join("\n")}\n`;
}

/** What `leases set-config` did; `before` is null when there was no configuration that could be read. */
export function configChange(before: NetworkConfig | null, after: NetworkConfig, store: string): string {
  const old = new Map(before === null ? [] : configFacts(before));
  const current = new Map(configFacts(after));
  const labels = [...new Set([...old.keys(), ...current.keys()])].filter(
    (label) => old.get(label) !== current.get(label),
  );
  if (labels.length === 0) return `the network configuration of ${store} says what it said before\n`;
  const facts = labels.map((label): Fact => {
    const now = current.get(label) ?? "none";
    return [label, before === null ? now : `${old.get(label) ?? "none"} → ${now}`];
  });
  const headline = `the network configuration of ${store} is ${before === null ? "set" : "changed"}:`;
  const note = before === null ? [] : ["", "hopsack hosts follow at once, flannel hosts when flanneld starts again"];
  return `${[headline, "", ...factLines(facts), ...note].join("\n")}\n`;
}

/** `10.244.1.0/24 of h1 (192.168.50.10), …`, the first ten. */
export function namedLeases(leases: readonly Lease[]): string {
  const named = leases
    .slice(0, NAMED_LIMIT)
    .map((lease) => `${describeSubnets(lease)} of ${describeHolder(lease)}`)
    .join(", ");
  return leases.length > NAMED_LIMIT ? `${named} and ${formatCount(leases.length - NAMED_LIMIT)} more` : named;
}

/** Which subnets a network leases: `/24 from 10.244.1.0/24 to 10.244.255.0/24`. */
export function leasableText(min: Prefix, max: Prefix): string {
  return `/${min.length} from ${formatPrefix(min)} to ${formatPrefix(max)}`;
}

function configFacts(config: NetworkConfig): Fact[] {
  const { network, subnetMin, subnetMax, networkV6, subnetMinV6, subnetMaxV6, backend } = config;
  const facts: Fact[] = [
    ["network", formatPrefix(network)],
    ["subnets", leasableText(subnetMin, subnetMax)],
  ];
  if (networkV6 !== null && subnetMinV6 !== null && subnetMaxV6 !== null) {
    facts.push(["IPv6 network", formatPrefix(networkV6)], ["IPv6 subnets", leasableText(subnetMinV6, subnetMaxV6)]);
  }
  const options = Object.keys(backend.options).length === 0 ? "" : ` ${JSON.stringify(backend.options)}`;
  return [...facts, ["mode", `${backend.type || "not named"}${options}`]];
}

function factLines(facts: readonly Fact[]): string[] {
  return facts.map(([label, value]) => `${label.padEnd(LABEL_WIDTH)}${value}`);
}

function pairText({ subnet, subnetV6 }: Lease): string {
  return subnetV6 === null ? formatPrefix(subnet) : `${formatPrefix(subnet)} ${formatPrefix(subnetV6)}`;
}

function endText({ expiresAt }: Lease, now: number): string {
  if (expiresAt === null) return "reserved";
  return expiresAt === "unknown" ? "unknown" : formatDuration((expiresAt - now) / 1000);
}

function endSentence({ expiresAt }: Lease, now: number): string {
  if (expiresAt === null) return "never, it is reserved";
  if (expiresAt === "unknown") return "unknown: the store takes it away by itself when its host no longer renews it";
  return `in ${formatDuration((expiresAt - now) / 1000)} unless renewed, at ${new Date(expiresAt).toISOString()}`;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
