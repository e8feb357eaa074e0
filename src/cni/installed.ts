// The network configuration that a host's container runtime uses, for who attaches without a runtime: `hopsack attach`.
import { readFileSync } from "node:fs";
import { errnoOf, HopsackError, messageOf } from "../errors.js";
import { isJsonObject, type JsonObject } from "../lease/json-object.js";

/** `hopsack service install --cni` puts it there; README.md shows it. */
export const INSTALLED_CONFIG = "/etc/cni/net.d/10-hopsack.conflist";
const PLUGIN_TYPE = "hopsack";
/** What it says, and what holds without it. */
const PLAIN_CONFIG = { name: "hopsack", plugins: [{ type: PLUGIN_TYPE, attach: "routed" }] } as const;

/**
 * The plugin's part of a configuration or list of plugins, with the network's name.
 * @param path null: the installed one, and without that the plain one
 * @throws BAD_CONFIG
 */
export function readInstalled(path: string | null): JsonObject {
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
