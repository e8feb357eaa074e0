// The completion scripts in the shells they are for.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { hopsackCommand } from "../../../src/cli/program.js";
import { hopsackdCommand } from "../../../src/daemon/options.js";
import { commandsIn, describeCommand, type ManualCommand } from "../../../src/manual/command-table.js";
import { bashCompletion, fishCompletion, zshCompletion } from "../../../src/manual/completions.js";

const PROGRAMS = [describeCommand(hopsackCommand()), describeCommand(hopsackdCommand("1.2.3"))];

const folder = mkdtempSync(join(tmpdir(), "hopsack-completion-"));
t.teardown(() => rmSync(folder, { recursive: true }));

/** The words that may follow: commands and options. */
function words({ commands, options }: ManualCommand): string[] {
  return [...commands.map(({ path }) => path.split(" ").at(-1) ?? ""), ...options.flatMap(({ names }) => names)];
}

function script(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** What the shell says to a script of its own language. Fails when it complains. */
function run(shell: string, ...argv: readonly string[]): string[] {
  const env = { PATH: process.env.PATH, HOME: folder, TERM: "dumb" };
  const { status, stdout, stderr } = spawnSync(shell, argv, { encoding: "utf8", env });
  if (status !== 0 || stderr !== "") throw new Error(`${shell} ${argv.join(" ")}: ${stderr}`);
  return stdout.split("\n").filter((line) => line !== "");
}

function missing(shell: string): string | false {
  return spawnSync(shell, ["--version"]).error === undefined ? false : `${shell} is not installed`;
}

const IN_BASH = `source "$1"; f=$2; shift 2; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); $f; printf "%s\\n" "\${COMPREPLY[@]}"`;

function inBash(path: string, line: string): string[] {
  const typed = line.split(" ");
  return run("bash", "--norc", "-c", IN_BASH, "bash", path, `_${typed[0]}`, ...typed);
}

t.test("bash offers every command and option where it can stand", { skip: missing("bash") }, async (t) => {
  for (const program of PROGRAMS) {
    const path = script(`${program.path}.bash`, bashCompletion(program));
    for (const command of commandsIn(program))
      t.strictSame(inBash(path, `${command.path} `), words(command), command.path);
  }
  const path = join(folder, "hopsack.bash");
  t.strictSame(inBash(path, "hopsack lab up --ho"), ["--hosts"]);
  t.strictSame(inBash(path, "hopsack lab up --json --st"), ["--store"]);
  t.strictSame(inBash(path, "hopsack lab up --store "), ["file", "etcd"]);
  t.strictSame(inBash(path, "hopsack lab up --hosts "), [], "a number cannot be guessed");
  t.strictSame(inBash(path, "hopsack lab up --name status --js"), ["--json"], "a value is no command");
});

t.test("fish offers every command and option with its help", { skip: missing("fish") }, async (t) => {
  for (const program of PROGRAMS) {
    const path = script(`${program.path}.fish`, fishCompletion(program));
    const offered = (line: string): string[] =>
      run("fish", "--no-config", "-c", `source ${path}; complete -C '${line}'`);
    for (const command of commandsIn(program)) {
      const names = offered(`${command.path} -`).map((line) => line.split("\t")[0]);
      t.strictSame(new Set(names), new Set(command.options.flatMap((option) => option.names)), command.path);
      const below = command.commands.map((one) => `${one.path.split(" ").at(-1)}\t${one.help}`);
      if (below.length > 0) t.strictSame(new Set(offered(`${command.path} `)), new Set(below), command.path);
    }
  }
  const path = join(folder, "hopsack.fish");
  const offered = run("fish", "--no-config", "-c", `source ${path}; complete -C 'hopsack lab up --store '`);
  t.strictSame(new Set(offered.map((line) => line.split("\t")[0])), new Set(["etcd", "file"]));
});

/** Stands for zsh's own `_arguments`: shows what it would be given. */
const ARGUMENTS = '_arguments() { print -rl -- "$@" }; _describe() { }; words=(none)';

t.test("zsh is told every command and option with its help", { skip: missing("zsh") }, async (t) => {
  for (const program of PROGRAMS) {
    const path = script(`_${program.path}`, zshCompletion(program));
    for (const command of commandsIn(program)) {
      const call = `_${command.path.replaceAll(/[ -]/g, "_")}`;
      const told = run(
        "zsh",
        "-f",
        "-c",
        `${ARGUMENTS}; source ${path} >/dev/null; ${call}; print -rl -- $commands`,
      ).join("\n");
      for (const option of command.options) {
        for (const name of option.names) t.match(told, `${name}[${option.help.replace(/[[\]:\\]/g, "\\$&")}]`);
      }
      t.equal(told.includes("*:: :->rest"), command.commands.length > 0, command.path);
    }
    const text = zshCompletion(program);
    for (const { path, help } of commandsIn(program).slice(1)) {
      t.match(text, `'${path.split(" ").at(-1)}:${help.replaceAll("'", "'\\''")}'`);
    }
  }
});
