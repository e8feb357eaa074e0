// What a reader of results needs to judge them: machine, kernel, commit, tools.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { attempt } from "../lab/command.js";
import type { Machine } from "./results.js";

/** How tools are asked for their version that have no --version. */
const VERSION_OPTIONS: Readonly<Record<string, string>> = { ping: "-V" };

/** @param tools programs that measure */
export async function describeMachine(tools: readonly string[]): Promise<Machine> {
  const versions = await Promise.all(tools.map(async (tool) => [tool, await versionOf(tool)] as const));
  return {
    kernel: release(),
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryBytes: totalmem(),
    node: process.version,
    commit: git("rev-parse", "--short=12", "HEAD") ?? "unknown",
    hasLocalChanges: (git("status", "--porcelain") ?? "") !== "",
    loadBefore: readFileSync("/proc/loadavg", "utf8").trim(),
    tools: Object.fromEntries(versions),
  };
}

async function versionOf(tool: string): Promise<string> {
  const { stdout, stderr } = await attempt(tool, [VERSION_OPTIONS[tool] ?? "--version"]);
  return /[0-9]+(?:\.[0-9]+)+|[0-9]{8}/.exec(stdout + stderr)?.[0] ?? "unknown";
}

/** Of this very package; null outside a clone of it. */
function git(...args: string[]): string | null {
  const cwd = fileURLToPath(new URL("../..", import.meta.url));
  if (!existsSync(`${cwd}/.git`)) return null;
  try {
    return execFileSync("git", args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return null;
  }
}
