// What the plugin does for each verb, whichever way containers are attached. DEL and GC look for both ways: the configuration
// may have changed while containers ran.
import { join } from "node:path";
import { Rtnetlink } from "../kernel/rtnetlink.js";
import { formatPrefix } from "../net/prefix.js";
import { HostPolicy } from "../policy/host-policy.js";
import { AddressBook } from "./address-book.js";
import { attachmentKey } from "./address-pool.js";
import { BridgeAttachments } from "./bridge.js";
import { asCniError, CniCode, CniError } from "./cni-error.js";
import { daemonFault } from "./daemon-ready.js";
import { findPlugin } from "./delegate.js";
import { delegateConfig } from "./delegate-config.js";
import { type HostLease, readHostLease } from "./host-lease.js";
import { knownPod } from "./known-pod.js";
import { isOutsider } from "./outsiders.js";
import { surveyPods } from "./pod-link.js";
import type { AddRequest, Attachment, CheckRequest, Request } from "./request.js";
import { RoutedAttachments } from "./routed.js";

/** What goes to standard output; empty for all verbs but ADD. @throws CniError, HopsackError, the system's error */
export function perform(request: Request): Promise<string> {
  return inNetwork(request, (network) => network.perform());
}

/** Every attachment that is known, both ways. */
export function attachmentsOf(request: Request): Promise<Attachment[]> {
  return inNetwork(request, (network) => network.attachments());
}

async function inNetwork<T>(request: Request, work: (network: Network) => Promise<T>): Promise<T> {
  const host = new Rtnetlink();
  try {
    return await work(new Network(request, host));
  } finally {
    host.close();
  }
}

class Network {
  readonly #request: Request;
  readonly #bridged: BridgeAttachments;
  readonly #routed: RoutedAttachments;
  readonly #policy: HostPolicy;

  constructor(request: Request, host: Rtnetlink) {
    const { name, dataDir, policyFile } = request.config;
    const folder = join(dataDir, name);
    const book = new AddressBook(folder, () => surveyPods(host, name));
    this.#request = request;
    this.#bridged = new BridgeAttachments(folder, book);
    this.#routed = new RoutedAttachments(book, host);
    this.#policy = new HostPolicy({ policyFile, cniDataDir: dataDir });
  }

  async perform(): Promise<string> {
    const request = this.#request;
    switch (request.verb) {
      case "ADD":
        return this.#add(request);
      case "DEL":
        await this.#remove(request.attachment);
        return "";
      case "CHECK":
        await this.#check(request);
        return "";
      case "GC":
        await this.#collect(request.valid);
        return "";
      case "STATUS":
        await this.#requireReady(CniCode.notAvailable);
        return "";
    }
  }

  async attachments(): Promise<Attachment[]> {
    return [...(await this.#bridged.attachments()), ...(await this.#routed.attachments())];
  }

  async #add(request: AddRequest): Promise<string> {
    const lease = await this.#lease(CniCode.tryAgainLater);
    const result = await (this.#isRouted ? this.#routed.add(request, lease) : this.#bridged.add(request, lease));
    try {
      await this.#policy.putPod(knownPod(request, result));
    } catch (error) {
      await this.#remove(request.attachment).catch(() => undefined); // GC tries again
      throw error;
    }
    return result;
  }

  async #check(request: CheckRequest): Promise<void> {
    if (request.config.prevResult === null) {
      throw new CniError(CniCode.badConfig, "prevResult is missing; CHECK compares with what ADD answered");
    }
    const lease = await this.#lease(CniCode.tryAgainLater);
    await (this.#isRouted ? this.#routed.check(request, lease) : this.#bridged.check(request, lease));
  }

  async #remove(attachment: Attachment): Promise<void> {
    await this.#forgetPod(attachment); // before somebody else gets its address
    if (await this.#bridged.remove(attachment, this.#request)) return;
    await this.#routed.remove(attachment, this.#request.config);
  }

  /** A pod must go even where its rules cannot; the daemon looks after them. */
  async #forgetPod(attachment: Attachment): Promise<void> {
    try {
      await this.#policy.removePod({ network: this.#request.config.name, ...attachment });
    } catch (error) {
      process.stderr.write(
        `hopsack: ${attachmentKey(attachment)} goes, its rules stay: ${asCniError(error).message}\n`,
      );
    }
  }

  /** One that cannot be removed does not keep back the others. What others attached is not the runtime's to collect. */
  async #collect(valid: readonly Attachment[]): Promise<void> {
    const keys = new Set(valid.map(attachmentKey));
    const pods = (await this.#policy.pods()).filter(({ network }) => network === this.#request.config.name);
    const known = new Map(
      [...(await this.attachments()), ...pods].map((attachment) => [attachmentKey(attachment), attachment]),
    );
    const isStale = (attachment: Attachment): boolean =>
      !keys.has(attachmentKey(attachment)) && !isOutsider(attachment);
    const failures: string[] = [];
    for (const attachment of [...known.values()].filter(isStale)) {
      await this.#remove(attachment).catch((error: unknown) => {
        failures.push(`${attachmentKey(attachment)}: ${asCniError(error).message}`);
      });
    }
    if (failures.length > 0) {
      throw new CniError(CniCode.internal, `${failures.length} attachments could not be removed`, failures.join("\n"));
    }
  }

  /** Whether an ADD could work. */
  async #requireReady(code: number): Promise<void> {
    const lease = await this.#lease(code);
    if (this.#isRouted) {
      if ((await this.#routed.freeCount(this.#request, lease)) > 0) return;
      throw new CniError(code, `no address of the lease ${formatPrefix(lease.subnet)} is free`);
    }
    const { config, cniVersion, environment } = this.#request;
    const { type, ipam } = delegateConfig(config, lease, cniVersion);
    for (const plugin of [type, Object(ipam).type]) requirePlugin(String(plugin), environment, code);
  }

  /** Packets can flow, and this is what pods may have. @param code of the error when that is not so */
  async #lease(code: number): Promise<HostLease> {
    const { daemonSocket, subnetFile } = this.#request.config;
    const fault = await daemonFault(daemonSocket);
    if (fault !== null) throw new CniError(code, `${fault}; start it, or set daemonSocket`);
    try {
      return readHostLease(subnetFile);
    } catch (error) {
      throw code === CniCode.notAvailable ? new CniError(code, asCniError(error).message) : error;
    }
  }

  get #isRouted(): boolean {
    return this.#request.config.attach === "routed";
  }
}

function requirePlugin(type: string, environment: NodeJS.ProcessEnv, code: number): void {
  try {
    findPlugin(type, environment);
  } catch (error) {
    throw new CniError(code, asCniError(error).message);
  }
}
