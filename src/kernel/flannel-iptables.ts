// The chains that flannel makes with iptables: found and removed with the same program, where it is installed.
import { execFile } from "node:child_process";
import { HopsackError } from "../errors.js";
import type { Leftover } from "./leftovers.js";

const LIMIT_MS = 10_000;
const SYSTEM_FOLDERS = ":/usr/sbin:/sbin";
const CHAINS = [
  { table: "nat", from: "POSTROUTING", name: "FLANNEL-POSTRTG" },
  { table: "filter", from: "FORWARD", name: "FLANNEL-FWD" },
] as const;

/** None where iptables is not installed. */
export async function flannelChains(): Promise<Leftover[]> {
  const found: Leftover[] = [];
  for (const program of ["iptables", "ip6tables"]) {
    for (const { table, from, name } of CHAINS) {
      if ((await run(program, ["-t", table, "-S", name])) === null) continue;
      const remove = () => removeChain(program, table, from, name);
      found.push({ kind: "iptables chain", what: `${program} -t ${table} ${name}`, remove });
    }
  }
  return found;
}

/** With the jumps to it: a chain that is jumped to cannot be deleted. @throws TOOL_FAILED */
async function removeChain(program: string, table: string, from: string, name: string): Promise<void> {
  const rules = (await run(program, ["-t", table, "-S", from]))?.split("\n") ?? [];
  const jumps = rules.filter((rule) => rule.endsWith(` -j ${name}`)).map((rule) => rule.replace(/^-A/, "-D"));
  const lines = [`*${table}`, ...jumps, `-F ${name}`, `-X ${name}`, "COMMIT", ""];
  if ((await run(`${program}-restore`, ["--noflush"], lines.join("\n"))) !== null) return;
  const cure = `remove it by hand: ${program} -t ${table} -S shows it`;
  throw new HopsackError("TOOL_FAILED", `${program}-restore could not remove the chain ${name}; ${cure}`);
}

/** What the program wrote; null when it failed, or is not there. */
function run(program: string, args: readonly string[], input = ""): Promise<string | null> {
  const env = { ...process.env, PATH: `${process.env.PATH ?? ""}${SYSTEM_FOLDERS}` };
  return new Promise((resolve) => {
    const child = execFile(program, args, { env, timeout: LIMIT_MS }, (error, stdout) =>
      resolve(error === null ? stdout : null),
    );
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}
