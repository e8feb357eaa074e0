// Masquerading (--ip-masq) in one nftables table of our own, applied by `nft -f -` in one transaction. The rules are those
// of flannel's iptables mode. Accepting forwarded packets is not done here: an accept in a table of ours could not overrule
// the drop of another one (forward-rules.ts).
import { isDeepStrictEqual } from "node:util";
import { HopsackError } from "../errors.js";
import type { MasqueradePlan } from "../plan/plan.js";
import { changeRules, listRules, type NftPurpose } from "./nft.js";

/** Packets that kube-proxy and the portmap plugin have marked for masquerading are masqueraded by them. */
const ALREADY_MARKED = "meta mark & 0x4000 == 0x4000";
const PURPOSE: NftPurpose = {
  what: "the masquerade rules",
  flag: "--ip-masq",
  wayOut: "start without --ip-masq",
};

export class MasqueradeTable {
  readonly #name: string;
  #planned: readonly MasqueradePlan[] | null = null;
  /** The table as nft lists it, when it is as planned; null while there is none. */
  #listing: string | null = null;

  /** @param deviceName one table for each device, so that it is found again after a crash */
  constructor(deviceName: string) {
    this.#name = tableName(deviceName);
  }

  /**
   * Makes the table what is planned; without masquerades there is none.
   * @throws TOOL_MISSING, NOT_PERMITTED, KERNEL_REFUSED
   */
  async set(masquerades: readonly MasqueradePlan[]): Promise<void> {
    if (isDeepStrictEqual(masquerades, this.#planned)) return;
    if (masquerades.length > 0) await this.#apply(masquerades);
    else await this.#removeLeftover();
    this.#planned = masquerades;
  }

  /** Puts the table back when somebody changed or flushed it; says whether that was so. @throws as set() */
  async repair(): Promise<boolean> {
    if (this.#planned === null || this.#planned.length === 0) return false;
    if ((await this.#list()) === this.#listing) return false;
    await this.#apply(this.#planned);
    return true;
  }

  /** @throws as set() */
  async remove(): Promise<void> {
    if (this.#listing !== null) await changeRules(removal(this.#name), PURPOSE);
    this.#listing = null;
    this.#planned = null;
  }

  async #apply(masquerades: readonly MasqueradePlan[]): Promise<void> {
    await changeRules(removal(this.#name) + masqueradeRules(this.#name, masquerades), PURPOSE);
    this.#listing = (await this.#list()) ?? "";
  }

  /** The table of a run that was killed; where nft is not even installed there is none. */
  async #removeLeftover(): Promise<void> {
    if (this.#listing !== null || (await this.#list()) !== null) await changeRules(removal(this.#name), PURPOSE);
    this.#listing = null;
  }

  /** null when there is no such table, or no nft. */
  async #list(): Promise<string | null> {
    try {
      return await listRules(["table", "inet", this.#name], PURPOSE);
    } catch (error) {
      if (error instanceof HopsackError && error.code === "TOOL_MISSING") return null;
      throw error;
    }
  }
}

/** Only characters that nft reads without quotes; `table inet hopsack-flannel0`. */
export function tableName(deviceName: string): string {
  return `hopsack-${deviceName.replaceAll(/[^A-Za-z0-9_.-]/g, "_")}`;
}

/** Input for `nft -f -`. Network N, own subnet P: what stays in the overlay keeps its source, what leaves or enters it not. */
export function masqueradeRules(table: string, masquerades: readonly MasqueradePlan[]): string {
  const rules = masquerades.flatMap(({ network, subnet }) => {
    const isV6 = network.includes(":");
    const [source, destination] = isV6 ? ["ip6 saddr", "ip6 daddr"] : ["ip saddr", "ip daddr"];
    const multicast = isV6 ? "ff00::/8" : "224.0.0.0/4";
    return [
      `${source} ${subnet} ${destination} ${network} return`,
      `${source} ${network} ${destination} ${subnet} return`,
      `${source} != ${network} ${destination} ${subnet} return`,
      `${source} ${network} ${destination} != ${multicast} masquerade fully-random`,
      `${source} != ${network} ${destination} ${network} masquerade fully-random`,
    ];
  });
  const chain = ["type nat hook postrouting priority srcnat; policy accept;", `${ALREADY_MARKED} return`, ...rules];
  return `table inet ${table} {\n\tchain postrouting {\n${chain.map((line) => `\t\t${line}\n`).join("")}\t}\n}\n`;
}

/** Declared first, since deleting a table that is not there fails. */
function removal(table: string): string {
  return `table inet ${table}\ndelete table inet ${table}\n`;
}
