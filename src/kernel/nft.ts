// Runs the program nft, and says in one sentence why it did not do what it was asked. Called by own-table.ts,
// forward-rules.ts, leftovers.ts and policy/host-policy.ts only.
import { execFile } from "node:child_process";
import { errnoOf, HopsackError, messageOf } from "../errors.js";

const NFT_LIMIT_MS = 10_000;
/** A chain of kube-proxy's lists thousands of rules. */
const LISTING_LIMIT_BYTES = 64_000_000;
const SYSTEM_FOLDERS = ":/usr/sbin:/sbin";

/** For the sentences of errors. */
export interface NftPurpose {
  /** `the masquerade rules` */
  readonly what: string;
  /** The flag that asks for them: `--ip-masq`. */
  readonly flag: string;
  /** How to do without them: `start without --ip-masq`. */
  readonly wayOut: string;
}

/** Makes all changes of `input` or none. @throws TOOL_MISSING, NOT_PERMITTED, KERNEL_REFUSED */
export async function changeRules(input: string, purpose: NftPurpose): Promise<void> {
  await runNft(["-f", "-"], input, purpose);
}

/**
 * What nft lists, e.g. of `["table", "inet", "hopsack-flannel0"]`; null where there is no such thing.
 * @param form `-a`: with handles; `-s`: without what counters have counted; `-j`: as JSON
 * @throws TOOL_MISSING
 */
export async function listRules(
  what: readonly string[],
  purpose: NftPurpose,
  form: "-a" | "-s" | "-j" = "-a",
): Promise<string | null> {
  try {
    return await runNft([form, "list", ...what], "", purpose);
  } catch (error) {
    if (error instanceof HopsackError && error.code === "TOOL_MISSING") throw error;
    return null;
  }
}

/** Of a listing: the kernel keeps the elements of a set in no order. */
export function withSortedElements(listing: string): string {
  return listing.replaceAll(/elements = \{([^}]*)\}/g, (_, elements: string) => {
    const sorted = elements.split(",").map((element) => element.trim());
    return `elements = { ${sorted.sort().join(", ")} }`;
  });
}

/** Resolves with stdout. */
function runNft(args: readonly string[], input: string, purpose: NftPurpose): Promise<string> {
  const env = { ...process.env, PATH: `${process.env.PATH ?? ""}${SYSTEM_FOLDERS}` };
  const options = { env, timeout: NFT_LIMIT_MS, maxBuffer: LISTING_LIMIT_BYTES };
  return new Promise((resolve, reject) => {
    const child = execFile("nft", args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(nftFailure(error, stderr, purpose));
    });
    child.stdin?.on("error", () => {}); // nft ended without reading: its exit status tells
    child.stdin?.end(input);
  });
}

function nftFailure(cause: Error, stderr: string, { what, flag, wayOut }: NftPurpose): HopsackError {
  if (errnoOf(cause) === "ENOENT") {
    const message = `nft is not installed, and ${flag} needs it; install the package nftables, or ${wayOut}`;
    return new HopsackError("TOOL_MISSING", message, { cause });
  }
  const words = stderr.trim().split("\n")[0] || messageOf(cause);
  if (words.includes("Operation not permitted")) {
    const message = `nft may not change ${what} (${words}); run as root, or with the capability CAP_NET_ADMIN`;
    return new HopsackError("NOT_PERMITTED", message, { cause });
  }
  const message = `nft could not change ${what} (${words}); check that this kernel has nf_tables with NAT, or ${wayOut}`;
  return new HopsackError("KERNEL_REFUSED", message, { cause });
}
