// The real world of the daemon: this machine. Nothing here decides; daemon.ts does.
import { closeSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { loadAddon } from "../addon.js";
import { linkReach } from "../backend/direct-route.js";
import { createBackend } from "../backend/registry.js";
import { Bird } from "../bird/bird.js";
import { Pump } from "../dataplane/pump.js";
import { HopsackError, messageOf } from "../errors.js";
import { birdRouteRemovals, birdRoutes } from "../kernel/bird-routes.js";
import { isAboutTable } from "../kernel/concerns.js";
import { findFouRival } from "../kernel/fou-rivals.js";
import { findIpipRival } from "../kernel/ipip-rivals.js";
import { attachPrograms } from "../kernel/link-programs.js";
import { openMergingPair } from "../kernel/merging-pair.js";
import { findOverlap } from "../kernel/overlap.js";
import { NETLINK_NETFILTER, NFNLGRP_NFTABLES, Reconciler } from "../kernel/reconciler.js";
import { Rtnetlink } from "../kernel/rtnetlink.js";
import type { Link } from "../netlink/link.js";
import { HostPolicy } from "../policy/host-policy.js";
import { openStore } from "../store/registry.js";
import { systemClock } from "./clock.js";
import { openProbeSocket } from "./probe-socket.js";
import { readServiceEnvironment } from "./service.js";
import type { LinkVolume } from "./state.js";
import { findUnderlay } from "./underlay.js";
import type { Kernel, World } from "./world.js";

/** linux/capability.h */
const CAP_NET_ADMIN = 12n;

export const host: World = {
  clock: systemClock,
  checkPrivileges: () => checkNetAdmin(readFileSync("/proc/self/status", "utf8")),
  machineId: () => readText("/etc/machine-id") ?? "",
  openKernel,
  openStore,
  createBackend,
  service: readServiceEnvironment(process.env, process.pid),
  sendNotification: (address, text, fds) => loadAddon().sendNotification(address, text, fds),
  openNotifySocket: (path) => new (loadAddon().NotifySocket)(path),
  closeDescriptors,
  openPump: (options) => Pump.open(options),
  openProbeSocket,
  openPolicy: (places) => new HostPolicy(places),
  openBird: (options) => new Bird(options),
  enableForwarding: (hasIpv6) => enableForwarding(hasIpv6, sysctls),
  hostWarnings: (hasIpv6) => forwardingWarnings(hasIpv6, sysctls.read),
};

/** @throws NOT_PERMITTED when the effective capabilities in the text of /proc/self/status lack CAP_NET_ADMIN */
export function checkNetAdmin(
  processStatus: string,
  problem = "hopsackd may not create network devices and routes here",
): void {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(processStatus)?.[1] ?? "0"}`);
  if (((effective >> CAP_NET_ADMIN) & 1n) === 1n) return;
  throw new HopsackError("NOT_PERMITTED", `${problem}; run it as root or with the capability CAP_NET_ADMIN`);
}

/** The kernel's settings by name: `net/ipv4/ip_forward`. */
export interface Sysctls {
  /** null: this kernel has no such setting. */
  read(name: string): string | null;
  write(name: string, value: string): void;
  /** Links that have IPv6 settings of their own. */
  ipv6Links(): readonly string[];
}

const IPV4_FORWARDING = "net/ipv4/ip_forward";
const IPV6_FORWARDING = "net/ipv6/conf/all/forwarding";

/** The names of the settings that were switched on. A link that hears router advertisements goes on doing so. */
export function enableForwarding(hasIpv6: boolean, sysctls: Sysctls): string[] {
  const names = [IPV4_FORWARDING, ...(hasIpv6 ? [IPV6_FORWARDING] : [])].filter((name) => sysctls.read(name) === "0");
  if (names.includes(IPV6_FORWARDING)) {
    for (const link of sysctls.ipv6Links()) {
      const name = `net/ipv6/conf/${link}/accept_ra`;
      if (sysctls.read(name) === "1") sysctls.write(name, "2"); // 1 is: unless this host forwards
    }
  }
  for (const name of names) sysctls.write(name, "1");
  return names.map(dotted);
}

function dotted(name: string): string {
  return name.replaceAll("/", ".");
}

/** @param readSysctl the setting's text, or null where there is none */
export function forwardingWarnings(hasIpv6: boolean, readSysctl: (name: string) => string | null): string[] {
  const names = [IPV4_FORWARDING, ...(hasIpv6 ? [IPV6_FORWARDING] : [])];
  return names
    .filter((name) => readSysctl(name) === "0")
    .map(dotted)
    .map((name) => `${name} is 0, so containers on this host reach nobody; switch it on with: sysctl -w ${name}=1`);
}

/** Names with slashes, as the folders are: a link's name may have dots. */
const sysctls: Sysctls = {
  read: (name) => readText(`/proc/sys/${name}`),
  write: (name, value) => {
    try {
      writeFileSync(`/proc/sys/${name}`, value);
    } catch (cause) {
      const problem = `${dotted(name)} cannot be set to ${value} (${messageOf(cause)})`;
      const cure = "set it yourself and start with --ip-forward=false";
      throw new HopsackError("NOT_PERMITTED", `${problem}; ${cure}`, { cause });
    }
  },
  ipv6Links: () => readdirSync("/proc/sys/net/ipv6/conf").filter((name) => name !== "all" && name !== "default"),
};

function closeDescriptors(fds: readonly number[]): void {
  for (const fd of fds) {
    try {
      closeSync(fd);
    } catch {
      // it never was open
    }
  }
}

/** null when there is no such file. */
function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return null;
  }
}

/** On a device of ours a router advertisement could only come from a peer that wants to be this host's default route. */
function refuseRouterAdvertisements(linkName: string): void {
  setIpv6(linkName, "accept_ra", "0");
}

/** A device that carries packets to another one has no need of addresses of its own, and nothing to say. */
function switchOffIpv6(linkName: string): void {
  setIpv6(linkName, "disable_ipv6", "1");
}

function setIpv6(linkName: string, setting: string, value: string): void {
  try {
    writeFileSync(`/proc/sys/net/ipv6/conf/${linkName}/${setting}`, value);
  } catch {
    // no IPv6 here, or /proc/sys may not be written to
  }
}

function linkVolume(link: Link | undefined): LinkVolume | null {
  const stats = link?.stats ?? null;
  if (stats === null) return null;
  const { txPackets, txBytes, rxPackets, rxBytes } = stats;
  return { sentPackets: txPackets, sentBytes: txBytes, receivedPackets: rxPackets, receivedBytes: rxBytes };
}

function openKernel(): Kernel {
  const addon = loadAddon();
  const rtnetlink = new Rtnetlink();
  return {
    findUnderlay: (choice) => findUnderlay(rtnetlink, choice),
    findOverlap: (input) => {
      const links = rtnetlink.links();
      return findOverlap({ ...input, links, addresses: rtnetlink.addresses(), routes: rtnetlink.routes() });
    },
    openReconciler: (options) =>
      new Reconciler({
        ...options,
        rtnetlink,
        onLinkMade: refuseRouterAdvertisements,
        openMonitor: (groups, onMessages, protocol) => new addon.NetlinkMonitor(groups, onMessages, protocol),
      }),
    watchTables: (name, onChange) => {
      const onRules = (messages: readonly Uint8Array[]): void => {
        if (messages.length === 0 || messages.some((message) => isAboutTable(message, name))) onChange(); // 0: some were lost
      };
      try {
        const monitor = new addon.NetlinkMonitor([NFNLGRP_NFTABLES], onRules, NETLINK_NETFILTER);
        return () => monitor.close();
      } catch {
        return () => {}; // a kernel without nf_tables has no rules to lose
      }
    },
    hasIpip: () => rtnetlink.hasIpip(),
    findIpipRival: (address, deviceName) => {
      const rawSockets = readText("/proc/net/raw") ?? "";
      return findIpipRival({ links: rtnetlink.links(), rawSockets, address, deviceName });
    },
    hasFou: () => rtnetlink.hasFou(),
    findFouRival: (wanted, deviceName) =>
      findFouRival({ links: rtnetlink.links(), fouPorts: rtnetlink.fouPorts(), wanted, deviceName }),
    programPlaces: (instance) => ({
      attachFilters: (programs) => attachPrograms(rtnetlink, instance, programs),
      openMergingPair: (tunIfIndex) =>
        openMergingPair(rtnetlink, { makeMerge: addon.makePairMerge, silence: switchOffIpv6, instance, tunIfIndex }),
    }),
    pathsFrom: (source, addresses) => rtnetlink.pathsFrom(source, addresses),
    linkReach: (linkIndex) => linkReach(rtnetlink.routes(), linkIndex),
    isLinkThere: (ifIndex) => rtnetlink.links().some((link) => link.index === ifIndex),
    linkVolume: (name) => linkVolume(rtnetlink.links().find((link) => link.name === name)),
    removeBirdRoutes: (network, keep) => {
      const actual = { routes: rtnetlink.routes(), links: rtnetlink.links() };
      const refused = rtnetlink.apply(birdRouteRemovals(actual, network, keep)).find((error) => error !== null);
      if (refused !== undefined) throw refused;
    },
    birdSubnets: (network) => new Set(birdRoutes(rtnetlink.routes(), network).map(({ prefix }) => prefix)),
    transmitDrops: (ifIndex) => rtnetlink.links().find((link) => link.index === ifIndex)?.stats?.txDropped ?? 0,
    close: () => rtnetlink.close(),
  };
}
