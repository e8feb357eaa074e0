// Labs from up to down, in namespaces of their own. Most tests run a stand-in for hopsackd, so that they test the lab alone:
//
//   h1-p1 ── cni0 [h1] eth0 ══ br0 ══ eth0 [h2] cni0 ── h2-p1
//                 192.168.50.10      .11
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, readFileSync, symlinkSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { messageOf } from "../../src/errors.js";
import { type Lab, labDown, labStatuses, labUp, restartDaemon } from "../../src/lab/lab.js";
import type { LabReport } from "../../src/lab/lab-folder.js";
import { missingCapabilities } from "../../src/lab/permission.js";
import { isRunning, netnsNames, processesIn, recordProcess } from "../../src/lab/process-record.js";
import { isNetnsOfLab, LABS_FOLDER, type LabSpec } from "../../src/lab/topology.js";
import { ipJson, until } from "../support/netns.js";

const FAKE_DAEMON = fileURLToPath(new URL("fake-hopsackd.mjs", import.meta.url));
const CLI = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const DAEMON = fileURLToPath(new URL("../../dist/cli/hopsackd.js", import.meta.url));
const STEPS = ["building", "starting", "connecting", "pinging"];

const missing = missingCapabilities();
const skip = missing.length > 0 ? `needs root (missing: ${missing.join(", ")})` : false;
const skipCli = skip || (existsSync(CLI) ? false : "needs the build: npm run build");

const skipEtcd = skip || whyNoEtcd();

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

t.test("pods that are routed reach each other without a bridge", { skip: skipCli }, async (t) => {
  const name = freshName(t);
  const spec = specOf(name, { podsPerHost: 3, attach: "routed", hasIpv6: true });
  const { report } = await up(spec, { daemonEntry: DAEMON });
  for (const { netns, pods } of report.hosts) {
    const links = ipJson(`-n ${netns} link`).map(({ ifname }) => String(ifname));
    t.equal(links.filter((link) => link.startsWith("hsk")).length, 3);
    t.notOk(links.includes("cni0"));
    for (const { address } of pods)
      t.match(ipJson(`-n ${netns} route show ${address}`), [{ protocol: "86", scope: "link" }]);
  }
  t.equal(report.hosts[1]?.pods[2]?.address.replace(/.*\./, ""), "4", "addresses are those of every other lab");
  await labDown(name);
  t.same(leftOvers(name), []);
});

t.test("a pod that cannot be attached is named with the plugin's words", { skip }, async (t) => {
  const name = freshName(t);
  const attached = up(specOf(name, { attach: "routed", daemonArgs: ["--fault", "tiny"] }));
  await t.rejects(attached, {
    code: "TOOL_FAILED",
    message: /^h2-p1 could not be attached: the address 10\.244\.2\.2 .* is not one of the lease /,
  });
  t.same(leftOvers(name), []);
});

t.test("what the hosts send each other meets no firewall on the way", { skip }, async (t) => {
  const name = freshName(t);
  await up(specOf(name, { hosts: 3 }));
  const settings = "/proc/sys/net/bridge/bridge-nf-call-*tables"; // none where br_netfilter is not loaded
  const shown = execFileSync("ip", ["netns", "exec", `hopsack-${name}-net`, "sh", "-c", `cat ${settings} || :`]);
  t.notMatch(shown.toString(), /1/);
});

t.test("the root namespace gets no link", { skip }, async (t) => {
  const name = freshName(t);
  const before = rootLinks();
  await up(specOf(name, {}));
  t.same(rootLinks(), before);
});

t.test("two hosts can be joined by a cable of any MTU, with a network of any size", { skip: skipCli }, async (t) => {
  const name = freshName(t);
  const cable = { mtuBytes: 4000, prefixLength: 16, ethtool: [] };
  const { report } = await up(specOf(name, { cable, network: "10.64.0.0/10" }), { daemonEntry: DAEMON });
  const network = readFileSync(`${LABS_FOLDER}/${name}/store/config.json`, "utf8");
  t.match(JSON.parse(network), { Network: "10.64.0.0/10" });
  for (const { subnet } of report.hosts) t.match(subnet, /^10\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\.[0-9]+\.0\/24$/);
  const [first, second] = report.hosts.map(({ netns }) => ipJson(`-n ${netns} -d address show dev eth0`)[0]);
  t.match([first?.mtu, second?.mtu], [4000, 4000]);
  t.match(first, { linkinfo: { info_kind: "veth" }, addr_info: [{ local: "192.168.50.10", prefixlen: 16 }] });
  t.equal(first?.link_netnsid === undefined, false, "its other end is in another namespace");
  t.throws(() => ipJson(`-n hopsack-${name}-net link show dev br0`), "there is no bridge");
});

