// What `hopsack attach` says of what it made, from the plugin's result: a few lines for people, or an object. Pure.
import { isJsonObject, type JsonObject } from "../lease/json-object.js";

interface Named {
  readonly name: string;
  readonly network: string;
  /** null: a tap. */
  readonly netns: string | null;
  readonly ifName: string;
}

export interface AttachReport {
  readonly name: string;
  readonly network: string;
  readonly netns: string | null;
  readonly interface: string;
  readonly mtuBytes: number | null;
  readonly addresses: readonly { readonly address: string; readonly gateway: string | null }[];
  readonly routes: readonly { readonly destination: string; readonly gateway: string | null }[];
}

/** @param result what ADD printed, in CNI 1.1.0 */
export function reportOf(result: JsonObject, { name, network, netns, ifName }: Named): AttachReport {
  const link = objects(result.interfaces).find((link) => link.name === ifName && (netns === null || link.sandbox));
  return {
    name,
    network,
    netns,
    interface: ifName,
    mtuBytes: typeof link?.mtu === "number" ? link.mtu : null,
    addresses: objects(result.ips).map(({ address, gateway }) => ({
      address: String(address),
      gateway: textOrNull(gateway),
    })),
    routes: objects(result.routes).map(({ dst, gw }) => ({ destination: String(dst), gateway: textOrNull(gw) })),
  };
}

export function attachedText(report: AttachReport): string {
  const { name, network, netns, addresses, mtuBytes } = report;
  const facts = [
    ["interface", `${report.interface} ${netns === null ? "on this host, the guest's network card" : `in ${netns}`}`],
    ...addresses.flatMap(({ address, gateway }) => [
      ["address", address],
      ["gateway", gateway ?? "none"],
    ]),
    ["MTU", String(mtuBytes ?? "as the interface has it")],
  ];
  const lines = [
    `${name} is attached to the network ${network}`,
    ...facts.map(([title = "", fact]) => `  ${title.padEnd(9)}  ${fact}`),
    ...(netns === null ? guestLines(report) : []),
    `undo it with: hopsack detach ${name}`,
  ];
  return `${lines.join("\n")}\n`;
}

/** What makes a Linux guest use the tap. */
function guestLines({ addresses, routes, mtuBytes }: AttachReport): string[] {
  const v4Gateways = addresses.flatMap(({ gateway }) => (gateway?.includes(".") ? [gateway] : []));
  const commands = [
    `ip link set eth0 mtu ${mtuBytes} up`,
    ...addresses.map(({ address }) => `ip address add ${address} dev eth0`),
    ...v4Gateways.map((gateway) => `ip route add ${gateway} dev eth0`),
    ...routes.map(({ destination, gateway }) => `ip route add ${destination} via ${gateway} dev eth0`),
  ];
  return ["in a Linux guest whose card is eth0:", ...commands.map((command) => `  ${command}`)];
}

function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
