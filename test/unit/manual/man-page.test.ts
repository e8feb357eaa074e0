// The man pages against --help, and against the programs that show them.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import t from "tap";
import { hopsackCommand } from "../../../src/cli/program.js";
import { CniCode } from "../../../src/cni/cni-error.js";
import { hopsackdCommand } from "../../../src/daemon/options.js";
import { ERROR_CODES } from "../../../src/errors.js";
import { describeCommand } from "../../../src/manual/command-table.js";
import { type ManPage, manPages } from "../../../src/manual/man-page.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const BUILT = `${ROOT}/dist/share/man`;
const EDITION = { version: "1.2.3", date: new Date("2026-11-21") };
const PAGES = manPages(describeCommand(hopsackCommand()), describeCommand(hopsackdCommand("1.2.3")), EDITION);

/** As a reader sees the words of a page: on one line, without escapes. */
function plain({ text }: ManPage): string {
  return text
    .replaceAll("\\-", "-")
    .replaceAll("\\&", "")
    .replace(/\\\[u([0-9A-F]+)\]/g, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 16)))
    .replace(/\s+/g, " ");
}

function pageOf(command: Command): string {
  const names: string[] = [];
  for (let one: Command | null = command; one !== null; one = one.parent) names.unshift(one.name());
  const page = PAGES.find(({ name }) => name === names.slice(0, 2).join("-"));
  return page === undefined ? "" : plain(page);
}

/** `--socket <path>`, `up [options]` …: the left column of what --help prints. */
function helpTerms(command: Command): string[] {
  return [...command.helpInformation().matchAll(/^ {2}(\S.*?)(?: {2}|$)/gm)].map(([, term = ""]) => term);
}

function withThoseBelow(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withThoseBelow)];
}

t.test("every command, argument and option that --help lists is in the man page", async (t) => {
  for (const command of [...withThoseBelow(hopsackCommand()), hopsackdCommand("1.2.3")]) {
    const page = pageOf(command);
    const terms = helpTerms(command);
    t.ok(terms.length > 0, command.name());
    for (const term of terms) t.ok(page.includes(` ${term} `), `${command.name()}: ${term}`);
  }
});

t.test("the CNI plugin's page has every key and every error code of its own", async (t) => {
  const page = PAGES.find(({ name }) => name === "hopsack-cni");
  t.equal(page?.section, 8);
  const source = readFileSync(`${ROOT}/src/cni/network-config.ts`, "utf8");
  const keys = ["attach", ...[...source.matchAll(/Of\(input, "([a-zA-Z]+)"/g)].map(([, key = ""]) => key)];
  for (const key of keys.filter((key) => !["runtimeConfig", "prevResult"].includes(key))) {
    t.match(page?.text, new RegExp(`^\\.B .*\\b${key}\\b`, "m"), key);
  }
  for (const code of Object.values(CniCode).filter((code) => code >= 100)) t.match(page?.text, `.B ${code}\n`);
});

t.test("every error code is explained", async (t) => {
  const codes = Object.entries(ERROR_CODES);
  t.ok(codes.length > 20);
  for (const program of ["hopsack", "hopsackd"]) {
    const page = PAGES.find(({ name }) => name === program);
    for (const [code] of codes) t.match(page?.text, `.B ${code}\n`);
  }
});

t.test("a line that begins with a dot or an apostrophe is text, no macro", async (t) => {
  const command = { path: "x", usage: "x", arguments: [], options: [], commands: [], closing: "" };
  const daemon = { ...command, help: `${"word ".repeat(16)}.TH 'hidden \\fBit…` };
  const [, page] = manPages({ ...command, help: "Program. 'Quoted'" }, daemon, EDITION);
  t.notMatch(page?.text.split("\n").slice(1).join("\n"), /^(\.TH|')/m);
  t.match(page?.text, "\\efBit\\[u2026]");
});

t.test("npm installs every page", async (t) => {
  const { man }: { readonly man: readonly string[] } = JSON.parse(readFileSync(`${ROOT}/package.json`, "utf8"));
  t.strictSame(
    [...man].sort(),
    PAGES.map((page) => `dist/share/man/man${page.section}/${page.name}.${page.section}`).sort(),
  );
});

const isBuilt = existsSync(BUILT);

for (const [tool, ...words] of [
  ["mandoc", "-Tlint"],
  ["man", "--warnings", "--local-file", "--pager=cat", "--encoding=UTF-8"],
] as const) {
  const isThere = spawnSync(tool, ["--version"]).error === undefined;
  const skip = !isBuilt ? "needs the build: npm run build" : isThere ? false : `${tool} is not installed`;
  t.test(`${tool} finds nothing wrong in the built pages`, { skip }, async (t) => {
    const files = readdirSync(BUILT, { recursive: true, encoding: "utf8" }).filter((name) => /\.[18]$/.test(name));
    t.strictSame(
      new Set(files.map((name) => basename(name))),
      new Set(PAGES.map((page) => `${page.name}.${page.section}`)),
    );
    for (const file of files) {
      const { status, stdout, stderr } = spawnSync(tool, [...words, `${BUILT}/${file}`], { encoding: "utf8" });
      t.equal(status, 0, file);
      t.equal(tool === "mandoc" ? stdout + stderr : stderr, "", file);
    }
  });
}