for (const way of ["stop", "takeover"] as const) {
  t.test(`one host's daemon is replaced by ${way}, and the other one's is left alone`, { skip: skipCli }, async (t) => {
    const name = freshName(t);
    const lab = await up(specOf(name, {}), { daemonEntry: DAEMON });
    const pidsOf = ({ report }: Lab) => report.hosts.map(({ daemonPid }) => daemonPid);
    const after = await restartDaemon(lab, "h2", way, new AbortController().signal);
    const [[first, second], [firstAfter, secondAfter]] = [pidsOf(lab), pidsOf(after)];
    t.equal(first, firstAfter);
    t.not(second, secondAfter);
    t.equal(recordProcess(second ?? 0), null);
    t.same(
      labStatuses().find((status) => status.name === name)?.runningDaemons,
      ["h1", "h2"],
      "the lab knows the new one",
    );
    await labDown(name);
    t.same(
      [firstAfter, secondAfter].map((pid) => recordProcess(pid ?? 0)),
      [null, null],
    );
  });
}

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
  const pod = `hopsack-${name}-h1-p1`;
  const stranger = spawn("ip", ["netns", "exec", pod, "sleep", "600"], { stdio: "ignore" });
  await until("it runs in the lab", () => processesIn([pod]).some(({ pid }) => pid === stranger.pid));
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

t.test(
  "a lab on etcd: members inside the lab alone, the configuration put before the daemons",
  { skip: skipEtcd },
  async (t) => {
    for (const etcdMembers of [1, 3]) {
      const name = freshName(t);
      const outside = listeners();
      const { report } = await up(specOf(name, { etcdMembers, hasIpv6: true, backend: "vxlan" }));
      const endpoints = [2, 3, 4].slice(0, etcdMembers).map((number) => `http://192.168.50.${number}:2379`);
      t.match(report, { etcd: endpoints, etcdNetns: `hopsack-${name}-net` });
      t.same(listeners(), outside, "nothing listens outside");
      for (const endpoint of endpoints) {
        const stored = await inHost(
          report,
          `const body = JSON.stringify({ key: btoa("/coreos.com/network/config") });
        const answer = await fetch("${endpoint}/v3/kv/range", { method: "POST", body });
        console.log(atob((await answer.json()).kvs[0].value));`,
        );
        t.same(JSON.parse(stored), {
          Network: "10.244.0.0/16",
          EnableIPv6: true,
          IPv6Network: "fd00:10:244::/48",
          Backend: { Type: "vxlan" },
        });
      }
      const [host] = report.hosts;
      const daemon = readFileSync(`/proc/${host?.daemonPid}/cmdline`, "utf8").split("\0");
      t.equal(daemon[daemon.indexOf("--etcd-endpoints") + 1], endpoints.join(","));
      t.notOk(daemon.includes("--store"));
      const status = labStatuses().find((lab) => lab.name === name);
      t.equal(status?.runningEtcd.length, etcdMembers);
      const members = processesIn([`hopsack-${name}-net`]);
      t.equal(members.length, etcdMembers);
      t.equal(await labDown(name), true);
      t.notOk(members.some(isRunning));
      t.same(leftOvers(name), []);
    }
  },
);

t.test("hosts lease from the lab's etcd, and the leases command sees them", { skip: skipEtcd }, async (t) => {
  const name = freshName(t);
  const up = await ended(cli(["lab", "up", "--name", name, "--store", "etcd", "--json"]));
  t.equal(up.status, 0);
  const report: LabReport = JSON.parse(up.stdout);
  t.same(Object.keys(report), ["name", "hosts", "etcd", "etcdNetns"]);
  const leases = (...words: string[]) => {
    const command = [process.execPath, CLI, "leases", ...words, "--etcd-endpoints", `${report.etcd}`];
    return ended(cli(["lab", "exec", "--name", name, "h1", "--", ...command]));
  };
  const listed = JSON.parse((await leases("list", "--json")).stdout);
  const given = report.hosts.map(({ underlay, subnet }) => [underlay, subnet]);
  const seen = listed.leases.map((one: { publicIp: string; subnet: string }) => [one.publicIp, one.subnet]);
  t.same(seen.sort(), given.sort());
  const { subnet = "" } = report.hosts[1] ?? {};
  t.match(await leases("reserve", subnet, "--public-ip", "192.168.50.11"), { status: 0, stdout: /holds it already/ });
  t.match(await leases("show", subnet), { status: 0, stdout: /never, it is reserved/ });
  t.match(await ended(cli(["lab", "status"])), { status: 0, stdout: `${name}: udp mode, 1 of 1 etcd members run` });
  t.match(await ended(cli(["lab", "down", "--name", name])), { status: 0 });
  t.same(leftOvers(name), []);
});

