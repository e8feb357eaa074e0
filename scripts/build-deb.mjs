// Builds the Debian package out of what is built in this checkout: `node scripts/build-deb.mjs [FOLDER]` prints its path. Called by
// scripts/deb. Self-contained: it carries the Node.js that runs this script, so the very runtime that the tests ran with.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(ROOT);
const { name, version, bin, dependencies } = JSON.parse(fs.readFileSync("package.json", "utf8"));
const MAINTAINER = process.env.DEBEMAIL
  ? `${process.env.DEBFULLNAME ?? "Hopsack"} <${process.env.DEBEMAIL}>`
  : "Hopsack maintainers <maintainers@hopsack.example>";
/** Only npm's install script needs them, to compile the addon. */
const BUILD_ONLY = ["cmake-js", "node-addon-api"];
/** What every Debian has, or names as a package; a Node.js of Debian's own needs forty libraries more. */
const USUAL_LIBRARIES = /^(linux-vdso|lib(dl|stdc\+\+|m|gcc_s|pthread|c|atomic)|ld-linux.*|\/lib.*\/ld-linux.*)\.so/;
/** Of an npm package, what no program runs; modules within it are listed by themselves where they are needed. */
const SUPERFLUOUS = /^(node_modules|tests?|docs?|benchmarks?|examples?|.*\.html)$/;
const HOME = "/usr/lib/hopsack";
/** Path of a command → what it runs. */
const COMMANDS = Object.fromEntries(
  Object.entries(bin).map(([command, entry]) => [`/usr/${command === "hopsackd" ? "sbin" : "bin"}/${command}`, entry]),
);
const NODE = `${HOME}/bin/node`;
const ADDON = `${HOME}/build/Release/hopsack.node`;

const folder = process.argv[2] ?? "build";
const architecture = run("dpkg", "--print-architecture").trim();
const stage = fs.mkdtempSync(join(fs.realpathSync(folder), "deb-"));
const tree = join(stage, "tree");
try {
  const modules = productionModules();
  putProgram(modules);
  putRuntime();
  putSystemFiles();
  putDocuments(modules);
  setModes();
  putControl();
  const deb = join(folder, `${name}_${version}_${architecture}.deb`);
  run("dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", tree, deb);
  console.log(deb);
} catch (error) {
  console.error(`${basename(process.argv[1])}: ${error.message}`);
  process.exitCode = 1;
} finally {
  fs.rmSync(stage, { recursive: true });
}

