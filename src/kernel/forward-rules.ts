// Accepting the overlay's packets where a firewall drops what this host forwards (--ip-forward), as Docker's FORWARD policy does.
// A chain of our own could not: in nftables an accept ends the evaluation of its own table only, and the drop of any other
// base chain is final. So the rules go into the chain that drops, with our mark as comment, which is all we touch there.
import { HopsackError } from "../errors.js";
import { formatPrefix, type IpFamily, type Prefix } from "../net/prefix.js";
import { changeRules, listRules, type NftPurpose } from "./nft.js";
import { tableName } from "./own-table.js";

/** iptables-nft's name for the chains that Docker, ufw and kube-proxy use. */
export const FORWARD_TABLE = "filter";
/** Docker asks administrators to write here, and jumps here before anything else. */
const USER_CHAIN = "DOCKER-USER";
const FORWARD_CHAIN = "FORWARD";
const FAMILIES: Readonly<Record<IpFamily, string>> = { 4: "ip", 6: "ip6" };

const PURPOSE: NftPurpose = {
  what: "the forward rules",
  flag: "--ip-forward",
  wayOut: "start with --ip-forward=false",
};

/** `required`: without nft it fails; `if-possible`: without nft there is nothing of nft's that could drop. */
export type ForwardAcceptance = "required" | "if-possible" | "off";

/** A chain as nft lists it. */
interface Chain {
  readonly family: IpFamily;
  readonly name: string;
  readonly rules: readonly Rule[];
}

interface Rule {
  readonly text: string;
  readonly handle: number;
}

export class ForwardRules {
  readonly #mark: string;
  readonly #acceptance: ForwardAcceptance;
  readonly #networks: readonly Prefix[];

  /** @param deviceName marks the rules, so that they are found again after a crash */
  constructor(deviceName: string, acceptance: ForwardAcceptance, networks: readonly Prefix[]) {
    this.#mark = tableName(deviceName);
    this.#acceptance = acceptance;
    this.#networks = networks;
  }

  /**
   * Makes the rules what they must be in the chains that are there now; where none are wanted, removes those of a killed run.
   * @throws TOOL_MISSING, NOT_PERMITTED, KERNEL_REFUSED
   */
  async set(): Promise<void> {
    await this.#change(this.#acceptance === "off" ? [] : this.#networks, this.#acceptance === "required");
  }

  /** Puts them back, or where they are needed since a firewall was started; says whether that was so. @throws as set() */
  async repair(): Promise<boolean> {
    return this.#acceptance !== "off" && this.#change(this.#networks, this.#acceptance === "required");
  }

  /** @throws as set() */
  async remove(): Promise<void> {
    await this.#change([], false);
  }

  /** The rules of ours that are there, in words: `ip filter FORWARD: ip saddr 10.244.0.0/16 accept …`. */
  async list(): Promise<string[]> {
    const chains = await this.#chains(false);
    return chains.flatMap(({ family, name, rules }) =>
      rules
        .filter((rule) => isMarked(rule, this.#mark))
        .map(({ text }) => `${FAMILIES[family]} ${FORWARD_TABLE} ${name}: ${text}`),
    );
  }

  async #change(networks: readonly Prefix[], isRequired: boolean): Promise<boolean> {
    const chains = await this.#chains(isRequired);
    const commands = chains.flatMap((chain) => {
      const isHome = chain === homeOf(chains, chain.family);
      return chainChanges(chain, isHome ? networks : [], this.#mark);
    });
    if (commands.length > 0) await changeRules(`${commands.join("\n")}\n`, PURPOSE);
    return commands.length > 0;
  }

  /** Most hosts have none, and then these are all. */
  async #chains(isRequired: boolean): Promise<Chain[]> {
    const ofFamily = async (family: IpFamily): Promise<Chain[]> => {
      const forward = await this.#chain(family, FORWARD_CHAIN, isRequired);
      if (forward === null) return [];
      const user = await this.#chain(family, USER_CHAIN, isRequired);
      return user === null ? [forward] : [forward, user];
    };
    return (await Promise.all([ofFamily(4), ofFamily(6)])).flat();
  }

  async #chain(family: IpFamily, name: string, isRequired: boolean): Promise<Chain | null> {
    try {
      const listing = await listRules(["chain", FAMILIES[family], FORWARD_TABLE, name], PURPOSE);
      return listing === null ? null : { family, name, rules: parseRules(listing) };
    } catch (error) {
      if (!isRequired && error instanceof HopsackError && error.code === "TOOL_MISSING") return null;
      throw error;
    }
  }
}

/** The chain that decides first: DOCKER-USER where FORWARD jumps to it, else FORWARD. */
function homeOf(chains: readonly Chain[], family: IpFamily): Chain | undefined {
  const named = (name: string): Chain | undefined =>
    chains.find((chain) => chain.family === family && chain.name === name);
  const forward = named(FORWARD_CHAIN);
  const isJumpedTo = forward?.rules.some(({ text }) => ` ${text}`.endsWith(` jump ${USER_CHAIN}`));
  return isJumpedTo ? named(USER_CHAIN) : forward;
}

/**
 * Commands for nft, none when the chain is as it must be. Ours stand behind the administrator's rules, whose drops win, and before
 * the bare `return` that older Dockers end DOCKER-USER with.
 */
export function chainChanges({ family, name, rules }: Chain, networks: readonly Prefix[], mark: string): string[] {
  const place = `${FAMILIES[family]} ${FORWARD_TABLE} ${name}`;
  const wanted = networks
    .filter((network) => network.family === family)
    .flatMap((network) => ["saddr", "daddr"].map((side) => acceptRule(family, side, network, mark)));
  const end = rules.findIndex(({ text }) => /^(counter packets \d+ bytes \d+ )?return$/.test(text));
  const reached = end < 0 ? rules : rules.slice(0, end);
  const ours = rules.filter((rule) => isMarked(rule, mark));
  const inForce = reached.filter((rule) => isMarked(rule, mark)).map(({ text }) => text);
  if (ours.length === inForce.length && inForce.join("\n") === wanted.join("\n")) return [];
  const stopper = rules[end];
  const add = stopper === undefined ? `add rule ${place}` : `insert rule ${place} handle ${stopper.handle}`;
  return [
    ...ours.map(({ handle }) => `delete rule ${place} handle ${handle}`),
    ...wanted.map((rule) => `${add} ${rule}`),
  ];
}

function acceptRule(family: IpFamily, side: string, network: Prefix, mark: string): string {
  return `${FAMILIES[family]} ${side} ${formatPrefix(network)} accept comment "${mark}"`;
}

function isMarked({ text }: Rule, mark: string): boolean {
  return text.endsWith(` comment "${mark}"`);
}

/** The rules in a listing of `nft -a list chain …`. */
export function parseRules(listing: string): Rule[] {
  return [...listing.matchAll(/^\t\t(.+) # handle (\d+)$/gm)].map(([, text = "", handle]) => ({
    text,
    handle: Number(handle),
  }));
}
