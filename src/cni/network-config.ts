// The plugin's part of a network configuration: flannel's keys (subnetFile, delegate, ipam …) and our own. Pure.
import { isJsonObject, type JsonObject } from "../lease/json-object.js";
import { parseMac } from "../net/mac.js";
import { labelFault } from "../policy/labels.js";
import { defaultPlaces } from "../policy/places.js";
import type { Labels } from "../policy/policy.js";
import { CniCode, CniError } from "./cni-error.js";

const ATTACH_WAYS = ["bridge", "routed"] as const;
type Attach = (typeof ATTACH_WAYS)[number];

export interface NetworkConfig {
  readonly name: string;
  /** `bridge`: by another plugin, as flannel's does. `routed`: a veth pair and a host route for each pod, no bridge. */
  readonly attach: Attach;
  readonly subnetFile: string;
  readonly daemonSocket: string;
  /** What the plugin keeps. On a tmpfs it is gone after a reboot, as the pods are. */
  readonly dataDir: string;
  /** What `hopsack policy apply` was given last. */
  readonly policyFile: string;
  /** Of every pod, and those of the capability `labels`: what policies go by. */
  readonly labels: Labels;
  /** null: the lease's. */
  readonly mtuBytes: number | null;
  /** `routed`: the pod's default route is through this interface. */
  readonly isDefaultGateway: boolean;
  /** `routed`: what the names of the host's ends of pods begin with. */
  readonly interfacePrefix: string;
  /** `routed`: how long a released address rests before another pod gets it. */
  readonly coolDownSeconds: number;
  /** `routed`: the address asked for by CNI_ARGS or the capability `ips`. */
  readonly wantedIps: readonly string[];
  /** `routed`: the hardware address asked for by the capability `mac`; null: the kernel's choice. */
  readonly wantedMac: string | null;
  /** `bridge`: flannel's delegate and ipam, and the capabilities to be handed on. */
  readonly delegate: JsonObject;
  readonly ipam: JsonObject;
  readonly runtimeConfig: JsonObject | null;
  readonly prevResult: JsonObject | null;
}

const DEFAULTS = {
  subnetFile: "/run/flannel/subnet.env",
  daemonSocket: "/run/hopsack/hopsackd.sock",
  dataDir: "/run/hopsack/cni",
  coolDownSeconds: 30,
  interfacePrefix: "hsk",
};
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** It is part of a link's alias, which holds 255 bytes. */
const NAME_LIMIT = 64;
/** The rest of the 15 bytes of a link's name tells pods apart. */
const INTERFACE_PREFIX = /^[a-z][a-z0-9]{0,5}$/;
const COOL_DOWN_LIMIT_SECONDS = 86_400;
const MTU_LIMIT = 65_535;

/** @throws CniError badConfig, unsupportedField */
export function parseNetworkConfig(input: JsonObject): NetworkConfig {
  const subnetFile = pathOf(input, "subnetFile", DEFAULTS.subnetFile);
  const config: NetworkConfig = {
    name: nameOf(input.name),
    attach: attachOf(input.attach),
    subnetFile,
    daemonSocket: pathOf(input, "daemonSocket", DEFAULTS.daemonSocket),
    dataDir: pathOf(input, "dataDir", DEFAULTS.dataDir),
    policyFile: pathOf(input, "policyFile", defaultPlaces(subnetFile).policyFile),
    labels: labelsOf(input),
    mtuBytes: numberOf(input, "mtu", MTU_LIMIT),
    isDefaultGateway: booleanOf(input, "isDefaultGateway", true),
    interfacePrefix: interfacePrefixOf(input.interfacePrefix ?? DEFAULTS.interfacePrefix),
    coolDownSeconds: numberOf(input, "coolDownSeconds", COOL_DOWN_LIMIT_SECONDS) ?? DEFAULTS.coolDownSeconds,
    wantedIps: wantedIps(input),
    wantedMac: wantedMac(input),
    delegate: objectOf(input, "delegate") ?? {},
    ipam: objectOf(input, "ipam") ?? {},
    runtimeConfig: objectOf(input, "runtimeConfig"),
    prevResult: objectOf(input, "prevResult"),
  };
  refuseUnusable(config);
  return config;
}

