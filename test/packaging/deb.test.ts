// The Debian package: built from this checkout, unpacked, and its programs run with the Node.js that they bring.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const { version }: { readonly version: string } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
const NEEDED = ["dpkg-deb", "dpkg-shlibdeps", "strip"];
const { NODE_OPTIONS: _, ...ENV } = process.env; // what the test runner loads is not for the package

function isMissing(tool: string): boolean {
  return spawnSync(tool, ["--version"]).error !== undefined;
}

function skipReason(): string | false {
  const built = ["dist/share", "build/Release/hopsack.node"].find((path) => !existsSync(join(ROOT, path)));
  if (built !== undefined) return `needs the build: ${built}`;
  const tool = NEEDED.find(isMissing);
  return tool === undefined ? false : `${tool} is not installed`;
}

function run(command: string, ...words: readonly string[]): string {
  return execFileSync(command, words, { encoding: "utf8", env: ENV, stdio: ["ignore", "pipe", "inherit"] });
}

t.test("the Debian package", { skip: skipReason() }, async (t) => {
  const folder = t.testdir();
  const deb = run(process.execPath, join(ROOT, "scripts/build-deb.mjs"), folder).trim();
  const tree = join(folder, "tree");
  const control = join(folder, "control");
  mkdirSync(tree);
  run("dpkg-deb", "--extract", deb, tree);
  run("dpkg-deb", "--control", deb, control);
  const installed = (path: string): string => readFileSync(join(tree, path), "utf8");

  await t.test("leaves nothing but itself where it was built", async (t) => {
    t.strictSame(new Set(readdirSync(folder)), new Set([deb.slice(folder.length + 1), "tree", "control"]));
  });

  await t.test("brings a Node.js that runs both programs and loads the addon", async (t) => {
    const node = join(tree, "usr/lib/hopsack/bin/node");
    for (const [program, entry] of [
      ["hopsack", "main.js"],
      ["hopsackd", "hopsackd.js"],
    ] as const) {
      t.equal(run(node, join(tree, "usr/lib/hopsack/dist/cli", entry), "--version"), `${program} ${version}\n`);
    }
    const load = `import("${tree}/usr/lib/hopsack/dist/addon.js").then(({ loadAddon }) => console.log(typeof loadAddon().Pump))`;
    t.equal(run(node, "-e", load), "function\n");
    const etcd = `import("${tree}/usr/lib/hopsack/dist/store/etcd.js").then(() => console.log("loaded"))`;
    t.equal(run(node, "-e", etcd), "loaded\n", "with every npm package that is loaded late");
  });

  await t.test("has its commands in PATH, and the unit calls the daemon there", async (t) => {
    t.match(installed("usr/bin/hopsack"), "exec /usr/lib/hopsack/bin/node /usr/lib/hopsack/dist/cli/main.js");
    t.match(installed("usr/sbin/hopsackd"), "exec /usr/lib/hopsack/bin/node /usr/lib/hopsack/dist/cli/hopsackd.js");
    t.match(installed("usr/bin/hopsack-cni"), "exec /usr/lib/hopsack/bin/node /usr/lib/hopsack/dist/hopsack-cni.js");
    t.match(installed("lib/systemd/system/hopsackd.service"), "\nExecStart=/usr/sbin/hopsackd --keep-lease\n");
  });

  await t.test("has man pages, completions and every licence", async (t) => {
    for (const path of ["man/man1/hopsack-lab.1.gz", "man/man8/hopsackd.8.gz", "zsh/vendor-completions/_hopsack"]) {
      t.ok(existsSync(join(tree, "usr/share", path)), path);
    }
    const copyright = installed("usr/share/doc/hopsack/copyright");
    for (const words of ["Apache License", "Copyright Node.js contributors", "node_modules/commander is commander"]) {
      t.match(copyright, words);
    }
  });

  await t.test("leaves out what only builds and tests need", async (t) => {
    const modules = readdirSync(join(tree, "usr/lib/hopsack/node_modules"));
    for (const name of ["typescript", "tap", "cmake-js", "node-addon-api", "vega"])
      t.notOk(modules.includes(name), name);
    t.ok(modules.includes("pino"));
  });

  await t.test("is told to dpkg: libraries, settings that an administrator changes", async (t) => {
    t.match(readFileSync(join(control, "control"), "utf8"), /^Depends: .*libc6 \(>= .*libstdc\+\+6/m);
    t.equal(readFileSync(join(control, "conffiles"), "utf8"), "/etc/hopsack/hopsackd.env\n");
  });

  const skip = isMissing("lintian") ? "lintian is not installed; npm run deb installs it" : false;
  await t.test("lintian finds no error", { skip }, async (t) => {
    const { status, stdout } = spawnSync("lintian", ["--fail-on", "error", deb], { encoding: "utf8", env: ENV });
    t.notMatch(stdout, /^E:/m);
    t.equal(status, 0);
  });
});
