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

t.test(
  "every link into the repository in README.md, ARCHITECTURE.md and CONTRIBUTING.md leads somewhere",
  async (t) => {
    for (const page of ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"]) {
      for (const [, target] of readFileSync(join(root, page), "utf8").matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)) {
        t.ok(target !== undefined && existsSync(join(root, target)), `${page}: ${target}`);
      }
    }
  },
);
