// Our nftables tables as values, and what nft is told so that one becomes another: only what differs, in an order in which nothing is
// used before it is there, and nothing goes while it is used. Pure.
import { isDeepStrictEqual } from "node:util";

/** The only tables of ours, one in each family; the device of a hopsackd cannot give its own this name. */
export const POLICY_TABLE = "hopsack_policy";

const FAMILIES = ["inet", "bridge"] as const;
export type TableFamily = (typeof FAMILIES)[number];
/** As nft names them. */
export const POLICY_TABLES: readonly string[] = FAMILIES.map((family) => `${family} ${POLICY_TABLE}`);

export interface NftSet {
  readonly family: TableFamily;
  readonly name: string;
  readonly kind: "set" | "map";
  /** `ipv4_addr`, of a map `ipv4_addr : verdict`. */
  readonly type: string;
  readonly isInterval: boolean;
  /** `10.244.1.2`, of a map `10.244.1.2 : goto pod-ingress-0123456789ab`; sorted. */
  readonly elements: readonly string[];
}

export interface NftChain {
  readonly family: TableFamily;
  readonly name: string;
  /** `type filter hook forward priority filter; policy accept;`, or null: others jump to it. */
  readonly hook: string | null;
  readonly rules: readonly string[];
}

export interface Ruleset {
  /** All in the family inet. */
  readonly counters: readonly string[];
  readonly sets: readonly NftSet[];
  readonly chains: readonly NftChain[];
}

export const NO_RULES: Ruleset = { counters: [], sets: [], chains: [] };

/** In the order in which they are listed and removed. */
export function familiesOf({ chains }: Ruleset): TableFamily[] {
  return FAMILIES.filter((wanted) => chains.some(({ family }) => family === wanted));
}

/** Whatever is there now, `to` is there afterwards. */
export function replacement(to: Ruleset): string {
  // Declared first, since deleting a table that is not there fails.
  const removal = POLICY_TABLES.map((table) => `table ${table}\ndelete table ${table}\n`);
  return `${removal.join("")}${difference(NO_RULES, to)}`;
}

/** Input for `nft -f -`; empty when nothing differs. */
export function difference(from: Ruleset, to: Ruleset): string {
  const isKept = ({ family }: { readonly family: TableFamily }): boolean => familiesOf(to).includes(family);
  const oldSets = new Map(from.sets.filter(isKept).map((set) => [idOf(set), set]));
  const newSets = new Map(to.sets.map((set) => [idOf(set), set]));
  const oldChains = new Map(from.chains.filter(isKept).map((chain) => [idOf(chain), chain]));
  const newChains = new Map(to.chains.map((chain) => [idOf(chain), chain]));
  const addedChains = to.chains.filter((chain) => !oldChains.has(idOf(chain)));
  const changedChains = to.chains.filter((chain) => {
    const old = oldChains.get(idOf(chain));
    return old !== undefined && !isDeepStrictEqual(old.rules, chain.rules);
  });
  const goneChains = [...oldChains].filter(([id]) => !newChains.has(id)).map(([, chain]) => chain);
  const goneSets = [...oldSets].filter(([id]) => !newSets.has(id)).map(([, set]) => set);
  const hadCounters = isKept({ family: "inet" }) ? from.counters : [];
  const lines = [
    ...familiesOf(to)
      .filter((family) => !familiesOf(from).includes(family))
      .map((family) => `add table ${family} ${POLICY_TABLE}`),
    ...to.counters
      .filter((name) => !hadCounters.includes(name))
      .map((name) => `add counter inet ${POLICY_TABLE} ${name}`),
    ...to.sets.filter((set) => !oldSets.has(idOf(set))).map(declaration),
    ...addedChains.map(({ hook, ...chain }) => `add chain ${idOf(chain)}${hook === null ? "" : ` { ${hook} }`}`),
    ...[...changedChains, ...goneChains].map((chain) => `flush chain ${idOf(chain)}`),
    ...[...newSets].flatMap(([id, set]) => elementChanges(id, oldSets.get(id)?.elements ?? [], set.elements)),
    ...goneSets.flatMap((set) => elementChanges(idOf(set), set.elements, [])),
    ...[...addedChains, ...changedChains].flatMap((chain) =>
      chain.rules.map((rule) => `add rule ${idOf(chain)} ${rule}`),
    ),
    ...goneChains.map((chain) => `delete chain ${idOf(chain)}`),
    ...goneSets.map((set) => `delete ${set.kind} ${idOf(set)}`),
    ...hadCounters
      .filter((name) => !to.counters.includes(name))
      .map((name) => `delete counter inet ${POLICY_TABLE} ${name}`),
    ...familiesOf(from)
      .filter((family) => !isKept({ family }))
      .map((family) => `delete table ${family} ${POLICY_TABLE}`),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

function idOf({ family, name }: { readonly family: TableFamily; readonly name: string }): string {
  return `${family} ${POLICY_TABLE} ${name}`;
}

function declaration(set: NftSet): string {
  return `add ${set.kind} ${idOf(set)} { type ${set.type};${set.isInterval ? " flags interval;" : ""} }`;
}

function elementChanges(id: string, before: readonly string[], after: readonly string[]): string[] {
  const gone = before.filter((element) => !after.includes(element)).map((element) => element.split(" : ")[0]);
  const come = after.filter((element) => !before.includes(element));
  return [
    ...(gone.length === 0 ? [] : [`delete element ${id} { ${gone.join(", ")} }`]),
    ...(come.length === 0 ? [] : [`add element ${id} { ${come.join(", ")} }`]),
  ];
}