t.test("a failure or an abort while etcd starts leaves nothing", { skip: skipEtcd }, async (t) => {
  const name = freshName(t);
  const abort = new AbortController();
  const progress = (step: string) =>
    step === "starting etcd, 3 members" && setImmediate(() => abort.abort(new Error("enough")));
  await t.rejects(up(specOf(name, { etcdMembers: 3 }), { progress, signal: abort.signal }), { message: "enough" });
  t.same(leftOvers(name), []);

  const folder = t.testdir({ etcd: "#!/bin/sh\necho the disk is full\nexit 1\n" });
  chmodSync(`${folder}/etcd`, 0o755);
  withPath(t, `${folder}:${process.env.PATH}`);
  const failing = freshName(t);
  await t.rejects(up(specOf(failing, { etcdMembers: 1 })), {
    code: "TOOL_FAILED",
    message: /^etcd m1 ended before it was ready\nthe log of etcd m1 ends with:\n {2}the disk is full$/,
  });
  t.same(leftOvers(failing), []);
});

t.test("after SIGKILL while etcd starts, down removes all there is", { skip: skipEtcd || skipCli }, async (t) => {
  const name = freshName(t);
  const child = cli(["lab", "up", "--name", name, "--etcd-members", "3"]);
  await lineOf(child, "starting etcd");
  child.kill("SIGKILL");
  await ended(child);
  await labDown(name);
  t.same(leftOvers(name), []);
  t.same(processesIn([`hopsack-${name}-net`]), []);
});

t.test("without etcd the lab says which package brings it, and begins nothing", { skip }, async (t) => {
  const folder = t.testdir();
  for (const tool of ["ip", "ping"])
    symlinkSync(execFileSync("which", [tool], { encoding: "utf8" }).trim(), `${folder}/${tool}`);
  withPath(t, folder);
  const name = freshName(t);
  await t.rejects(up(specOf(name, { etcdMembers: 1 })), {
    code: "TOOL_MISSING",
    message: "etcd is not installed; install: apt-get install etcd-server",
  });
  t.same(leftOvers(name), []);
});

t.test("store options of lab up that contradict each other are refused", { skip: skipCli }, async (t) => {
  const refusals: readonly [options: string[], sentence: RegExp][] = [
    [["--store", "file", "--etcd-members", "3"], /--etcd-members 3 needs --store etcd; leave one of them away/],
    [["--etcd-members", "2"], /--etcd-members 2 is not accepted; give 1 or 3/],
    [["--etcd-members", "0"], /--etcd-members 0 is not accepted; give 1 or 3/],
    [["--store", "zk"], /'zk' is invalid\. Allowed choices are file, etcd/],
  ];
  for (const [options, sentence] of refusals) {
    const name = freshName(t);
    const { status, stderr } = spawnSync(process.execPath, [CLI, "lab", "up", "--name", name, ...options], {
      encoding: "utf8",
    });
    t.equal(status, 2);
    t.match(stderr, sentence);
    t.same(leftOvers(name), []);
  }
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

t.test("the demo tells its story within 100 columns and leaves nothing", { skip: skipCli }, async (t) => {
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
});

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
  const fails = (probe: string): boolean =>
    spawnSync("sh", ["-c", `${AS_NOBODY} sh -c '${probe}'`], { stdio: "ignore" }).status !== 0;
  if (fails("true")) return "this process may not become another user";
  if (fails(`test -r ${CLI}`)) return "other users may not read this clone";
  return fails("unshare --user --map-current-user --keep-caps --net true")
    ? "ordinary users may not make user namespaces here"
    : false;
}

/** The lab's etcd is looked at by a script of the build. */
function whyNoEtcd(): string | false {
  const { status } = spawnSync("sh", ["-c", "command -v etcd"], { stdio: "ignore" });
  if (status !== 0) return "needs etcd: apt-get install etcd-server";
  return existsSync(CLI) ? false : "needs the build: npm run build";
}

/** PATH of the programs that the lab starts, until the test ends. */
function withPath(t: { teardown(work: () => void): void }, path: string): void {
  const before = process.env.PATH;
  t.teardown(() => {
    process.env.PATH = before;
  });
  process.env.PATH = path;
}

/** What a script prints in the first host. */
async function inHost({ hosts: [host] }: LabReport, script: string): Promise<string> {
  const argv = ["netns", "exec", host?.netns ?? "", process.execPath, "--input-type=module", "-e", script];
  return (await ended(spawn("ip", argv, { stdio: ["ignore", "pipe", "pipe"] }))).stdout;
}

/** Local ends of the sockets of the root namespace that listen on etcd's ports, 2379 and 2380. */
function listeners(): string[] {
  const tables = ["tcp", "tcp6"].map((name) => readFileSync(`/proc/net/${name}`, "utf8"));
  return tables.flatMap((table) =>
    [...table.matchAll(/ ([0-9A-F]+:094[BC]) [0-9A-F:]+ 0A /g)].map(([, local]) => local ?? ""),
  );
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