/** What would be ignored is refused instead. */
function refuseUnusable({ attach, delegate, ipam }: NetworkConfig): void {
  if (attach === "routed") {
    for (const [key, value] of Object.entries({ delegate, ipam })) {
      if (Object.keys(value).length > 0) throw unsupported(key, value, 'has no meaning with "attach": "routed"');
    }
  }
  for (const key of ["name", "ipam"]) {
    const why = "is not for a delegate: the plugin fills it in; move ipam beside delegate, leave name away";
    if (key in delegate) throw unsupported(`delegate.${key}`, delegate[key], why);
  }
}

function unsupported(key: string, value: unknown, why: string): CniError {
  return new CniError(CniCode.unsupportedField, `${key} ${JSON.stringify(value)} ${why}`);
}

function nameOf(value: unknown): string {
  if (typeof value === "string" && NAME.test(value) && value.length <= NAME_LIMIT) return value;
  const rule = `letters, digits, "_", "." and "-", at most ${NAME_LIMIT}, a letter or digit first`;
  throw bad("name", value, rule);
}

function attachOf(value: unknown): Attach {
  const attach = value === undefined ? "bridge" : ATTACH_WAYS.find((way) => way === value);
  if (attach !== undefined) return attach;
  throw bad("attach", value, ATTACH_WAYS.join(" or "));
}

function interfacePrefixOf(value: unknown): string {
  if (typeof value === "string" && INTERFACE_PREFIX.test(value)) return value;
  throw bad("interfacePrefix", value, "one to six small letters and digits, a letter first, e.g. cali");
}

function pathOf(input: JsonObject, key: string, byDefault: string): string {
  const value = input[key] ?? byDefault;
  if (typeof value === "string" && value.startsWith("/")) return value;
  throw bad(key, value, "an absolute path");
}

function numberOf(input: JsonObject, key: string, most: number): number | null {
  const value = input[key];
  if (value === undefined) return null;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most) return value;
  throw bad(key, value, `a whole number up to ${most}`);
}

function booleanOf(input: JsonObject, key: string, byDefault: boolean): boolean {
  const value = input[key] ?? byDefault;
  if (typeof value === "boolean") return value;
  throw bad(key, value, "true or false");
}

function objectOf(input: JsonObject, key: string): JsonObject | null {
  const value = input[key];
  if (value === undefined || value === null) return null;
  if (isJsonObject(value)) return value;
  throw bad(key, value, "an object");
}

/** The capability `ips`, by the runtime's convention: addresses with or without a length. */
function wantedIps(input: JsonObject): string[] {
  const list = objectOf(input, "runtimeConfig")?.ips ?? [];
  if (!Array.isArray(list)) throw bad("runtimeConfig.ips", list, "a list of addresses");
  return list.map((ip) => {
    if (typeof ip === "string") return ip;
    throw bad("runtimeConfig.ips", list, "a list of addresses");
  });
}

/** The capability `mac`. */
function wantedMac(input: JsonObject): string | null {
  const mac = objectOf(input, "runtimeConfig")?.mac;
  if (mac === undefined) return null;
  if (typeof mac === "string" && parseMac(mac) !== undefined) return mac;
  throw bad("runtimeConfig.mac", mac, "six bytes in hex with colons");
}

function labelsOf(input: JsonObject): Labels {
  const given = { ...objectOf(input, "labels"), ...objectOf(objectOf(input, "runtimeConfig") ?? {}, "labels") };
  return Object.fromEntries(
    Object.entries(given).map(([key, value]) => {
      const fault = labelFault(key, value);
      if (fault === null && typeof value === "string") return [key, value];
      throw new CniError(CniCode.badConfig, `labels in the network configuration: ${fault}`);
    }),
  );
}

function bad(key: string, value: unknown, rule: string): CniError {
  const given = value === undefined ? "missing" : JSON.stringify(value);
  return new CniError(CniCode.badConfig, `${key} in the network configuration is ${given}; give ${rule}`);
}
