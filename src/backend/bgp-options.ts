// The options of the bgp backend: what stands beside Type in the network configuration. Pure; used by bgp.ts only.
import { HopsackError } from "../errors.js";
import { field, isJsonObject, type JsonObject } from "../lease/json-object.js";
import { parseAddress } from "../net/prefix.js";
import type { BfdMode } from "../plan/plan.js";
import { type IpipMode, readMode } from "./ipip-tunnel.js";
import { isUnicast } from "./subnets.js";

/** The first private AS number (RFC 6996), Calico's default. */
const DEFAULT_AS_NUMBER = 64_512;
const LAST_AS_NUMBER = 4_294_967_294; // RFC 7300: the one after it is reserved
/** TCP_MD5SIG_MAXKEYLEN, in printable ASCII without BIRD's quotation mark. */
const PASSWORD = /^[ !#-~]{1,80}$/;
const BFD_MODES: readonly BfdMode[] = ["off", "on", "graceful"];

/** Somebody outside who speaks BGP, usually a switch or router of the site. */
interface ExternalPeer {
  readonly address: string;
  readonly asNumber: number;
  readonly password: string | null;
  /** The one host that talks to it; null: all. */
  readonly node: string | null;
}

export interface BgpOptions {
  readonly asNumber: number;
  /** Between hosts. */
  readonly password: string | null;
  readonly bfd: BfdMode;
  /** Addresses of hosts or others that pass routes on; empty: every host talks to every other. */
  readonly routeReflectors: readonly string[];
  readonly peers: readonly ExternalPeer[];
  /** Which hosts are reached by IP-in-IP. */
  readonly ipip: IpipMode;
}

/** @throws BAD_CONFIG naming key, value and what is accepted */
export function readBgpOptions(options: JsonObject): BgpOptions {
  return {
    asNumber: asNumberOf(options, "Backend", DEFAULT_AS_NUMBER),
    password: passwordOf(options, "Backend"),
    bfd: bfdOf(options),
    routeReflectors: listOf(options, "RouteReflectors", '["192.168.50.10"]').map((entry) =>
      addressOf(entry, "Backend.RouteReflectors"),
    ),
    peers: listOf(options, "Peers", '[{ "Address": "192.168.50.1", "ASNumber": 65001 }]').map(peerOf),
    ipip: readMode(options, "IPIP", "never"),
  };
}

function fault(key: string, value: unknown, accepted: string): HopsackError {
  return new HopsackError(
    "BAD_CONFIG",
    `${key} ${JSON.stringify(value) ?? "is missing and"} is not accepted; ${accepted}`,
  );
}

function asNumberOf(object: JsonObject, where: string, fallback: number | null): number {
  const value = field(object, "ASNumber") ?? fallback;
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= LAST_AS_NUMBER) return value;
  throw fault(`${where}.ASNumber`, value ?? undefined, `give a whole number from 1 to ${LAST_AS_NUMBER}`);
}

function passwordOf(object: JsonObject, where: string): string | null {
  const value = field(object, "Password") ?? null;
  if (value === null) return null;
  if (typeof value === "string" && PASSWORD.test(value)) return value;
  // Not the value: errors are logged.
  const accepted = 'give 1 to 80 characters of printable ASCII other than "';
  throw new HopsackError("BAD_CONFIG", `${where}.Password is not accepted; ${accepted}`);
}

function bfdOf(options: JsonObject): BfdMode {
  const value = field(options, "BFD") ?? "off";
  const mode = BFD_MODES.find((known) => known === value);
  if (mode === undefined) throw fault("Backend.BFD", value, `use one of: ${BFD_MODES.join(", ")}`);
  return mode;
}

function listOf(options: JsonObject, key: string, example: string): readonly unknown[] {
  const value = field(options, key) ?? [];
  if (!Array.isArray(value)) throw fault(`Backend.${key}`, value, `give a list, e.g. ${example}`);
  return value;
}

function addressOf(value: unknown, key: string): string {
  const isHost = typeof value === "string" && parseAddress(value)?.family === 4 && isUnicast(value);
  if (!isHost) throw fault(key, value, "give IPv4 addresses of hosts, e.g. 192.168.50.10");
  return value;
}

function peerOf(entry: unknown): ExternalPeer {
  const where = "Backend.Peers";
  if (!isJsonObject(entry)) throw fault(where, entry, "give objects with Address and ASNumber");
  const node = field(entry, "Node") ?? null;
  if (node !== null && typeof node !== "string") throw fault(`${where}.Node`, node, "give the name of a host");
  return {
    address: addressOf(field(entry, "Address"), `${where}.Address`),
    asNumber: asNumberOf(entry, where, null),
    password: passwordOf(entry, where),
    node,
  };
}
