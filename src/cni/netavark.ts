// netavark's words for a network, a container and what it got, and ours. Pure. A wish that would be ignored is refused.
import { isJsonObject, type JsonObject } from "../lease/json-object.js";
import { CniCode, CniError } from "./cni-error.js";

const CONFIG_OPTION = "config";
/** What Podman says when nobody said anything. */
const IPAM_DRIVERS = [undefined, "", "none", "host-local"];

interface Exec {
  readonly containerId: string;
  readonly ifName: string;
  /** null: the installed one. */
  readonly configFile: string | null;
  /** Keys of our own network configuration. */
  readonly wishes: JsonObject;
}

/** The answer to `create`: Podman is to give no addresses and no names. @throws CniError */
export function createdNetwork(network: JsonObject): JsonObject {
  configFileOf(network);
  const subnets = listOf(network.subnets);
  if (subnets.length > 0) {
    throw refused("--subnet", subnets[0], "every host has a subnet of its own, its lease; leave it away");
  }
  const driver = Object(network.ipam_options).driver;
  if (!IPAM_DRIVERS.includes(driver)) throw refused("--ipam-driver", driver, "the plugin gives the addresses");
  if (network.internal === true) {
    throw refused("--internal", true, 'set "isDefaultGateway": false in the network configuration');
  }
  return { ...network, dns_enabled: false, ipam_options: { driver: "none" } };
}

/** What `setup` and `teardown` are told. @throws CniError */
export function parseExec(input: JsonObject): Exec {
  const { container_id: containerId, network, network_options: options } = input;
  const ifName = isJsonObject(options) ? options.interface_name : undefined;
  if (typeof containerId !== "string" || typeof ifName !== "string" || !isJsonObject(network)) {
    const parts = "container_id, network and network_options.interface_name";
    throw new CniError(CniCode.undecodable, `standard input lacks one of ${parts}; netavark writes them there`);
  }
  const { static_ips: ips, static_mac: mac } = Object(options);
  const wanted = { ...(listOf(ips).length > 0 && { ips }), ...(mac && { mac }) };
  const wishes = Object.keys(wanted).length > 0 ? { runtimeConfig: wanted } : {};
  return { containerId, ifName, configFile: configFileOf(network), wishes };
}

/** @throws CniError */
export function refusePorts({ port_mappings: ports }: JsonObject): void {
  const [port] = listOf(ports);
  if (port === undefined) return;
  throw refused("--publish", Object(port).host_port, "containers are reached at their own addresses, from all hosts");
}

/** @param result what ADD printed */
export function statusBlock(result: string, ifName: string): object {
  const { interfaces, ips }: JsonObject = JSON.parse(result);
  const link = listOf(interfaces).find((link) => Object(link).name === ifName && Object(link).sandbox);
  const subnets = listOf(ips).map((ip) => ({ ipnet: Object(ip).address, gateway: Object(ip).gateway }));
  const mac = String(Object(link).mac ?? "");
  return { dns_search_domains: [], dns_server_ips: [], interfaces: { [ifName]: { mac_address: mac, subnets } } };
}

function configFileOf({ options }: JsonObject): string | null {
  const { [CONFIG_OPTION]: file, ...others }: JsonObject = isJsonObject(options) ? options : {};
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw refused("-o", unknown, `the only option is ${CONFIG_OPTION}=FILE`);
  if (file === undefined) return null;
  if (typeof file === "string" && file.startsWith("/")) return file;
  throw refused(`-o ${CONFIG_OPTION}`, file, "give an absolute path");
}

function refused(option: string, value: unknown, why: string): CniError {
  return new CniError(CniCode.unsupportedField, `${option} ${JSON.stringify(value)} is not accepted: ${why}`);
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
