// What of nft's JSON listing (libnftables-json(5)) the checks ask for. Pure; what has another shape is left out.
import { isJsonObject } from "../lease/json-object.js";

export interface NftChain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  /** `forward`, `prerouting` …; null: not a base chain. */
  readonly hook: string | null;
  readonly policy: string | null;
}

export interface NftRule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly comment: string | null;
  /** The statements and matches, as nft writes them in JSON. */
  readonly expressions: readonly unknown[];
}

export interface NftRules {
  readonly chains: readonly NftChain[];
  readonly rules: readonly NftRule[];
}

/** @param listing of `nft -j list ruleset` */
export function parseNftRules(listing: string): NftRules {
  const parsed: unknown = JSON.parse(listing);
  const objects = isJsonObject(parsed) && Array.isArray(parsed.nftables) ? parsed.nftables.filter(isJsonObject) : [];
  return {
    chains: objects.flatMap(({ chain }) => (isJsonObject(chain) ? [chainOf(chain)] : [])),
    rules: objects.flatMap(({ rule }) => (isJsonObject(rule) ? [ruleOf(rule)] : [])),
  };
}

function chainOf(chain: Readonly<Record<string, unknown>>): NftChain {
  return {
    family: text(chain.family) ?? "",
    table: text(chain.table) ?? "",
    name: text(chain.name) ?? "",
    hook: text(chain.hook),
    policy: text(chain.policy),
  };
}

function ruleOf(rule: Readonly<Record<string, unknown>>): NftRule {
  return {
    family: text(rule.family) ?? "",
    table: text(rule.table) ?? "",
    chain: text(rule.chain) ?? "",
    comment: text(rule.comment),
    expressions: Array.isArray(rule.expr) ? rule.expr : [],
  };
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

/** Whether the rule ends with `drop`, `reject`, `accept` … */
export function hasVerdict({ expressions }: NftRule, verdict: string): boolean {
  return expressions.some((expression) => isJsonObject(expression) && verdict in expression);
}

/** The IPv4 destinations that the rule is for: `10.244.1.2`, `10.244.1.0/24`. */
export function destinationsOf({ expressions }: NftRule): string[] {
  return expressions.flatMap((expression) => {
    const match = isJsonObject(expression) ? expression.match : null;
    if (!isJsonObject(match) || match.op !== "==" || !isJsonObject(match.left)) return [];
    const { payload } = match.left;
    if (!isJsonObject(payload) || payload.field !== "daddr") return [];
    return destination(match.right);
  });
}

function destination(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (!isJsonObject(value) || !isJsonObject(value.prefix)) return [];
  const { addr, len } = value.prefix;
  return [`${String(addr)}/${String(len)}`];
}
