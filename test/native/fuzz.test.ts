// Fifteen seconds of every fuzz target, from the real packets of native/fuzz/corpus and always from one seed: what is new is
// found by long runs (npm run fuzz), not by whoever happens to run the tests.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const corpus = join(root, "native/fuzz/corpus");
const hasClang = spawnSync("clang++", ["--version"]).status === 0;

t.setTimeout(1_200_000);

function fuzz(...args: string[]) {
  return spawnSync(process.execPath, ["scripts/fuzz.mjs", ...args], { cwd: root, encoding: "utf8" });
}

t.test(
  "no target finds anything, and each tells how far it got",
  { skip: !hasClang && "clang++ is not installed" },
  async (t) => {
    const { status, stdout, stderr } = fuzz("--seconds", "15", "--seed", "1");
    t.equal(status, 0, `${stdout}\n${stderr}`);
    const rows = stdout.trim().split("\n").slice(1);
    t.ok(rows.length >= 8);
    for (const row of rows) t.match(row, /^[a-z]+ +[1-9][0-9]* +[1-9][0-9]* +[1-9][0-9]* +[1-9][0-9]* +nothing found$/);
  },
);

t.test("the corpus is small, and every file of it is named by its SHA-1", async (t) => {
  let bytes = 0;
  for (const folder of readdirSync(corpus)) {
    for (const name of readdirSync(join(corpus, folder))) {
      const content = readFileSync(join(corpus, folder, name));
      bytes += content.length;
      t.equal(name, createHash("sha1").update(content).digest("hex"), folder);
    }
  }
  t.ok(bytes > 10_000 && bytes < 400_000, `${bytes} bytes`);
});

t.test("a target that does not exist, and a time that is none, are refused in one sentence", async (t) => {
  for (const args of [["--target", "teapot"], ["--seconds", "0"], ["--seconds", "soon"], ["--seed", "x"], ["--loud"]]) {
    const { status, stderr } = fuzz(...args);
    t.equal(status, 2, args.join(" "));
    t.match(stderr, /^error: .+\n$/);
  }
});
