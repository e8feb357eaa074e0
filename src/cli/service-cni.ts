// What `hopsack service install --cni` adds for container runtimes: the plugin where they look for it, and a network configuration.
// A file that is there and says something else is somebody's, and is left with a sentence.
import { chmodSync, existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { INSTALLED_CONFIG, PLAIN_CONFIG, PLUGIN_TYPE } from "../cni/installed.js";
import { HopsackError, messageOf } from "../errors.js";

const PLUGIN = `/opt/cni/bin/${PLUGIN_TYPE}`;
const MARK = "# made by hopsack service install --cni";
/** Whatever Node.js and plugin were then. */
const OWN_PLUGIN = new RegExp(`^#!/bin/sh\n${MARK}\nexec '.+' "\\$@"\n$`);
const CONFIG = `${JSON.stringify(PLAIN_CONFIG, null, 2)}\n`;
const PLUGIN_MODE = 0o755;
const CONFIG_MODE = 0o644;
/** Go when they are empty, each after what is in it. */
const FOLDERS = [
  dirname(PLUGIN),
  dirname(dirname(PLUGIN)),
  dirname(INSTALLED_CONFIG),
  dirname(dirname(INSTALLED_CONFIG)),
];

/** @param program absolute paths of Node.js and the plugin; a runtime's PATH is not the user's. @throws FILE_UNWRITABLE */
export function installCni(program: readonly [string, string]): void {
  const [node, plugin] = program.map((path) => `'${path.replaceAll("'", "'\\''")}'`);
  put(PLUGIN, `#!/bin/sh\n${MARK}\nexec ${node} ${plugin} "$@"\n`, PLUGIN_MODE, (text) => OWN_PLUGIN.test(text));
  put(INSTALLED_CONFIG, CONFIG, CONFIG_MODE, (text) => text === CONFIG);
}

export function uninstallCni(): void {
  take(PLUGIN, (text) => OWN_PLUGIN.test(text));
  take(INSTALLED_CONFIG, (text) => text === CONFIG);
  for (const folder of FOLDERS) {
    try {
      rmdirSync(folder);
    } catch {
      // not there, or others' files in it
    }
  }
}

function put(path: string, text: string, mode: number, isOurs: (text: string) => boolean): void {
  const before = contentOf(path);
  if (before !== null && !isOurs(before)) {
    say(`${path} is there and not ours; it is left as it is`);
    return;
  }
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    chmodSync(path, mode);
  } catch (cause) {
    throw new HopsackError("FILE_UNWRITABLE", `${path} cannot be written (${messageOf(cause)})`, { cause });
  }
  say(`${path} is in place`);
}

function take(path: string, isOurs: (text: string) => boolean): void {
  const before = contentOf(path);
  if (before === null) return;
  if (isOurs(before)) {
    rmSync(path);
    say(`removed ${path}`);
  } else {
    say(`${path} was changed since it was installed; it is left as it is`);
  }
}

function contentOf(path: string): string | null {
  return existsSync(path) ? readFileSync(path, "utf8") : null;
}

function say(sentence: string): void {
  process.stdout.write(`${sentence}\n`);
}