function putProgram(modules) {
  const isWanted = (source) => !source.endsWith(".map") && source !== "dist/share";
  copy("dist", `${HOME}/dist`, isWanted);
  for (const file of ["package.json", "binding-options.cjs"]) copy(file, `${HOME}/${file}`);
  for (const path of modules) {
    const isSuperfluous = (source) => dirname(source) === path && SUPERFLUOUS.test(basename(source));
    copy(path, `${HOME}/${path}`, (source) => !isSuperfluous(source) && !basename(source).startsWith("."));
  }
  for (const [command, entry] of Object.entries(COMMANDS)) {
    put(command, `#!/bin/sh\nexec ${NODE} ${HOME}/${entry} "$@"\n`);
    const path = at(`${HOME}/${entry}`);
    fs.writeFileSync(path, fs.readFileSync(path, "utf8").replace(/^#!.*\n/, "")); // it is no command any more
  }
}

function putRuntime() {
  const libraries = [...run("ldd", process.execPath).matchAll(/^\s*(\S+)/gm)].map(([, library]) => library);
  const unusual = libraries.filter((library) => !USUAL_LIBRARIES.test(library));
  if (unusual.length > 0) {
    fail(
      `${process.execPath} needs ${unusual.join(", ")}, so it cannot be carried along; build with a Node.js as nodejs.org and its packages have it`,
    );
  }
  copy(process.execPath, NODE);
  copy("build/Release/hopsack.node", ADDON);
  for (const file of [NODE, ADDON]) run("strip", "--strip-unneeded", at(file));
}

function putSystemFiles() {
  const unit = fs.readFileSync("systemd/hopsackd.service", "utf8");
  put("/lib/systemd/system/hopsackd.service", unit.replace("/usr/bin/env hopsackd", "/usr/sbin/hopsackd"));
  copy("systemd/hopsackd.env", "/etc/hopsack/hopsackd.env");
  copy("dist/share", "/usr/share");
  for (const file of filesBelow(at("/usr/share/man"))) {
    fs.writeFileSync(`${file}.gz`, gzipSync(fs.readFileSync(file), { level: 9 }));
    fs.rmSync(file);
  }
}

function putDocuments(modules) {
  const documents = "/usr/share/doc/hopsack";
  const day = process.env.SOURCE_DATE_EPOCH ? new Date(Number(process.env.SOURCE_DATE_EPOCH) * 1000) : new Date();
  const date = day.toUTCString().replace("GMT", "+0000");
  const entry = `${name} (${version}) unstable; urgency=medium\n\n  * See CHANGELOG.md.gz.\n\n -- ${MAINTAINER}  ${date}\n`;
  put(`${documents}/changelog.gz`, gzipSync(entry, { level: 9 }));
  put(`${documents}/CHANGELOG.md.gz`, gzipSync(fs.readFileSync("CHANGELOG.md"), { level: 9 }));
  put(`${documents}/copyright`, copyright(modules));
  copy("monitoring", `${documents}/monitoring`);
  copy("packaging/deb/lintian-overrides", "/usr/share/lintian/overrides/hopsack");
}

/** Ours, Node.js's with everything in it, and that of every npm package, each in its own words. */
function copyright(modules) {
  const ours = `Hopsack, under the Apache License 2.0: see /usr/share/common-licenses/Apache-2.0.
Copyright: the Hopsack authors`;
  const runtime = `${NODE} is Node.js ${process.version}.\n\n${fs.readFileSync(nodeLicense(), "utf8")}`;
  const packages = modules.map((path) => {
    const fields = JSON.parse(fs.readFileSync(join(path, "package.json"), "utf8"));
    const words = fs
      .readdirSync(path)
      .filter((file) => /^(licen[sc]e|copying|notice)/i.test(file))
      .map((file) => fs.readFileSync(join(path, file), "utf8"));
    return `${HOME}/${path} is ${fields.name} ${fields.version}, licence: ${licenseOf(fields)}\n\n${words.join("\n")}`;
  });
  const line = `\n\n${"-".repeat(79)}\n\n`;
  return `${[ours, runtime, ...packages].join(line)}\n`;
}

function licenseOf({ license, licenses }) {
  return license?.type ?? license ?? licenses?.map(({ type }) => type).join(", ") ?? "not named";
}

/** Where nodejs.org's archives and the packages made of them have it. */
function nodeLicense() {
  const prefix = join(dirname(process.execPath), "..");
  const places = [
    join(prefix, "LICENSE"),
    join(prefix, "share/doc/nodejs/LICENSE"),
    join(prefix, "share/doc/node/LICENSE"),
  ];
  return (
    places.find((place) => fs.existsSync(place)) ?? fail(`the LICENSE of Node.js is in none of ${places.join(", ")}`)
  );
}

function putControl() {
  fs.mkdirSync(join(tree, "DEBIAN"), { mode: 0o755 });
  for (const script of ["postinst", "prerm", "postrm"]) {
    fs.copyFileSync(`packaging/deb/${script}`, join(tree, "DEBIAN", script));
    fs.chmodSync(join(tree, "DEBIAN", script), 0o755);
  }
  const conffiles = filesBelow(at("/etc")).map((file) => file.slice(tree.length));
  write("DEBIAN/conffiles", conffiles.map((file) => `${file}\n`).join(""));
  const packaged = filesBelow(tree)
    .map((file) => file.slice(tree.length + 1))
    .filter((file) => !file.startsWith("DEBIAN/") && !conffiles.includes(`/${file}`));
  write("DEBIAN/md5sums", execFileSync("md5sum", packaged, { cwd: tree, encoding: "utf8" }));
  const kilobytes = run("du", "-sk", "--apparent-size", "--exclude=DEBIAN", tree).split("\t")[0];
  write("DEBIAN/control", control(kilobytes, libraryPackages()));
}

function control(kilobytes, depends) {
  return `Package: ${name}
Version: ${version}
Architecture: ${architecture}
Maintainer: ${MAINTAINER}
Installed-Size: ${kilobytes}
Depends: ${depends}
Recommends: iproute2, nftables
Suggests: etcd-server, iperf3, iputils-ping, tcpdump
Section: net
Priority: optional
Description: overlay network for Linux lab hosts
 Each host takes a subnet of one big network and learns those of the others, so
 that containers, namespaces and virtual machines of all hosts reach each other.
 The wire formats and settings are flannel's; Kubernetes is not needed.
 .
 This package brings its own Node.js.
`;
}

/** The Debian packages that have the libraries of Node.js and addon, as `Depends:` wants them. */
function libraryPackages() {
  fs.mkdirSync(join(stage, "debian"));
  fs.writeFileSync(join(stage, "debian/control"), `Source: ${name}\n\nPackage: ${name}\nArchitecture: any\n`);
  const files = [NODE, ADDON].map((file) => `-e${at(file)}`);
  // Its warnings are about symbols that the addon has from Node.js.
  const output = execFileSync("dpkg-shlibdeps", ["--warnings=0", "-O", ...files], { cwd: stage, encoding: "utf8" });
  return output.trim().replace("shlibs:Depends=", "");
}

/** Folders of node_modules that the program needs at run time, by package-lock.json. */
function productionModules() {
  const { packages } = JSON.parse(fs.readFileSync("package-lock.json", "utf8"));
  const found = new Set();
  const visit = (names, from) => {
    for (const module of names) {
      const path = lookUp(packages, module, from);
      if (path === null || found.has(path)) continue;
      found.add(path);
      visit(Object.keys(packages[path].dependencies ?? {}), path);
    }
  };
  visit(
    Object.keys(dependencies).filter((module) => !BUILD_ONLY.includes(module)),
    "",
  );
  return [...found].sort();
}

/** As Node.js looks for a module: in the node_modules beside, then in those above. */
function lookUp(packages, module, from) {
  const path = `${from === "" ? "" : `${from}/`}node_modules/${module}`;
  if (packages[path] !== undefined) return path;
  if (from === "") return null;
  return lookUp(packages, module, from.slice(0, Math.max(from.lastIndexOf("/node_modules/"), 0)));
}

/** As an umask could have made them otherwise. */
function setModes() {
  for (const path of [tree, ...fs.readdirSync(tree, { recursive: true }).map((file) => join(tree, file))]) {
    const found = fs.lstatSync(path);
    if (found.isDirectory()) fs.chmodSync(path, 0o755);
    else if (found.isFile()) fs.chmodSync(path, isProgram(path) ? 0o755 : 0o644);
  }
}

function isProgram(path) {
  return [NODE, ...Object.keys(COMMANDS)].some((program) => path === at(program));
}

function at(path) {
  return join(tree, path);
}

function copy(source, path, filter = () => true) {
  if (!fs.existsSync(source)) fail(`${source} is not there; build it with: scripts/setup deb`);
  fs.mkdirSync(dirname(at(path)), { recursive: true });
  fs.cpSync(source, at(path), { recursive: true, filter });
}

function put(path, content) {
  write(path.slice(1), content);
}

function write(name, content) {
  fs.mkdirSync(dirname(join(tree, name)), { recursive: true });
  fs.writeFileSync(join(tree, name), content);
}

function filesBelow(top) {
  return fs
    .readdirSync(top, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

function run(command, ...words) {
  return execFileSync(command, words, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
}

function fail(sentence) {
  throw new Error(sentence);
}
