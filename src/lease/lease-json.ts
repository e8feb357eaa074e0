// Leases as JSON: flannel's LeaseAttrs as it stands in etcd, and our lease files, which add Node and Expiration.
// Parsers throw BAD_LEASE and nothing else.
import { HopsackError, messageOf } from "../errors.js";
import { parseIpv4 } from "../net/ipv4.js";
import { formatIpv6, parseIpv6 } from "../net/ipv6.js";
import { field, isJsonObject, type JsonObject } from "./json-object.js";
import type { LeaseAttrs, TimedLease } from "./lease.js";
import type { SubnetPair } from "./subnet-allocator.js";

/** flannel leaves BackendType out of udp leases. */
const UNNAMED_BACKEND = "udp";
const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

/** flannel's LeaseAttrs on one line, its keys in flannel's order. */
export function formatLeaseAttrs(attrs: LeaseAttrs): string {
  return JSON.stringify(attrsObject(attrs));
}

/** One lease file: LeaseAttrs, Node, and Expiration unless it is a reservation. */
export function formatLeaseFile(lease: TimedLease): string {
  const object = {
    ...attrsObject(lease.attrs),
    Node: lease.attrs.node ?? undefined,
    Expiration: lease.expiresAt === null ? undefined : new Date(lease.expiresAt).toISOString(),
  };
  return `${JSON.stringify(object, null, 2)}\n`;
}

/** @param source what the text is called in errors @throws BAD_LEASE */
export function parseLeaseAttrs(text: string, source: string): LeaseAttrs {
  return leaseAttrsOf(parseObject(text, source), source);
}

/** The lease of one file; its subnets stand in the file's name. @throws BAD_LEASE */
export function parseLeaseFile(text: string, source: string, { subnet, subnetV6 }: SubnetPair): TimedLease {
  const object = parseObject(text, source);
  return { subnet, subnetV6, attrs: leaseAttrsOf(object, source), expiresAt: expirationOf(object, source) };
}

/** LeaseAttrs out of parsed JSON. @throws BAD_LEASE */
export function leaseAttrsOf(object: JsonObject, source: string): LeaseAttrs {
  const publicIp = field(object, "PublicIP");
  if (typeof publicIp !== "string" || parseIpv4(publicIp) === undefined) {
    throw fault(source, "PublicIP", publicIp, "not an IPv4 address");
  }
  return {
    publicIp,
    publicIpv6: publicIpv6Of(object, source),
    backendType: (optionalText(object, "BackendType", source) ?? UNNAMED_BACKEND).toLowerCase(),
    backendData: field(object, "BackendData") ?? null,
    backendV6Data: field(object, "BackendV6Data") ?? null,
    node: optionalText(object, "Node", source),
  };
}

function attrsObject(attrs: LeaseAttrs): Record<string, unknown> {
  return {
    PublicIP: attrs.publicIp,
    PublicIPv6: attrs.publicIpv6,
    BackendType: attrs.backendType === UNNAMED_BACKEND ? undefined : attrs.backendType,
    BackendData: attrs.backendData ?? undefined,
    BackendV6Data: attrs.backendV6Data ?? undefined,
  };
}

function parseObject(text: string, source: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new HopsackError("BAD_LEASE", `${source} is not valid JSON (${messageOf(error)}); repair or remove it`, {
      cause: error,
    });
  }
  if (!isJsonObject(value)) throw new HopsackError("BAD_LEASE", `${source} is not a JSON object; repair or remove it`);
  return value;
}

function publicIpv6Of(object: JsonObject, source: string): string | null {
  const value = field(object, "PublicIPv6") ?? null;
  if (value === null) return null;
  const bits = typeof value === "string" ? parseIpv6(value) : undefined;
  if (bits === undefined) throw fault(source, "PublicIPv6", value, "not an IPv6 address");
  return formatIpv6(bits);
}

function expirationOf(object: JsonObject, source: string): number | null {
  const value = field(object, "Expiration") ?? null;
  if (value === null) return null;
  const time = typeof value === "string" && ISO_TIME.test(value) ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(time)) throw fault(source, "Expiration", value, 'not a time such as "2030-01-31T12:00:00Z"');
  return time;
}

/** A string, or null when the key is missing, null or empty. */
function optionalText(object: JsonObject, key: string, source: string): string | null {
  const value = field(object, key) ?? null;
  if (value !== null && typeof value !== "string") throw fault(source, key, value, "not a string");
  return value === "" ? null : value;
}

function fault(source: string, key: string, value: unknown, problem: string): HopsackError {
  const shown = value === undefined ? `${key} is missing` : `${key} ${JSON.stringify(value)} is ${problem}`;
  return new HopsackError("BAD_LEASE", `${source}: ${shown}; repair or remove it`);
}
