// `"attach": "routed"`: a veth pair and a host route for each pod, addresses from our own pool. An address is reserved before
// the cable is laid and released after it is gone, so whatever a killed plugin leaves is known by its reservation.
import type { Rtnetlink } from "../kernel/rtnetlink.js";
import { formatPrefix, parseInterfaceAddress, prefixOf } from "../net/prefix.js";
import type { AddressBook } from "./address-book.js";
import {
  type AddressPool,
  attachmentKey,
  freeCount,
  type PodAddresses,
  type PoolRules,
  release,
  reserve,
} from "./address-pool.js";
import { CniCode, CniError } from "./cni-error.js";
import type { HostLease } from "./host-lease.js";
import type { NetworkConfig } from "./network-config.js";
import { type LinkPlan, layPodLink, podLinkFaults, removePodLink } from "./pod-link.js";
import type { AddRequest, Attachment, CheckRequest, Request } from "./request.js";
import { addressesIn, resultJson } from "./result.js";
import { layTap, removeTap } from "./tap-link.js";

export class RoutedAttachments {
  readonly #book: AddressBook;
  readonly #host: Rtnetlink;

  constructor(book: AddressBook, host: Rtnetlink) {
    this.#book = book;
    this.#host = host;
  }

  /** @throws CniError, NETWORK_FULL, KERNEL_REFUSED, NOT_PERMITTED */
  async add(request: AddRequest, lease: HostLease): Promise<string> {
    const { attachment, config } = request;
    const addresses = await this.#book.change((pool) => {
      const rules = rulesOf(request, lease);
      const { pool: after, addresses } = reserve(pool, attachmentKey(attachment), wantedAddress(request), rules);
      return [after, addresses];
    });
    try {
      const plan = planOf(request, addresses, lease);
      const { netns } = request;
      const result = netns === null ? layTap(this.#host, plan) : layPodLink(this.#host, { ...plan, netns });
      return resultJson(request.cniVersion, result, config.prevResult);
    } catch (error) {
      await this.remove(attachment, config).catch(() => undefined); // GC tries again
      throw error;
    }
  }

  /** Nothing happens when it is not attached. */
  async remove(attachment: Attachment, { name: network, interfacePrefix }: NetworkConfig): Promise<void> {
    removePodLink(this.#host, { network, attachment, interfacePrefix });
    removeTap(this.#host, network, attachment);
    await this.#book.change((pool) => [release(pool, attachmentKey(attachment), nowSeconds()), undefined]);
  }

  /** @throws CniError notAsAdded naming every difference, leaseChanged */
  async check(request: CheckRequest, lease: HostLease): Promise<void> {
    const { attachment, config } = request;
    const key = attachmentKey(attachment);
    const addresses = (await this.#pool()).held[key];
    if (addresses === undefined) {
      throw new CniError(CniCode.notAsAdded, `${key} has no address reserved; DEL it and ADD it again`);
    }
    const plan = { ...planOf(request, addresses, lease), netns: request.netns };
    const expected = [`${addresses.v4}/32`, ...(addresses.v6 === null ? [] : [`${addresses.v6}/128`])];
    const told = config.prevResult === null ? [] : addressesIn(config.prevResult, attachment.ifName);
    const untrue = expected
      .filter((address) => !told.includes(address))
      .map((address) => `${key} holds ${address}, which is not in prevResult`);
    const faults = [...untrue, ...podLinkFaults(this.#host, plan)];
    if (faults.length > 0) {
      throw new CniError(CniCode.notAsAdded, `${faults.join("; ")}; start the container again`);
    }
    requireInLease(addresses, lease);
  }

  async attachments(): Promise<Attachment[]> {
    return Object.keys((await this.#pool()).held).map((key) => {
      const [containerId = "", ifName = ""] = key.split(":");
      return { containerId, ifName };
    });
  }

  async freeCount(request: Request, lease: HostLease): Promise<number> {
    return freeCount(await this.#pool(), rulesOf(request, lease));
  }

  #pool(): Promise<AddressPool> {
    return this.#book.change((pool) => [pool, pool]);
  }
}

function planOf(
  { attachment, config }: AddRequest | CheckRequest,
  addresses: PodAddresses,
  lease: HostLease,
): LinkPlan {
  const { name: network, interfacePrefix, isDefaultGateway, wantedMac } = config;
  const mtuBytes = config.mtuBytes ?? lease.mtuBytes;
  return { network, attachment, interfacePrefix, addresses, mtuBytes, wantedMac, isDefaultGateway, lease };
}

function rulesOf({ config }: Request, lease: HostLease): PoolRules {
  return { lease, nowSeconds: nowSeconds(), coolDownSeconds: config.coolDownSeconds };
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** The capability `ips`, else `IP=` in CNI_ARGS; its length does not matter. */
function wantedAddress({ config, environment }: Request): string | null {
  const argument = /(?:^|;)IP=([^;]+)/.exec(environment.CNI_ARGS ?? "")?.[1];
  const wanted = config.wantedIps.find((ip) => !ip.includes(":")) ?? argument;
  return wanted?.replace(/\/.*$/, "") ?? null;
}

function requireInLease({ v4 }: PodAddresses, { subnet }: HostLease): void {
  const parsed = parseInterfaceAddress(`${v4}/32`);
  if (parsed !== undefined && prefixOf(parsed, subnet.length).base === subnet.base) return;
  const message = `the lease of this host is ${formatPrefix(subnet)} now, and the container has ${v4}`;
  throw new CniError(CniCode.leaseChanged, `${message}; start it again to give it a new one`);
}
