// `"attach": "bridge"`: another plugin does the work. What it was told is kept until DEL, so that DEL and GC tell it the same
// whatever happened to lease and configuration since.

import { mkdirSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, HopsackError } from "../errors.js";
import { isJsonObject, type JsonObject } from "../lease/json-object.js";
import { replaceFile } from "../lease/replace-file.js";
import { formatPrefix } from "../net/prefix.js";
import type { AddressBook } from "./address-book.js";
import { attachmentKey } from "./address-pool.js";
import { CniCode, CniError } from "./cni-error.js";
import { findPlugin, runDelegate } from "./delegate.js";
import { delegateConfig } from "./delegate-config.js";
import { type HostLease, readHostLease } from "./host-lease.js";
import { openNetns } from "./pod-link.js";
import type { AddRequest, Attachment, CheckRequest, Request } from "./request.js";
import { delegatedResultJson } from "./result.js";

const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const SUFFIX = ".json";

/** What is kept of one attachment; written before the other plugin runs. */
interface BridgeRecord {
  readonly netns: string;
  /** The path may be another namespace's by now, as /proc/PID/ns/net. */
  readonly netnsId: string;
  readonly config: JsonObject;
}

export class BridgeAttachments {
  readonly #folder: string;
  readonly #book: AddressBook;

  /** @param folder of the network */
  constructor(folder: string, book: AddressBook) {
    this.#folder = join(folder, "bridged");
    this.#book = book;
  }

  /** @throws CniError */
  async add(request: AddRequest, lease: HostLease): Promise<string> {
    const { attachment, netns, environment, cniVersion } = request;
    if (netns === null) {
      const cure = 'set "attach": "routed" in the network configuration';
      throw new CniError(CniCode.unsupportedField, `a tap cannot be attached by the plugins of "bridge"; ${cure}`);
    }
    const config = delegateConfig(request.config, lease, cniVersion);
    findPlugin(String(config.type), environment); // before there is anything to take back
    const record = { netns, netnsId: netnsIdOf(netns), config };
    await this.#claim(attachment, record);
    try {
      const text = await runDelegate({ verb: "ADD", attachment, netns, config }, environment);
      return delegatedResultJson(cniVersion, text, config.mtu, request.config.prevResult);
    } catch (error) {
      await this.#remove(attachment, record, request).catch(() => undefined); // GC tries again
      throw error;
    }
  }

  /** Whether there was anything. @throws CniError */
  async remove(attachment: Attachment, request: Request): Promise<boolean> {
    const record = await this.#read(attachment, request);
    if (record === null) return false;
    await this.#remove(attachment, record, request);
    return true;
  }

  /** @throws CniError notAsAdded, leaseChanged, or the other plugin's own */
  async check(request: CheckRequest, lease: HostLease): Promise<void> {
    const { attachment, netns, environment } = request;
    const record = await this.#read(attachment, request);
    if (record === null) {
      throw new CniError(CniCode.notAsAdded, `${attachmentKey(attachment)} is not attached; DEL it and ADD it again`);
    }
    const prevResult = { ...request.config.prevResult, cniVersion: record.config.cniVersion };
    const config = { ...record.config, prevResult };
    await runDelegate({ verb: "CHECK", attachment, netns, config }, environment);
    const then = JSON.stringify(rangesOf(record.config));
    const now = [lease.subnet, ...(lease.subnetV6 === null ? [] : [lease.subnetV6])].map((subnet) => [
      { subnet: formatPrefix(subnet) },
    ]);
    if (then === JSON.stringify(now)) return;
    const message = `the lease of this host is ${formatPrefix(lease.subnet)} now, and the container has an address of ${then}`;
    throw new CniError(CniCode.leaseChanged, `${message}; start it again to give it a new one`);
  }

  /** Every attachment there is a record of. */
  async attachments(): Promise<Attachment[]> {
    const names = await readdir(this.#folder).catch((error: unknown) => {
      if (errnoOf(error) === "ENOENT") return [];
      throw error;
    });
    return names
      .filter((name) => !name.startsWith(".") && name.endsWith(SUFFIX))
      .map((name) => {
        const [containerId = "", ifName = ""] = name.slice(0, -SUFFIX.length).split(":");
        return { containerId, ifName };
      });
  }

  /** The record goes last, so that whoever is killed in between is finished by DEL or GC. */
  async #remove(attachment: Attachment, record: BridgeRecord, { environment }: Request): Promise<void> {
    const netns = isThere(record) ? record.netns : ""; // the address is given back all the same
    await runDelegate({ verb: "DEL", attachment, netns, config: record.config }, environment);
    await rm(this.#pathOf(attachment), { force: true });
  }

  async #claim(attachment: Attachment, record: BridgeRecord): Promise<void> {
    mkdirSync(this.#folder, { recursive: true, mode: FOLDER_MODE });
    await this.#book.locked(async () => {
      const known = (await this.attachments()).map(attachmentKey);
      const key = attachmentKey(attachment);
      if (known.includes(key)) {
        throw new HopsackError("ALREADY_ATTACHED", `${key} is attached already; DEL it before it is added again`);
      }
      await replaceFile(this.#pathOf(attachment), `${JSON.stringify(record)}\n`, FILE_MODE);
    });
  }

  /** null when there is none. A damaged one is made again from lease and configuration. */
  async #read(attachment: Attachment, { config, cniVersion }: Request): Promise<BridgeRecord | null> {
    let text: string;
    try {
      text = await readFile(this.#pathOf(attachment), "utf8");
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return null;
      throw error;
    }
    const record = parseRecord(text);
    if (record !== null) return record;
    process.stderr.write(`hopsack: ${this.#pathOf(attachment)} is damaged; what it said is taken from the lease\n`);
    return { netns: "", netnsId: "", config: delegateConfig(config, readHostLease(config.subnetFile), cniVersion) };
  }

  #pathOf(attachment: Attachment): string {
    return join(this.#folder, `${attachmentKey(attachment)}${SUFFIX}`);
  }
}

function parseRecord(text: string): BridgeRecord | null {
  try {
    const parsed: unknown = JSON.parse(text);
    if (!isJsonObject(parsed)) return null;
    const { netns, netnsId, config } = parsed;
    const isWhole = typeof netns === "string" && typeof netnsId === "string" && isJsonObject(config);
    return isWhole ? { netns, netnsId, config } : null;
  } catch {
    return null;
  }
}

/** @throws CniError containerUnknown, badEnvironment when it is none */
function netnsIdOf(path: string): string {
  const netns = openNetns(path);
  try {
    return netns.netnsId();
  } finally {
    netns.close();
  }
}

function isThere({ netns, netnsId }: BridgeRecord): boolean {
  try {
    return netnsIdOf(netns) === netnsId;
  } catch {
    return false;
  }
}

function rangesOf({ ipam }: JsonObject): unknown {
  return isJsonObject(ipam) ? ipam.ranges : undefined;
}
