// What ADD prints: our part, joined to what plugins before us in the chain made, in the form of the version asked for. Pure.
import { isJsonObject, type JsonObject } from "../lease/json-object.js";
import { CniCode, CniError } from "./cni-error.js";
import { type CniVersion, hasFamilyField, hasMtuField } from "./versions.js";

interface ResultInterface {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  /** Path of the network namespace it is in; without it, the host's. */
  readonly sandbox?: string;
}

export interface Result {
  readonly interfaces: readonly ResultInterface[];
  readonly ips: readonly { readonly address: string; readonly gateway: string; readonly interface: number }[];
  readonly routes: readonly { readonly dst: string; readonly gw: string }[];
}

/** @param previous the result of the plugins before us */
export function resultJson(cniVersion: CniVersion, result: Result, previous: JsonObject | null): string {
  const isOld = hasFamilyField(cniVersion);
  const ips = result.ips.map((ip) => (isOld ? { version: ip.address.includes(":") ? "6" : "4", ...ip } : ip));
  const interfaces = result.interfaces.map(({ mtu, ...link }) => (hasMtuField(cniVersion) ? { ...link, mtu } : link));
  return JSON.stringify(joined(cniVersion, { ...result, interfaces, ips }, previous));
}

/**
 * Another plugin's result as ours.
 * @param mtu that it was told
 * @throws CniError undecodable
 */
export function delegatedResultJson(
  cniVersion: CniVersion,
  text: string,
  mtu: unknown,
  previous: JsonObject | null,
): string {
  const result = parsedResult(text);
  if (result !== null) {
    const interfaces = listOf(result, "interfaces").map((link) =>
      hasMtuField(cniVersion) && isJsonObject(link) && link.sandbox ? { mtu, ...link } : link,
    );
    return JSON.stringify(joined(cniVersion, { ...result, interfaces }, previous));
  }
  throw new CniError(CniCode.undecodable, `the delegate's result is no JSON object: ${JSON.stringify(text)}`);
}

function parsedResult(text: string): JsonObject | null {
  try {
    const parsed: unknown = JSON.parse(text);
    return isJsonObject(parsed) ? parsed : null;
  } catch {
    return null;
  }
}

/** Addresses name their interface by its place in the list, which moves by the interfaces that are in front now. */
function joined(cniVersion: CniVersion, result: JsonObject, previous: JsonObject | null): JsonObject {
  const before = listOf(previous, "interfaces").length;
  const moved = listOf(result, "ips").map((ip) =>
    isJsonObject(ip) && typeof ip.interface === "number" ? { ...ip, interface: ip.interface + before } : ip,
  );
  return {
    ...previous,
    ...result,
    cniVersion,
    interfaces: [...listOf(previous, "interfaces"), ...listOf(result, "interfaces")],
    ips: [...listOf(previous, "ips"), ...moved],
    routes: [...listOf(previous, "routes"), ...listOf(result, "routes")],
    dns: result.dns ?? previous?.dns ?? {},
  };
}

/** The addresses that a result gives to one interface of the container. */
export function addressesIn(result: JsonObject, ifName: string): string[] {
  const interfaces = listOf(result, "interfaces");
  return listOf(result, "ips").flatMap((ip) => {
    if (!isJsonObject(ip) || typeof ip.address !== "string" || typeof ip.interface !== "number") return [];
    const link = interfaces[ip.interface];
    return isJsonObject(link) && link.name === ifName && link.sandbox ? [ip.address] : [];
  });
}

function listOf(result: JsonObject | null, key: string): readonly unknown[] {
  const value = result?.[key];
  return Array.isArray(value) ? value : [];
}
