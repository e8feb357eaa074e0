// How the text of one flag or environment variable becomes a value. Each parser returns undefined for text it does not
// accept; options.ts says so in a sentence together with what would be accepted.

import type { OffloadSwitches } from "../addon.js";
import type { TunnelEngine } from "../backend/backend.js";
import type { Engine } from "../dataplane/accelerator.js";
import { parseIpv4 } from "../net/ipv4.js";
import { formatIpv6, isHostIpv6, parseIpv6 } from "../net/ipv6.js";
import type { MetricsAddress } from "./metrics-server.js";

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The names of `--offload`, and the switch each one means. */
const OFFLOADS: readonly (readonly [name: string, key: keyof OffloadSwitches])[] = [
  ["tso", "tso"],
  ["uso", "uso"],
  ["udp-gso", "udpGso"],
  ["udp-gro", "udpGro"],
  ["tun-gro", "tunGro"],
];

const MAX_SECONDS = 31_536_000; // a year
const MAX_MINUTES = 1439; // flannel's bound: a margin shorter than its lease of a day
const MAX_PEERS = 10_000;
const MAX_DEVICE_NAME_BYTES = 15; // IFNAMSIZ - 1
const MAX_SOCKET_PATH_BYTES = 107; // sizeof(sockaddr_un.sun_path) - 1
const MAX_NODE_NAME_LENGTH = 253; // a full domain name, RFC 1035

/** `accepted` completes the sentence "… is not accepted; give <accepted>". */
export interface ValueParser<T> {
  readonly accepted: string;
  parse(text: string): T | undefined;
}

export const anyText: ValueParser<string> = {
  accepted: "a text that is not empty",
  parse: (text) => (text === "" ? undefined : text),
};

export const path: ValueParser<string> = {
  accepted: "a path",
  parse: (text) => (text === "" || text.includes("\0") ? undefined : text),
};

export const socketPath: ValueParser<string> = {
  accepted: `a path of at most ${MAX_SOCKET_PATH_BYTES} bytes`,
  parse: (text) => (Buffer.byteLength(text) > MAX_SOCKET_PATH_BYTES ? undefined : path.parse(text)),
};

export const commaList: ValueParser<readonly string[]> = {
  accepted: "a list separated by commas",
  parse: (text) => (text === "" ? undefined : text.split(",").map((entry) => entry.trim())),
};

/** An address other hosts can send to: not 0.x, 127.x, multicast or above. */
export const hostAddress: ValueParser<string> = {
  accepted: "an IPv4 address of a host, e.g. 192.168.50.10",
  parse: (text) => {
    const first = (parseIpv4(text) ?? 0) >>> 24;
    return first === 0 || first === 127 || first >= 224 ? undefined : text;
  },
};

/** The same of IPv6. */
export const hostAddressV6: ValueParser<string> = {
  accepted: "an IPv6 address of a host, e.g. 2001:db8::10",
  parse: (text) => {
    const bits = isHostIpv6(text) ? parseIpv6(text) : undefined;
    return bits === undefined ? undefined : formatIpv6(bits);
  },
};

/** The kernel's rule for interface names (dev_valid_name), without the `%` that would number the device. */
export const deviceName: ValueParser<string> = {
  accepted: `an interface name of at most ${MAX_DEVICE_NAME_BYTES} bytes without blanks, "/", ":" and "%"`,
  parse: (text) => {
    if (text === "" || text === "." || text === ".." || /[\s/:%\0]/.test(text)) return undefined;
    return Buffer.byteLength(text) > MAX_DEVICE_NAME_BYTES ? undefined : text;
  },
};

export const hostName: ValueParser<string> = {
  accepted: `a name of at most ${MAX_NODE_NAME_LENGTH} letters, digits, ".", "_" and "-"`,
  parse: (text) => (text.length <= MAX_NODE_NAME_LENGTH && /^[A-Za-z0-9._-]+$/.test(text) ? text : undefined),
};

/** `PORT`, or `ADDRESS:PORT` with an IPv4 address of this host. */
export const listenAddress: ValueParser<MetricsAddress> = {
  accepted: "PORT or ADDRESS:PORT, e.g. 9285 or 127.0.0.1:9285",
  parse: (text) => {
    const [, address = null, digits] = /^(?:([0-9.]+):)?([0-9]{1,5})$/.exec(text) ?? [];
    const port = Number(digits);
    if (!(port >= 1 && port <= 65_535) || (address !== null && parseIpv4(address) === undefined)) return undefined;
    return { address, port };
  },
};

export function wholeNumber(max: number, unit: string): ValueParser<number> {
  return {
    accepted: `whole ${unit} from 1 to ${max}`,
    parse: (text) => {
      const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : 0;
      return value < 1 || value > max ? undefined : value;
    },
  };
}

export const seconds = wholeNumber(MAX_SECONDS, "seconds");
export const minutes = wholeNumber(MAX_MINUTES, "minutes");

export const peerCount: ValueParser<number> = {
  accepted: `a whole number of peers from 0 to ${MAX_PEERS}`,
  parse: (text) => (/^[0-9]{1,5}$/.test(text) && Number(text) <= MAX_PEERS ? Number(text) : undefined),
};

/** What Go's flag package takes for a boolean, since flannel's users type it. */
export const truth: ValueParser<boolean> = {
  accepted: "true or false",
  parse: (text) => {
    if (["true", "t", "1"].includes(text.toLowerCase())) return true;
    return ["false", "f", "0"].includes(text.toLowerCase()) ? false : undefined;
  },
};

const TUNNEL_ENGINES: readonly TunnelEngine[] = ["kernel", "userspace"];

export const tunnelEngine: ValueParser<TunnelEngine> = {
  accepted: TUNNEL_ENGINES.join(" or "),
  parse: (text) => TUNNEL_ENGINES.find((engine) => engine === text),
};

const ENGINES: readonly (Engine | "fou")[] = ["auto", "pump", "ebpf", "fou"];

export const engine: ValueParser<Engine | "fou"> = {
  accepted: "auto, pump, ebpf or fou",
  parse: (text) => ENGINES.find((known) => known === text),
};

export const logLevel: ValueParser<LogLevel> = {
  accepted: LOG_LEVELS.join(", "),
  parse: (text) => LOG_LEVELS.find((level) => level === text),
};

/** `all`, `none`, or the offloads to use separated by commas. */
export const offloadList: ValueParser<OffloadSwitches> = {
  accepted: `all, none, or a list of ${OFFLOADS.map(([name]) => name).join(",")}`,
  parse: (text) => {
    const names = text === "all" ? OFFLOADS.map(([name]) => name) : text === "none" ? [] : text.split(",");
    if (names.some((name) => !OFFLOADS.some(([known]) => known === name))) return undefined;
    const isOn = (key: keyof OffloadSwitches): boolean =>
      OFFLOADS.some(([name, k]) => k === key && names.includes(name));
    return {
      tso: isOn("tso"),
      uso: isOn("uso"),
      udpGso: isOn("udpGso"),
      udpGro: isOn("udpGro"),
      tunGro: isOn("tunGro"),
    };
  },
};
