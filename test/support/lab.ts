// Labs of two hosts made by the built command, for tests that run inside withDaemons(): names are private there.
import { execFileSync, spawnSync } from "node:child_process";
import type { Test } from "tap";
import { TOOL, UNHOOKED } from "./hopsackd.js";

export interface LabHost {
  readonly name: string;
  readonly netns: string;
  readonly underlay: string;
  readonly subnet: string;
  readonly daemonPid: number;
  readonly statusSocket: string;
  readonly pods: readonly [{ readonly name: string; readonly netns: string; readonly address: string }];
}

export type TwoHosts = readonly [LabHost, LabHost];

/** Returns when every pod has reached every other; the lab goes with the test. */
export function twoHosts(t: Test, name: string, ...options: readonly string[]): TwoHosts {
  t.teardown(() => execFileSync(process.execPath, [TOOL, "lab", "down", "--name", name], { stdio: "pipe" }));
  const words = ["lab", "up", "--name", name, "--json", ...options];
  return JSON.parse(execFileSync(process.execPath, [TOOL, ...words], { encoding: "utf8", stdio: "pipe" })).hosts;
}

/** `hopsack …`, for commands whose failure is an answer. */
export function tried(...words: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const [program = "", ...args] = [...UNHOOKED, process.execPath, TOOL, ...words];
  return spawnSync(program, args, { encoding: "utf8" });
}
