// Runs another CNI plugin as a runtime would: looked up in CNI_PATH, our environment, a configuration on standard input.
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { messageOf } from "../errors.js";
import { isJsonObject, type JsonObject } from "../lease/json-object.js";
import { CniCode, CniError } from "./cni-error.js";
import type { Attachment } from "./request.js";

/** Where distributions put plugins: for who is no container runtime and has no CNI_PATH. */
export const PLUGIN_FOLDERS = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];

const RUN_LIMIT_MS = 60_000;
const OUTPUT_LIMIT_CHARS = 1_000_000;

export interface DelegateCall {
  readonly verb: "ADD" | "DEL" | "CHECK";
  readonly attachment: Attachment;
  /** Empty: it is gone. */
  readonly netns: string;
  readonly config: JsonObject;
}

/** Absolute path of a plugin. @throws CniError pluginMissing */
export function findPlugin(type: string, environment: NodeJS.ProcessEnv): string {
  const folders = (environment.CNI_PATH ?? "").split(":").filter((folder) => folder.startsWith("/"));
  const path = folders.map((folder) => `${folder}/${type}`).find(isExecutable);
  if (path !== undefined && !type.includes("/")) return path;
  const where = folders.length === 0 ? "CNI_PATH, which is empty" : `CNI_PATH ${folders.join(":")}`;
  const cure = "install it (Debian: containernetworking-plugins, in /usr/lib/cni)";
  throw new CniError(CniCode.pluginMissing, `the plugin ${type} is not in ${where}; ${cure}`);
}

/** What the plugin printed. @throws CniError with the plugin's own code and words, pluginMissing */
export async function runDelegate(call: DelegateCall, environment: NodeJS.ProcessEnv): Promise<string> {
  const type = String(call.config.type);
  const path = findPlugin(type, environment);
  const env = {
    ...environment,
    CNI_COMMAND: call.verb,
    CNI_CONTAINERID: call.attachment.containerId,
    CNI_IFNAME: call.attachment.ifName,
    CNI_NETNS: call.netns,
  };
  const { status, stdout, stderr } = await runProgram(path, env, JSON.stringify(call.config));
  if (status === 0) return stdout;
  throw failureOf(type, stdout, stderr);
}

interface Ending {
  /** null: a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function runProgram(path: string, env: NodeJS.ProcessEnv, input: string): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, [], { env, stdio: "pipe", timeout: RUN_LIMIT_MS, killSignal: "SIGKILL" });
    const output = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (chunk: string) => {
        if (output[name].length < OUTPUT_LIMIT_CHARS) output[name] += chunk;
      });
    }
    child.stdin.on("error", () => {}); // it may end without reading
    child.stdin.end(input);
    child.on("error", (error) => {
      reject(new CniError(CniCode.pluginMissing, `the plugin ${path} cannot be run: ${messageOf(error)}`));
    });
    child.on("close", (status) => resolve({ status, ...output }));
  });
}

function failureOf(type: string, stdout: string, stderr: string): CniError {
  const error = parsedError(stdout);
  if (error !== null) return new CniError(error.code, `the plugin ${type} failed: ${error.msg}`, error.details);
  const words = (stderr.trim() || stdout.trim() || "it said nothing").slice(0, OUTPUT_LIMIT_CHARS);
  return new CniError(CniCode.internal, `the plugin ${type} failed without a CNI error: ${words}`);
}

function parsedError(text: string): { code: number; msg: string; details?: string } | null {
  try {
    const parsed: unknown = JSON.parse(text);
    if (!isJsonObject(parsed) || typeof parsed.code !== "number" || typeof parsed.msg !== "string") return null;
    const { code, msg, details } = parsed;
    return { code, msg, ...(typeof details === "string" && details !== "" && { details }) };
  } catch {
    return null;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
