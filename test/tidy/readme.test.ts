// What README.md promises exists: its npm commands, its hopsack commands, its links.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const readme = readFileSync(join(root, "README.md"), "utf8");

t.test("README.md shows the two commands", async (t) => {
  t.match(readme, "sudo npm run demo");
  t.match(readme, "sudo npm test");
});

t.test("every npm script in README.md is in package.json", async (t) => {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: object };
  for (const [, name = ""] of readme.matchAll(/npm run ([a-z:]+)/g)) t.ok(name in scripts, name);
});

t.test("every hopsack sub-command in README.md is known to the built command", async (t) => {
  const help = (...words: string[]): string =>
    execFileSync(process.execPath, [join(root, "dist/cli/main.js"), ...words, "--help"], { encoding: "utf8" });
  const commands = new Set([...readme.matchAll(/^ *(?:sudo )?hopsack ([a-z]+)/gm)].map((match) => match[1] ?? ""));
  t.ok(commands.has("status"));
  for (const command of commands) t.match(help(), new RegExp(`^ +${command}\\b`, "m"));
});

t.test("every option of hopsack and hopsackd in a command of README.md is in that command's help", async (t) => {
  const lines = [...readme.matchAll(/^ {4}(?:sudo )?(hopsackd?)((?: [a-z-]+)*)(.*)$/gm)];
  t.ok(lines.length > 10);
  for (const [line, program, words = "", rest = ""] of lines) {
    const own = `${words}${rest}`.split(/ -- | #/)[0] ?? "";
    const options = [...own.matchAll(/ (--[a-z0-9-]+)/g)].map((match) => match[1] ?? "");
    if (options.length === 0) continue;
    const entry = join(root, `dist/cli/${program === "hopsackd" ? "hopsackd" : "main"}.js`);
    const command = words
      .split(" ")
      .filter((word) => /^[a-z]/.test(word))
      .slice(0, 2);
    const help = execFileSync(process.execPath, [entry, ...command, "--help"], { encoding: "utf8" });
    for (const option of options) t.match(help, new RegExp(`${option}\\b`), line.trim());
  }
});

t.test("every link into the repository in the pages for people leads somewhere", async (t) => {
  for (const page of ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "TRIALS.md"]) {
    for (const [, target] of readFileSync(join(root, page), "utf8").matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)) {
      t.ok(target !== undefined && existsSync(join(root, target)), `${page}: ${target}`);
    }
  }
});
