// The address pool of one network on disk, and the lock that plugin processes take turns by. What is written is written at
// once (temp file, rename), so a killed plugin leaves the old state or the new one. A file that is damaged all the same is set
// aside, and the pool made again from what the kernel shows.
import { mkdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { loadAddon } from "../addon.js";
import { errnoOf } from "../errors.js";
import { isJsonObject } from "../lease/json-object.js";
import { replaceFile } from "../lease/replace-file.js";
import { parseAddress } from "../net/prefix.js";
import { withFileLock } from "../store/file-lock.js";
import { type AddressPool, EMPTY_POOL, type PodAddresses } from "./address-pool.js";

const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
/** Thirty pods that start at once need less than a second; a runtime gives a plugin minutes. */
const LOCK_WAIT_LIMIT_MS = 30_000;

/** Holders of addresses as the kernel shows them. */
export type Survey = () => Readonly<Record<string, PodAddresses>>;

export class AddressBook {
  readonly #folder: string;
  readonly #survey: Survey;

  constructor(folder: string, survey: Survey) {
    this.#folder = folder;
    this.#survey = survey;
  }

  /** Nothing is written when `work` gives the pool back that it was given. @throws STORE_UNAVAILABLE (retryable) */
  change<T>(work: (pool: AddressPool) => readonly [AddressPool, T]): Promise<T> {
    return this.locked(async () => {
      const before = await this.#read();
      const [after, answer] = work(before);
      if (after !== before) await replaceFile(this.#file, `${JSON.stringify(after)}\n`, FILE_MODE);
      return answer;
    });
  }

  /** For whatever else of the network must be done by one plugin at a time. */
  async locked<T>(work: () => Promise<T>): Promise<T> {
    await mkdir(this.#folder, { recursive: true, mode: FOLDER_MODE });
    const never = new AbortController().signal;
    return withFileLock(join(this.#folder, "lock"), loadAddon().tryLockFile, never, work, LOCK_WAIT_LIMIT_MS);
  }

  get #file(): string {
    return join(this.#folder, "addresses.json");
  }

  async #read(): Promise<AddressPool> {
    let text: string;
    try {
      text = await readFile(this.#file, "utf8");
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return EMPTY_POOL;
      throw error;
    }
    const pool = parsePool(text);
    if (pool !== null) return pool;
    const aside = `${this.#file}.damaged`;
    await rename(this.#file, aside);
    process.stderr.write(
      `hopsack: ${this.#file} is damaged; it is now ${aside}, and the addresses of running pods are kept\n`,
    );
    const recovered = { ...EMPTY_POOL, held: this.#survey() };
    await replaceFile(this.#file, `${JSON.stringify(recovered)}\n`, FILE_MODE);
    return recovered;
  }
}

/** null when the text is not what we write. */
function parsePool(text: string): AddressPool | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isJsonObject(parsed) || !isJsonObject(parsed.held) || !Array.isArray(parsed.released)) return null;
  const isWhole = Object.values(parsed.held).every(isPodAddresses) && parsed.released.every(isRelease);
  return isWhole ? (parsed as unknown as AddressPool) : null;
}

function isPodAddresses(value: unknown): boolean {
  return isJsonObject(value) && isAddress(value.v4) && (value.v6 === null || isAddress(value.v6));
}

function isRelease(value: unknown): boolean {
  return Array.isArray(value) && isAddress(value[0]) && typeof value[1] === "number";
}

function isAddress(value: unknown): boolean {
  return typeof value === "string" && parseAddress(value) !== undefined;
}
