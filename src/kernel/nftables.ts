// Masquerading (--ip-masq) in one nftables table of our own, applied by `nft -f -` in one transaction. The rules are those
// of flannel's iptables mode. Accepting forwarded packets is not our business: a firewall that drops them has its reasons,
// and an accept in a table of ours could not overrule it anyway.
import { execFile } from "node:child_process";
import { isDeepStrictEqual } from "node:util";
import { errnoOf, HopsackError, messageOf } from "../errors.js";
import type { MasqueradePlan } from "../plan/plan.js";

/** Packets that kube-proxy and the portmap plugin have marked for masquerading are masqueraded by them. */
const ALREADY_MARKED = "meta mark & 0x4000 == 0x4000";
const NFT_LIMIT_MS = 10_000;
const SYSTEM_FOLDERS = ":/usr/sbin:/sbin";

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
    if (this.#listing !== null) await runNft(["-f", "-"], removal(this.#name));
    this.#listing = null;
    this.#planned = null;
  }

  async #apply(masquerades: readonly MasqueradePlan[]): Promise<void> {
    await runNft(["-f", "-"], removal(this.#name) + masqueradeRules(this.#name, masquerades));
    this.#listing = (await this.#list()) ?? "";
  }

  /** The table of a run that was killed; where nft is not even installed there is none. */
  async #removeLeftover(): Promise<void> {
    if (this.#listing !== null || (await this.#list()) !== null) await runNft(["-f", "-"], removal(this.#name));
    this.#listing = null;
  }

  /** null when there is no such table, or no nft. */
  async #list(): Promise<string | null> {
    try {
      return await runNft(["list", "table", "inet", this.#name], "");
    } catch {
      return null;
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

/** Resolves with stdout. @throws TOOL_MISSING, NOT_PERMITTED, KERNEL_REFUSED */
function runNft(args: readonly string[], input: string): Promise<string> {
  const env = { ...process.env, PATH: `${process.env.PATH ?? ""}${SYSTEM_FOLDERS}` };
  return new Promise((resolve, reject) => {
    const child = execFile("nft", args, { env, timeout: NFT_LIMIT_MS }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(nftFailure(error, stderr));
    });
    child.stdin?.on("error", () => {}); // nft ended without reading: its exit status tells
    child.stdin?.end(input);
  });
}

function nftFailure(cause: Error, stderr: string): HopsackError {
  if (errnoOf(cause) === "ENOENT") {
    const message =
      "nft is not installed, and --ip-masq needs it; install the package nftables, or start without --ip-masq";
    return new HopsackError("TOOL_MISSING", message, { cause });
  }
  const words = stderr.trim().split("\n")[0] || messageOf(cause);
  if (words.includes("Operation not permitted")) {
    const message = `nft may not change the masquerade rules (${words}); run as root, or with the capability CAP_NET_ADMIN`;
    return new HopsackError("NOT_PERMITTED", message, { cause });
  }
  const message = `nft could not change the masquerade rules (${words}); check that this kernel has nf_tables with NAT, or start without --ip-masq`;
  return new HopsackError("KERNEL_REFUSED", message, { cause });
}
