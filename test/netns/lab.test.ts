// Labs from up to down, in namespaces of their own. Most tests run a stand-in for hopsackd, so that they test the lab alone:
//
//   h1-p1 ── cni0 [h1] eth0 ══ br0 ══ eth0 [h2] cni0 ── h2-p1
//                 192.168.50.10      .11
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { messageOf } from "../../src/errors.js";
import { type Lab, labDown, labStatuses, labUp } from "../../src/lab/lab.js";
import { missingCapabilities } from "../../src/lab/permission.js";
import { isRunning, netnsNames, recordProcess } from "../../src/lab/process-record.js";
import { isNetnsOfLab, LABS_FOLDER, type LabSpec } from "../../src/lab/topology.js";

const FAKE_DAEMON = fileURLToPath(new URL("fake-hopsackd.mjs", import.meta.url));
const CLI = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const STEPS = ["building", "starting", "connecting", "pinging"];

const missing = missingCapabilities();
const skip = missing.length > 0 ? `needs root (missing: ${missing.join(", ")})` : false;
const skipCli = skip || (existsSync(CLI) ? false : "needs the build: npm run build");

const AS_NOBODY = "setpriv --reuid 65534 --regid 65534 --clear-groups";
const skipUser = skipCli || whyNotAsUser();

t.test("pods reach each other, the report names everything, and down leaves nothing", { skip }, async (t) => {
  const name = freshName(t);
  const { report } = await up(specOf(name, { hosts: 3, podsPerHost: 2 }));
  t.same(
    report.hosts.map((host) => [host.name, host.underlay, host.subnet]),
    [
      ["h1", "192.168.50.10", "10.244.1.0/24"],
      ["h2", "192.168.50.11", "10.244.2.0/24"],
      ["h3", "192.168.50.12", "10.244.3.0/24"],
    ],
  );
  t.same(report.hosts[1]?.pods[1], { name: "h2-p2", netns: `hopsack-${name}-h2-p2`, address: "10.244.2.3" });
  t.equal(mtuOf(`hopsack-${name}-h1-p1`, "eth0"), 1472);
  const pids = report.hosts.map((host) => host.daemonPid);
  t.equal(pids.filter((pid) => recordProcess(pid) !== null).length, 3);
  t.equal(await labDown(name), true);
  t.same(leftOvers(name), []);
  t.same(pids.map(recordProcess), [null, null, null]);
  t.equal(await labDown(name), false, "a second time there is nothing to remove");
});

t.test("the root namespace gets no link", { skip }, async (t) => {
  const name = freshName(t);
  const before = rootLinks();
  await up(specOf(name, {}));
  t.same(rootLinks(), before);
});

t.test("two labs live beside each other, and a name is taken once", { skip }, async (t) => {
  const [first, second] = [freshName(t), freshName(t)];
  await Promise.all([up(specOf(first, {})), up(specOf(second, {}))]);
  await t.rejects(up(specOf(first, {})), { code: "LAB_EXISTS", message: `hopsack lab down --name ${first}` });
  await labDown(second);
  const status = labStatuses().find((lab) => lab.name === first);
  t.same(status?.runningDaemons, ["h1", "h2"], "the first is untouched by the other's end");
});

t.test("a daemon that dies is named with the end of its log, and everything is taken back", { skip }, async (t) => {
  const name = freshName(t);
  const failure = up(specOf(name, { daemonArgs: ["--fault", "die"] }));
  await t.rejects(failure, {
    code: "TOOL_FAILED",
    message: /^hopsackd on h2 ended before .*\n.*\n {2}the roof is on fire$/,
  });
  t.same(leftOvers(name), []);
});

t.test("pods that do not reach each other are named pair by pair", { skip }, async (t) => {
  const name = freshName(t);
  const spec = specOf(name, { hosts: 3, daemonArgs: ["--fault", "no-routes"] });
  const pairs = ["h1-p1 → h2-p1 (10.244.2.2)", "h2-p1 → h1-p1 (10.244.1.2)"];
  const error: unknown = await up(spec, { reachLimitMs: 1 }).catch((reason: unknown) => reason);
  t.match(error, { code: "LAB_UNREACHABLE" });
  for (const pair of pairs) t.ok(messageOf(error).includes(pair), pair);
  t.notOk(messageOf(error).includes("h1-p1 → h3-p1"), "what works is not named");
  t.match(messageOf(error), /the log of h2 ends with:\n {2}fake hopsackd of h2 is ready/);
  t.same(leftOvers(name), []);
});

