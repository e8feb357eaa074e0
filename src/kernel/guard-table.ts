// Only known hosts may send to the tunnel's UDP ports (--guard): one nftables table of our own, in which a set holds their addresses. Every
// change is one transaction, so that no datagram of a host that stays is lost; what was dropped goes on being counted.
import type { GuardPlan } from "../plan/plan.js";
import type { NftPurpose } from "./nft.js";
import { guardTableName, OwnTable } from "./own-table.js";

const PURPOSE: NftPurpose = { what: "the guard's rules", flag: "--guard", wayOut: "start without --guard" };
/** Datagrams of others. */
const COUNTER = "strangers";
/** Before the usual filters: what they count and log is then of hosts that are known. */
const HOOK = "type filter hook input priority filter - 10; policy accept;";

export interface GuardReport {
  /** As nft names it. */
  readonly table: string;
  readonly ports: readonly number[];
  /** How many addresses may send to them. */
  readonly peers: number;
  /** Of all others, since the table is there. */
  readonly droppedPackets: number;
}

/** Of this device's UDP ports. */
export function guardTable(deviceName: string): OwnTable<GuardPlan> {
  return new OwnTable(guardTableName(deviceName), PURPOSE, guardRules);
}

/** null: the guard is off. */
export async function guardReport(table: OwnTable<GuardPlan>): Promise<GuardReport | null> {
  if (table.planned === null) return null;
  const { ports, peers } = table.planned;
  const listing = await table.listCounter(COUNTER);
  const droppedPackets = Number(/\bpackets (\d+)/.exec(listing ?? "")?.[1] ?? 0);
  return { table: `inet ${table.name}`, ports, peers: peers.length, droppedPackets };
}

/** As OwnTable has it; the counter goes on. */
function guardRules(table: string, { ports, peers }: GuardPlan): string {
  const sets = [
    { name: "peers", type: "ipv4_addr", elements: peers.filter((address) => !address.includes(":")) },
    { name: "peers6", type: "ipv6_addr", elements: peers.filter((address) => address.includes(":")) },
  ];
  const declarations = sets.map(({ name, type }) => `set ${name} { type ${type}; }`);
  const place = `inet ${table}`;
  return [
    `table ${place} { counter ${COUNTER} { }; ${declarations.join("; ")}; chain input { ${HOOK} }; }`,
    `flush chain ${place} input`,
    ...sets.map(({ name }) => `flush set ${place} ${name}`),
    ...sets
      .filter(({ elements }) => elements.length > 0)
      .map(({ name, elements }) => `add element ${place} ${name} { ${elements.join(", ")} }`),
    ...["ip saddr @peers accept", "ip6 saddr @peers6 accept", `counter name ${COUNTER} drop`].map(
      (rest) => `add rule ${place} input udp dport { ${ports.join(", ")} } ${rest}`,
    ),
    "",
  ].join("\n");
}
