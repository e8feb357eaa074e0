// The layers of the house (ARCHITECTURE.md): a file includes or imports layers below its own and its own folder, never
// upward and never a sibling folder of its layer.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

const TYPESCRIPT_LAYERS: Readonly<Record<string, number>> = {
  "errors.ts": 0,
  "addon.ts": 0,
  net: 0,
  wire: 0,
  lease: 1,
  netlink: 1,
  plan: 2,
  backend: 3,
  bird: 3,
  store: 3,
  kernel: 3,
  dataplane: 3,
  policy: 3,
  daemon: 4,
  lab: 4,
  cni: 4,
  bench: 5,
  capture: 5,
  doctor: 5,
  trace: 5,
  cli: 6,
  manual: 7,
};
/** Within a layer: who may know whom. */
const TYPESCRIPT_SIBLINGS: readonly string[] = [
  "addon.ts → errors.ts",
  "wire → net",
  "net → errors.ts",
  "dataplane → backend",
  "policy → kernel",
  "policy → store",
  "trace → capture",
];

const NATIVE_LAYERS: Readonly<Record<string, number>> = { wire: 0, io: 0, tables: 1, pump: 2, bpf: 2, addon: 3 };

function filesBelow(folder: string, extensions: readonly string[]): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile() && extensions.some((extension) => path.endsWith(extension)));
}

function violations(
  files: readonly string[],
  base: string,
  targetsOf: (path: string, text: string) => string[],
  layers: Readonly<Record<string, number>>,
  siblings: readonly string[],
): string[] {
  const folderOf = (path: string): string => relative(base, path).split("/")[0] ?? "";
  return files.flatMap((path) => {
    const from = folderOf(path);
    return targetsOf(path, readFileSync(path, "utf8"))
      .map(folderOf)
      .filter((to) => to !== from && !siblings.includes(`${from} → ${to}`))
      .filter((to) => layers[from] === undefined || layers[to] === undefined || layers[to] >= layers[from])
      .map((to) => `${relative(root, path)} (${from}) reaches for ${to}`);
  });
}

t.test("every TypeScript import goes down the layers", async (t) => {
  const base = join(root, "src");
  const importsOf = (path: string, text: string): string[] =>
    [...text.matchAll(/(?:from|import\()\s*"(\.[^"]+)"/g)].map((match) =>
      normalize(join(dirname(path), match[1] ?? "")).replace(/\.js$/, ".ts"),
    );
  const files = filesBelow(base, [".ts"]);
  t.ok(files.length > 20);
  t.strictSame(violations(files, base, importsOf, TYPESCRIPT_LAYERS, TYPESCRIPT_SIBLINGS), []);
});

t.test("every C++ include goes down the layers, and only addon/ knows Node-API", async (t) => {
  const base = join(root, "native");
  const files = filesBelow(base, [".h", ".cc"]).filter((path) => !/\/(test|bench|fuzz|build)\//.test(path));
  const includesOf = (_path: string, text: string): string[] =>
    [...text.matchAll(/#include "([^"]+)"/g)].map((match) => join(base, match[1] ?? ""));
  t.ok(files.length > 20);
  t.strictSame(violations(files, base, includesOf, NATIVE_LAYERS, []), []);
  const napiUsers = files.filter((path) => readFileSync(path, "utf8").includes("<napi.h>"));
  t.strictSame(new Set(napiUsers.map((path) => relative(base, path).split("/")[0])), new Set(["addon"]));
});

t.test("no product file is longer than 400 lines", async (t) => {
  const long = [...filesBelow(join(root, "src"), [".ts"]), ...filesBelow(join(root, "native"), [".h", ".cc"])].filter(
    (path) => readFileSync(path, "utf8").split("\n").length > 400,
  );
  t.strictSame(
    long.map((path) => relative(root, path)),
    [],
  );
});
