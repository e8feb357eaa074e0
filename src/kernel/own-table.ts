// An nftables table of our own, `table inet NAME`: what is planned, put there in one transaction and put back when somebody else changed it;
// where nothing is planned no table, also none of a run that was killed.
import { isDeepStrictEqual } from "node:util";
import { HopsackError } from "../errors.js";
import { changeRules, listRules, type NftPurpose, withSortedElements } from "./nft.js";

export class OwnTable<Plan> {
  readonly name: string;
  readonly #purpose: NftPurpose;
  readonly #rules: (table: string, plan: Plan) => string;
  #planned: Plan | null | undefined;
  /** The table as nft lists it, when it is as planned; null while there is none. */
  #listing: string | null = null;

  /** @param rules input for `nft -f -`: whatever the table holds, it holds what is planned afterwards */
  constructor(name: string, purpose: NftPurpose, rules: (table: string, plan: Plan) => string) {
    this.name = name;
    this.#purpose = purpose;
    this.#rules = rules;
  }

  /** null: nothing. */
  get planned(): Plan | null {
    return this.#planned ?? null;
  }

  /** @param plan null: there is to be no table. @throws TOOL_MISSING, NOT_PERMITTED, KERNEL_REFUSED */
  async set(plan: Plan | null): Promise<void> {
    if (isDeepStrictEqual(plan, this.#planned)) return;
    if (plan !== null) await this.#apply(plan);
    else if (this.#listing !== null || (await this.#list()) !== null) await this.#delete();
    this.#planned = plan;
  }

  /** Puts the table back when somebody changed or flushed it; says whether that was so. @throws as set() */
  async repair(): Promise<boolean> {
    if (this.planned === null || (await this.#list()) === this.#listing) return false;
    await this.#apply(this.planned);
    return true;
  }

  /** @throws as set() */
  async remove(): Promise<void> {
    if (this.#listing !== null) await this.#delete();
    this.#planned = undefined;
  }

  /** As nft lists a counter of the table; null when it is not there, or no nft. */
  listCounter(name: string): Promise<string | null> {
    return this.#ask(["counter", "inet", this.name, name], "-a");
  }

  async #apply(plan: Plan): Promise<void> {
    await changeRules(this.#rules(this.name, plan), this.#purpose);
    this.#listing = (await this.#list()) ?? "";
  }

  async #delete(): Promise<void> {
    await changeRules(removal(this.name), this.#purpose);
    this.#listing = null;
  }

  async #list(): Promise<string | null> {
    const listing = await this.#ask(["table", "inet", this.name], "-s");
    return listing === null ? null : withSortedElements(listing);
  }

  async #ask(what: readonly string[], form: "-a" | "-s"): Promise<string | null> {
    try {
      return await listRules(what, this.#purpose, form);
    } catch (error) {
      if (error instanceof HopsackError && error.code === "TOOL_MISSING") return null;
      throw error;
    }
  }
}

/** Input for `nft -f -`. Declared first, since deleting a table that is not there fails. */
export function removal(table: string): string {
  return `table inet ${table}\ndelete table inet ${table}\n`;
}

/** Of masquerading, `hopsack-flannel0`: one table for each device, so that it is found again after a crash. */
export function tableName(deviceName: string): string {
  return `hopsack-${unquoted(deviceName)}`;
}

/** `hopsack_guard-flannel0`: no device gives a table of masquerading such a name, which has a hyphen there. */
export function guardTableName(deviceName: string): string {
  return `hopsack_guard-${unquoted(deviceName)}`;
}

/** Only characters that nft reads without quotes. */
function unquoted(deviceName: string): string {
  return deviceName.replaceAll(/[^A-Za-z0-9_.-]/g, "_");
}
