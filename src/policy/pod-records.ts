// The pods of this host as policies see them, a file each: addresses, labels, and where a bridge carries them. Written by cni/ and by
// `hopsack policy label`, under the lock of host-policy.ts.
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, HopsackError } from "../errors.js";
import { isJsonObject } from "../lease/json-object.js";
import { replaceFile } from "../lease/replace-file.js";
import type { Labels } from "./policy.js";

const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const SUFFIX = ".json";

export interface Pod {
  /** Of the network configuration. */
  readonly network: string;
  readonly containerId: string;
  readonly ifName: string;
  readonly addresses: readonly string[];
  /** The host's end of its cable; null: nobody said. */
  readonly hostLink: string | null;
  /** Of the bridge that the cable is plugged into; null: its host routes for it. */
  readonly bridgeMac: string | null;
  readonly labels: Labels;
}

export type PodName = Pick<Pod, "network" | "containerId" | "ifName">;

/** None of the three has a colon. */
export function podKey({ network, containerId, ifName }: PodName): string {
  return `${network}:${containerId}:${ifName}`;
}

export class PodRecords {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Sorted by key. @throws BAD_POLICY when a file is damaged: an unknown pod would be an open one */
  async list(): Promise<Pod[]> {
    const names = await readdir(this.#folder).catch((error: unknown) => {
      if (errnoOf(error) === "ENOENT") return [];
      throw error;
    });
    const files = names.filter((name) => name.endsWith(SUFFIX) && !name.startsWith(".")).sort();
    return Promise.all(files.map(async (name) => parsePod(await readFile(join(this.#folder, name), "utf8"), name)));
  }

  /** An address belongs to who got it last: whoever had it before is gone, and nobody said so. */
  async put(pod: Pod): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: FOLDER_MODE });
    for (const other of await this.list()) {
      const isGone =
        podKey(other) !== podKey(pod) && other.addresses.some((address) => pod.addresses.includes(address));
      if (isGone) await this.remove(other);
    }
    await replaceFile(this.#pathOf(pod), `${JSON.stringify(pod)}\n`, FILE_MODE);
  }

  /** Nothing happens when there is none. */
  async remove(pod: PodName): Promise<void> {
    await rm(this.#pathOf(pod), { force: true });
  }

  #pathOf(pod: PodName): string {
    return join(this.#folder, `${podKey(pod)}${SUFFIX}`);
  }
}

function parsePod(text: string, name: string): Pod {
  try {
    const pod: unknown = JSON.parse(text);
    if (isJsonObject(pod) && typeof pod.containerId === "string" && Array.isArray(pod.addresses))
      return pod as unknown as Pod;
  } catch {
    // the same sentence
  }
  throw new HopsackError("BAD_POLICY", `the record ${name} of a pod is damaged; DEL that container and ADD it again`);
}
