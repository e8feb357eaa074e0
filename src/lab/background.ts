// Long-lived programs inside a lab's namespaces, their output appended to a log: hopsackd and etcd.
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { HopsackError } from "../errors.js";
import { startFailure, startTool } from "./command.js";
import { type ProcessRecord, recordProcess } from "./process-record.js";

const LOG_TAIL_LINES = 5;

/** A program in a namespace: who it is in errors, and where its output goes. */
export interface BackgroundPlan {
  readonly name: string;
  readonly netns: string;
  readonly log: string;
}

/** Starts it detached; null when it ended at once. @throws TOOL_MISSING, TOOL_FAILED */
export async function startBackground(
  { netns, log }: BackgroundPlan,
  command: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<ProcessRecord | null> {
  mkdirSync(dirname(log), { recursive: true });
  const output = openSync(log, "a");
  const child = startTool("ip", ["netns", "exec", netns, ...command], { stdio: ["ignore", output, output], env });
  closeSync(output);
  await new Promise((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error) => reject(startFailure("ip", error)));
  });
  child.unref();
  return child.pid === undefined ? null : recordProcess(child.pid);
}

/** The last lines of a log, headed by whose it is. */
export function logTail({ name, log }: BackgroundPlan): string {
  const lines = readText(log).trimEnd().split("\n").slice(-LOG_TAIL_LINES);
  return [`the log of ${name} ends with:`, ...lines.map((line) => `  ${line}`)].join("\n");
}

/** A built file of this package, wherever this one was compiled to. @throws TOOL_MISSING when there is no package around */
export function builtFile(path: string): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== "/"; folder = dirname(folder)) {
    if (readJson(join(folder, "package.json"))?.name === "hopsack") return join(folder, "dist", path);
  }
  throw new HopsackError("TOOL_MISSING", `${path} was not found beside the lab; build it with: npm run build`);
}

/** Empty while it is not written yet. */
export function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function readJson(path: string): { readonly name?: unknown } | null {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return null;
  }
}
