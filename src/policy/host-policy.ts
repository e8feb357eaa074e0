// The policies of this host: a file that says what is wanted, records of the pods, and the nftables tables that are made of both.
// Daemon, CNI plugin and `hopsack policy` all come here, one at a time by a lock, and whoever comes makes the tables true:
// a process that is killed leaves the old rules or the new ones, and the next one finishes its work.
import { existsSync } from "node:fs";
import { mkdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { loadAddon } from "../addon.js";
import { errnoOf, HopsackError, messageOf } from "../errors.js";
import { changeRules, listRules, type NftPurpose, withSortedElements } from "../kernel/nft.js";
import { isJsonObject } from "../lease/json-object.js";
import { replaceFile } from "../lease/replace-file.js";
import { withFileLock } from "../store/file-lock.js";
import { compile } from "./compile.js";
import type { PolicyPlaces } from "./places.js";
import { type Pod, type PodName, PodRecords } from "./pod-records.js";
import type { PolicySet } from "./policy.js";
import { parsePolicySet } from "./policy-file.js";
import { difference, familiesOf, NO_RULES, POLICY_TABLE, POLICY_TABLES, type Ruleset, replacement } from "./ruleset.js";

const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
/** As long as the CNI plugin waits for its own. */
const LOCK_WAIT_LIMIT_MS = 30_000;

const PURPOSE: NftPurpose = {
  what: "the rules of the policy",
  flag: "the policy of this host",
  wayOut: "do without it: hopsack policy remove",
};

/** What was done last, and how nft listed it then: as long as nft lists the same, the tables hold `ruleset`. */
interface Applied {
  readonly ruleset: Ruleset;
  readonly listing: string;
}

/** `repaired`: the tables were not what we had made of them. */
export type SyncOutcome = "unchanged" | "changed" | "repaired";

export interface Counted {
  readonly packets: number;
  readonly bytes: number;
}

export class HostPolicy {
  readonly #policyFile: string;
  readonly #folder: string;
  readonly #records: PodRecords;

  constructor({ policyFile, cniDataDir }: PolicyPlaces) {
    this.#policyFile = policyFile;
    // No network's folder begins with a dot.
    this.#folder = join(cniDataDir, ".policy");
    this.#records = new PodRecords(join(this.#folder, "pods"));
  }

  /** Whether there is a policy, or rules of one; false costs nothing to find out. */
  get isInForce(): boolean {
    return existsSync(this.#policyFile) || existsSync(this.#appliedFile);
  }

  /** null: there is none. @throws BAD_POLICY */
  async read(): Promise<PolicySet | null> {
    const text = await readIfThere(this.#policyFile);
    return text === null ? null : parsePolicySet(text, this.#policyFile);
  }

  /** @throws BAD_POLICY */
  pods(): Promise<Pod[]> {
    return this.#records.list();
  }

  /** Makes the tables true. @throws BAD_POLICY, TOOL_MISSING, NOT_PERMITTED, KERNEL_REFUSED, STORE_UNAVAILABLE */
  async sync(): Promise<SyncOutcome> {
    if (!this.isInForce) return "unchanged";
    return this.#locked(async () => this.#enforce(await this.read()));
  }

  /** Puts another policy in force; a text that cannot be used changes nothing. @throws as sync(), FILE_UNWRITABLE */
  async apply(text: string, source: string): Promise<PolicySet> {
    const set = parsePolicySet(text, source);
    await this.#locked(async () => {
      await this.#enforce(set);
      await this.#keep(text);
    });
    return set;
  }

  /** Whether there was one. @throws as sync() */
  async remove(): Promise<boolean> {
    const isThere = this.isInForce;
    await this.#locked(async () => {
      await rm(this.#policyFile, { force: true });
      await this.#enforce(null);
    });
    return isThere;
  }

  /** @throws as sync(); then the pod is known and not protected: whoever asked must not start it */
  async putPod(pod: Pod): Promise<void> {
    await this.#locked(async () => {
      await this.#records.put(pod);
      if (this.isInForce) await this.#enforce(await this.read());
    });
  }

  /** Nothing happens when it is not known. @throws as sync(); then the pod is not known any more */
  async removePod(pod: PodName): Promise<void> {
    await this.#locked(async () => {
      await this.#records.remove(pod);
      if (this.isInForce) await this.#enforce(await this.read());
    });
  }

  /** @param change gets all pods, and answers with the one to be written. @throws as sync(), what `change` throws */
  async changePod(change: (pods: readonly Pod[]) => Pod): Promise<Pod> {
    return this.#locked(async () => {
      const pod = change(await this.pods());
      await this.#records.put(pod);
      if (this.isInForce) await this.#enforce(await this.read());
      return pod;
    });
  }

  /** By the names of compile.ts; empty where no rules are in force. @throws TOOL_MISSING */
  async counters(): Promise<ReadonlyMap<string, Counted>> {
    if (!this.isInForce) return new Map();
    const listing = await listRules(["counters", "table", "inet", POLICY_TABLE], PURPOSE, "-j");
    return listing === null ? new Map() : parseCounters(listing);
  }

  get #appliedFile(): string {
    return join(this.#folder, "applied.json");
  }

  async #enforce(set: PolicySet | null): Promise<SyncOutcome> {
    const wanted = set === null ? NO_RULES : compile(set, await this.pods());
    const applied = parseApplied(await readIfThere(this.#appliedFile));
    const isAsLeft = (await this.#listing()) === applied.listing;
    const changes = isAsLeft ? difference(applied.ruleset, wanted) : replacement(wanted);
    if (changes === "") return "unchanged";
    await this.#change(changes, wanted);
    return isAsLeft ? "changed" : "repaired";
  }

  /** The note that something was done is there before anything is: rules without a note would be nobody's. */
  async #change(changes: string, wanted: Ruleset): Promise<void> {
    const isFirst = !existsSync(this.#appliedFile);
    if (isFirst) await this.#note({ ruleset: NO_RULES, listing: "unknown" });
    try {
      await changeRules(changes, PURPOSE);
    } catch (error) {
      if (isFirst) await rm(this.#appliedFile, { force: true });
      throw error;
    }
    if (familiesOf(wanted).length === 0) await rm(this.#appliedFile, { force: true });
    else await this.#note({ ruleset: wanted, listing: await this.#listing() });
  }

  #note(applied: Applied): Promise<void> {
    return this.#write(this.#appliedFile, `${JSON.stringify(applied)}\n`);
  }

  /** Both tables. */
  async #listing(): Promise<string> {
    const tables = await Promise.all(
      POLICY_TABLES.map((table) => listRules(["table", ...table.split(" ")], PURPOSE, "-s")),
    );
    return withSortedElements(tables.join(""));
  }

  async #keep(text: string): Promise<void> {
    try {
      await this.#write(this.#policyFile, text);
    } catch (cause) {
      const message = `${this.#policyFile} cannot be written (${messageOf(cause)}); make its folder writable`;
      throw new HopsackError("FILE_UNWRITABLE", message, { cause });
    }
  }

  async #write(path: string, text: string): Promise<void> {
    await mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE });
    await replaceFile(path, text, FILE_MODE);
  }

  async #locked<T>(work: () => Promise<T>): Promise<T> {
    await mkdir(this.#folder, { recursive: true, mode: FOLDER_MODE });
    const never = new AbortController().signal;
    return withFileLock(join(this.#folder, "lock"), loadAddon().tryLockFile, never, work, LOCK_WAIT_LIMIT_MS);
  }
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    throw error;
  }
}

/** A file that is lost or damaged means: nothing is known of the tables, and if there are any they are replaced. */
function parseApplied(text: string | null): Applied {
  const nothing = { ruleset: NO_RULES, listing: "" };
  if (text === null) return nothing;
  try {
    const parsed: unknown = JSON.parse(text);
    return isJsonObject(parsed) && typeof parsed.listing === "string" ? (parsed as unknown as Applied) : nothing;
  } catch {
    return nothing;
  }
}

/** `{"nftables": [{"counter": {"name": …, "packets": …, "bytes": …}}, …]}` */
function parseCounters(listing: string): Map<string, Counted> {
  const { nftables } = JSON.parse(listing) as { nftables: readonly { counter?: Counted & { name: string } }[] };
  return new Map(
    nftables.flatMap(({ counter }) =>
      counter === undefined ? [] : [[counter.name, { packets: counter.packets, bytes: counter.bytes }] as const],
    ),
  );
}
