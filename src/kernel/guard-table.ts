// Only known hosts may send to the tunnel's UDP ports (--guard): one nftables table of our own, in which a set holds their addresses. Every
// change is one transaction, so that no datagram of a host that stays is lost; what was dropped goes on being counted.
import { isDeepStrictEqual } from "node:util";
import { HopsackError } from "../errors.js";
import type { GuardPlan } from "../plan/plan.js";
import { changeRules, listRules, type NftPurpose, withSortedElements } from "./nft.js";

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

export class GuardTable {
  readonly #name: string;
  #planned: GuardPlan | null | undefined;
  /** The table as nft lists it, when it is as planned; null while there is none. */
  #listing: string | null = null;

  /** @param deviceName one table for each device, so that it is found again after a crash */
  constructor(deviceName: string) {
    this.#name = guardTableName(deviceName);
  }

  /** Makes the table what is planned; null: there is none. @throws TOOL_MISSING, NOT_PERMITTED, KERNEL_REFUSED */
  async set(guard: GuardPlan | null): Promise<void> {
    if (isDeepStrictEqual(guard, this.#planned)) return;
    if (guard !== null) await this.#apply(guard);
    else if (this.#listing !== null || (await this.#list()) !== null) await this.#delete();
    this.#planned = guard;
  }

  /** Puts the table back when somebody changed or flushed it; says whether that was so. @throws as set() */
  async repair(): Promise<boolean> {
    if (this.#planned === null || this.#planned === undefined || (await this.#list()) === this.#listing) return false;
    await this.#apply(this.#planned);
    return true;
  }

  /** @throws as set() */
  async remove(): Promise<void> {
    if (this.#listing !== null) await this.#delete();
    this.#planned = undefined;
  }

  /** null: it is off. */
  async report(): Promise<GuardReport | null> {
    const guard = this.#planned ?? null;
    if (guard === null) return null;
    const listing = await this.#ask(["counter", "inet", this.#name, COUNTER], "-a");
    const droppedPackets = Number(/\bpackets (\d+)/.exec(listing ?? "")?.[1] ?? 0);
    return { table: `inet ${this.#name}`, ports: guard.ports, peers: guard.peers.length, droppedPackets };
  }

  async #apply(guard: GuardPlan): Promise<void> {
    await changeRules(guardRules(this.#name, guard), PURPOSE);
    this.#listing = (await this.#list()) ?? "";
  }

  async #delete(): Promise<void> {
    await changeRules(`table inet ${this.#name}\ndelete table inet ${this.#name}\n`, PURPOSE);
    this.#listing = null;
  }

  async #list(): Promise<string | null> {
    const listing = await this.#ask(["table", "inet", this.#name], "-s");
    return listing === null ? null : withSortedElements(listing);
  }

  /** null when there is no such thing, or no nft. */
  async #ask(what: readonly string[], form: "-a" | "-s"): Promise<string | null> {
    try {
      return await listRules(what, PURPOSE, form);
    } catch (error) {
      if (error instanceof HopsackError && error.code === "TOOL_MISSING") return null;
      throw error;
    }
  }
}

/** No device of a hopsackd gives its own tables such a name (tableName() has a hyphen there). */
export function guardTableName(deviceName: string): string {
  return `hopsack_guard-${deviceName.replaceAll(/[^A-Za-z0-9_.-]/g, "_")}`;
}

/** Input for `nft -f -`: whatever the table holds, it holds this afterwards, and its counter goes on. */
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
