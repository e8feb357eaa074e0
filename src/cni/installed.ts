// The network configuration that a host's container runtime uses, for who attaches without one: `hopsack attach`, Podman's netavark.
import { readFileSync } from "node:fs";
import { errnoOf, HopsackError, messageOf } from "../errors.js";
import { isJsonObject, type JsonObject } from "../lease/json-object.js";
import { PLUGIN_FOLDERS } from "./delegate.js";
import { parseNetworkConfig } from "./network-config.js";
import type { Request } from "./request.js";
import { NEWEST_VERSION } from "./versions.js";

/** `hopsack service install --cni` puts it there; README.md shows it. */
export const INSTALLED_CONFIG = "/etc/cni/net.d/10-hopsack.conflist";
export const PLUGIN_TYPE = "hopsack";
/** What it says, and what holds without it. */
export const PLAIN_CONFIG = {
  cniVersion: "1.0.0",
  name: "hopsack",
  plugins: [{ type: PLUGIN_TYPE, attach: "routed" }],
} as const;

/**
 * What every call of the plugin needs beside its verb.
 * @param path null: the installed configuration, and without that the plain one
 * @param wishes keys that are put over the plugin's
 * @throws BAD_CONFIG, CniError
 */
export function callIn(
  path: string | null,
  wishes: JsonObject,
): Pick<Request, "cniVersion" | "config" | "environment"> {
  const CNI_PATH = process.env.CNI_PATH ?? PLUGIN_FOLDERS.join(":");
  const config = parseNetworkConfig({ ...readInstalled(path), ...wishes });
  return { cniVersion: NEWEST_VERSION, config, environment: { ...process.env, CNI_PATH } };
}

/**
 * The plugin's part of a configuration or list of plugins, with the network's name.
 * @throws BAD_CONFIG
 */
function readInstalled(path: string | null): JsonObject {
  const file = path ?? INSTALLED_CONFIG;
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (path === null && errnoOf(error) === "ENOENT") return pluginIn(PLAIN_CONFIG) ?? {};
    throw new HopsackError("BAD_CONFIG", `${file} cannot be read (${messageOf(error)})`, { cause: error });
  }
  const plugin = pluginIn(parsed(text, file));
  if (plugin !== null) return plugin;
  const rule = `it has no plugin of "type": "${PLUGIN_TYPE}"`;
  throw new HopsackError("BAD_CONFIG", `${file} is no network configuration of ours: ${rule}`);
}

function parsed(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new HopsackError("BAD_CONFIG", `${file} is no JSON (${messageOf(error)})`, { cause: error });
  }
}

function pluginIn(config: unknown): JsonObject | null {
  if (!isJsonObject(config)) return null;
  const plugins: readonly unknown[] = Array.isArray(config.plugins) ? config.plugins : [config];
  const own = plugins.filter(isJsonObject).find(({ type }) => type === PLUGIN_TYPE);
  return own === undefined ? null : { ...own, name: config.name };
}