t.test("an abort before any step leaves nothing", { skip }, async (t) => {
  for (const step of STEPS) {
    const name = freshName(t);
    const abort = new AbortController();
    const progress = (text: string) => {
      if (text.startsWith(step)) abort.abort(new Error(`aborted while ${step}`));
    };
    await t.rejects(up(specOf(name, {}), { progress, signal: abort.signal }), { message: `aborted while ${step}` });
    t.same(leftOvers(name), [], step);
  }
});

t.test("a daemon that ignores SIGTERM is killed, and so is what else runs in the lab", { skip }, async (t) => {
  const name = freshName(t);
  const lab = await up(specOf(name, { daemonArgs: ["--fault", "deaf"] }));
  const stranger = spawn("ip", ["netns", "exec", `hopsack-${name}-h1-p1`, "sleep", "600"], { stdio: "ignore" });
  await new Promise((resolve) => stranger.once("spawn", resolve));
  const records = [...lab.report.hosts.map((host) => host.daemonPid), stranger.pid ?? 0].map(recordProcess);
  await labDown(name);
  t.same(
    records.map((record) => record !== null && isRunning(record)),
    [false, false, false],
  );
  t.same(leftOvers(name), []);
});

t.test("after SIGKILL in any step, down removes all there is", { skip: skipCli }, async (t) => {
  for (const step of STEPS) {
    const name = freshName(t);
    const child = cli(["lab", "up", "--name", name]);
    await lineOf(child, step);
    child.kill("SIGKILL");
    await ended(child);
    await labDown(name);
    t.same(leftOvers(name), [], step);
  }
});

t.test("Ctrl-C in the middle of up cleans up and ends by the signal", { skip: skipCli }, async (t) => {
  const name = freshName(t);
  const child = cli(["lab", "up", "--name", name]);
  await lineOf(child, "starting");
  child.kill("SIGINT");
  const { status, signal, stdout } = await ended(child);
  t.ok(signal === "SIGINT" || status === 130, "ends by the signal, or says so where something else catches it");
  t.equal(stdout, "");
  t.same(leftOvers(name), []);
});

t.test("the commands: up --json, status, exec and down", { skip: skipCli }, async (t) => {
  const name = freshName(t);
  const shape = ["--hosts", "2", "--pods", "2", "--backend", "udp", "--ipv6"];
  const daemonArgs = ["--daemon-arg", "--offload", "--daemon-arg=none"];
  const up = await ended(cli(["lab", "up", "--name", name, "--json", ...shape, ...daemonArgs]));
  t.equal(up.status, 0);
  const report = JSON.parse(up.stdout);
  t.same(Object.keys(report), ["name", "hosts"]);
  const hostKeys = ["name", "netns", "underlay", "subnet", "daemonPid", "statusSocket", "subnetFile", "log", "pods"];
  t.same(Object.keys(report.hosts[0]), hostKeys);
  t.same(Object.keys(report.hosts[0].pods[0]), ["name", "netns", "address"]);
  t.equal(report.hosts[1].pods.length, 2);
  const daemon = await ended(cli(["status", "--json", "--socket", report.hosts[0].statusSocket]));
  t.match(JSON.parse(daemon.stdout), { node: "h1", offloads: { tso: false, udpGso: false } });
  const status = await ended(cli(["lab", "status", "--json"]));
  const [mine] = JSON.parse(status.stdout).labs.filter((lab: { name: string }) => lab.name === name);
  t.match(mine, { isComplete: true, hosts: [{ isDaemonRunning: true }, { isDaemonRunning: true }] });
  const exec = (...words: string[]) => ended(cli(["lab", "exec", "--name", name, ...words]));
  t.match(await exec("h1-p1", "--", "ping", "-c", "1", report.hosts[1].pods[0].address), { status: 0 });
  t.match(await exec("h1", "--", "sh", "-c", "exit 7"), { status: 7 }, "the command's own exit status");
  t.match(await exec("h9", "--", "true"), { status: 1 });
  t.match(await ended(cli(["lab", "down", "--name", name])), { status: 0, stdout: `lab ${name} is gone\n` });
  t.same(leftOvers(name), []);
  t.match(await ended(cli(["lab", "down", "--name", name])), { status: 0, stdout: /nothing to remove/ });
});

