// TRIALS.md has a row for everything that the tests try, and for nothing else.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

function namesIn(folder: string, ending: string, pattern: RegExp): string[] {
  const files = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" });
  const texts = files
    .filter((name) => name.endsWith(ending))
    .map((name) => readFileSync(join(root, folder, name), "utf8"));
  return texts.flatMap((text) => [...text.matchAll(pattern)].map(([, name = ""]) => name));
}

t.test("TRIALS.md names what the tests try; npm run trials makes it anew after a run of them", async (t) => {
  const page = readFileSync(join(root, "TRIALS.md"), "utf8");
  const rows = [...page.matchAll(/^\| (.+?) +\| /gm)].map(([, name = ""]) => name);
  const shown = new Set(rows.filter((name) => name !== "tried" && !/^-+$/.test(name)));
  const tried = new Set([
    ...namesIn("test/netns", ".test.ts", /\btried: "([^"]+)"/g),
    ...namesIn("native/test", ".cc", /\.tried = "([^"]+)"/g),
  ]);
  t.ok(tried.size > 20);
  t.strictSame([...shown].sort(), [...tried].sort());
});