t.test(
  "the demo tells its story within 100 columns and leaves nothing",
  { skip: skipCli, timeout: 90_000 },
  async (t) => {
    const child = cli(["lab", "demo"]);
    const { status, stdout } = await ended(child);
    t.equal(status, 0);
    t.match(stdout, /3 packets transmitted, 3 received/);
    t.match(stdout, /0x002a {2}45 .* 4, 20 bytes/, "the inner packet begins where the UDP header ends");
    t.match(stdout, /source port +8285\n.*destination port +8285\n/);
    t.match(stdout, /kernel VXLAN +█+/);
    t.same(
      stdout.split("\n").filter((line) => [...line].length > 100),
      [],
    );
    t.same(leftOvers(`demo-${child.pid}`), []);
  },
);

t.test("an ordinary user who may open the TUN device sees the demo without root", { skip: skipUser }, async (t) => {
  const tun = `${t.testdir({})}/tun`;
  const makeTun = `mknod -m 666 ${tun} c 10 200 && mount --bind ${tun} /dev/net/tun`;
  const script = `${makeTun} && rm ${tun} && exec ${AS_NOBODY} "$@"`;
  const args = ["--mount", "sh", "-ec", script, "sh", process.execPath, CLI, "lab", "demo"];
  const { NODE_OPTIONS: _, ...env } = process.env; // what the test runner loads is not for other users
  const child = spawn("unshare", args, { stdio: ["ignore", "pipe", "pipe"], env: { ...env, HOME: "/" } });
  const { status, stdout } = await ended(child);
  t.equal(status, 0);
  t.match(stdout, /UDP mode +█+/);
});

/** A name nobody else uses; whatever is left of that lab when the test ends is removed. */
function freshName(t: { teardown(work: () => Promise<unknown>): void }): string {
  const name = `t${randomBytes(4).toString("hex")}`;
  t.teardown(() => labDown(name));
  return name;
}

/** A clone in root's home is closed to others, and some machines forbid user namespaces. */
function whyNotAsUser(): string | false {
  const probe = `test -r ${CLI} && unshare --user --map-current-user --keep-caps --net true`;
  const { status } = spawnSync("sh", ["-c", `${AS_NOBODY} sh -c '${probe}'`], { stdio: "ignore" });
  return status === 0 ? false : "needs user namespaces, and a clone that other users may read";
}

function specOf(name: string, changes: Partial<LabSpec>): LabSpec {
  return { name, hosts: 2, podsPerHost: 1, backend: "udp", hasIpv6: false, daemonArgs: [], ...changes };
}

function up(spec: LabSpec, changes: Partial<Parameters<typeof labUp>[1]> = {}): Promise<Lab> {
  const defaults = { signal: new AbortController().signal, progress: () => {}, daemonEntry: FAKE_DAEMON };
  return labUp(spec, { ...defaults, ...changes });
}

/** Namespaces and folder of a lab that should be gone. */
function leftOvers(name: string): string[] {
  const folders = [`${LABS_FOLDER}/${name}`].filter((path) => existsSync(path));
  return [...netnsNames().filter((netns) => isNetnsOfLab(netns, name)), ...folders];
}

function rootLinks(): string[] {
  const links: { ifname: string }[] = JSON.parse(execFileSync("ip", ["-j", "link"], { encoding: "utf8" }));
  return links.map(({ ifname }) => ifname).sort();
}

function mtuOf(netns: string, link: string): number {
  const text = execFileSync("ip", ["-n", netns, "-j", "link", "show", "dev", link], { encoding: "utf8" });
  return JSON.parse(text)[0].mtu;
}

function cli(args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [CLI, ...args], { stdio: ["ignore", "pipe", "pipe"] });
}

/** Resolves when standard error has a line that begins with `word`; rejects when the program ends without it. */
function lineOf(child: ChildProcess, word: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let seen = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      seen += chunk.toString();
      if (seen.split("\n").some((line) => line.startsWith(word))) resolve();
    });
    child.once("close", () => reject(new Error(`ended without saying ${word}: ${seen}`)));
  });
}

function ended(child: ChildProcess): Promise<{ status: number | null; signal: string | null; stdout: string }> {
  let stdout = "";
  child.stdout?.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.resume();
  return new Promise((resolve) => child.once("close", (status, signal) => resolve({ status, signal, stdout })));
}
