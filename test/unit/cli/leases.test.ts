// `hopsack leases` as a person runs it: the built command on a lease folder.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { leaseKey, type TimedLease } from "../../../src/lease/lease.js";
import { formatLeaseFile } from "../../../src/lease/lease-json.js";
import { lease } from "../../support/daemon-fixtures.js";

const CLI = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));
const skip = existsSync(CLI) ? false : "needs the build: npm run build";
const { NODE_OPTIONS: _, ...ENV } = process.env; // what the test runner loads is not for the command

/** An hour from now; the commands go by the real clock. */
const SOON = Date.now() + 3_600_000;

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A lease folder, and the commands on it. */
class Folder {
  readonly path: string;

  constructor(path: string, leases: readonly TimedLease[], config: unknown = { Network: "10.244.0.0/16" }) {
    this.path = path;
    mkdirSync(`${path}/subnets`);
    for (const one of leases) writeFileSync(`${path}/subnets/${leaseKey(one)}.json`, formatLeaseFile(one));
    if (config !== null) writeFileSync(`${path}/config.json`, JSON.stringify(config));
  }

  run(command: string, input = ""): Outcome {
    const argv = [CLI, "leases", ...command.split(" "), "--store", `file:${this.path}`];
    return spawnSync(process.execPath, argv, { input, encoding: "utf8", env: ENV });
  }

  keys(): string[] {
    return readdirSync(`${this.path}/subnets`)
      .map((name) => name.replace(".json", ""))
      .sort();
  }

  config(): unknown {
    return JSON.parse(readFileSync(`${this.path}/config.json`, "utf8"));
  }
}

const A = lease("10.244.1.0/24", "192.168.50.10", "host-a", { expiresAt: SOON });
const B = lease("10.244.2.0/24", "192.168.50.11", null);

t.test("list and show say the same to people and to programs", { skip }, async (t) => {
  const folder = new Folder(t.testdir(), [B, A]);
  t.match(folder.run("list"), {
    status: 0,
    stdout: /^2 leases in file:.*\n.*\n {2}10\.244\.1\.0\/24 .* 59 min \d+ s\n {2}10\.244\.2\.0\/24 .* reserved\n$/,
    stderr: "",
  });
  const listed = JSON.parse(folder.run("list --json").stdout);
  t.match(listed, { store: `file:${folder.path}`, leases: [{ key: "10.244.1.0-24" }, { key: "10.244.2.0-24" }] });
  for (const name of ["10.244.1.0-24", "10.244.1.0/24", "192.168.50.10"]) {
    t.match(folder.run(`show ${name}`).stdout, /^10\.244\.1\.0-24\n/, name);
    t.same(JSON.parse(folder.run(`show --json ${name}`).stdout), listed.leases[0], name);
  }
});

t.test("a store without leases says so, and looking makes nothing", { skip }, async (t) => {
  const path = `${t.testdir()}/none`;
  const argv = [CLI, "leases", "list"];
  const look = (env: NodeJS.ProcessEnv): Outcome =>
    spawnSync(process.execPath, argv, { encoding: "utf8", env: { ...ENV, ...env } });
  t.match(look({ HOPSACKD_STORE: `file:${path}` }), { status: 0, stdout: `no leases in file:${path}\n` });
  t.notOk(existsSync(path));
});

t.test("a damaged entry is told on standard error, and what is good is shown", { skip }, async (t) => {
  const folder = new Folder(t.testdir(), [A]);
  writeFileSync(`${folder.path}/subnets/10.244.7.0-24.json`, "{");
  const { stdout, stderr } = folder.run("list --json");
  t.equal(JSON.parse(stdout).leases.length, 1);
  t.match(stderr, /^! .*10\.244\.7\.0-24\.json is not valid JSON .*repair or remove it\n$/);
  t.match(folder.run("release 10.244.7.0/24"), { status: 0, stdout: "removed the unreadable entry 10.244.7.0-24\n" });
  t.same(folder.keys(), ["10.244.1.0-24"]);
});

t.test("reserve keeps a subnet, makes a lease permanent, and tells a host that has another", { skip }, async (t) => {
  const folder = new Folder(t.testdir(), [A]);
  t.match(folder.run("reserve 10.244.9.0/24 --public-ip 192.168.50.19"), {
    status: 0,
    stdout: /^10\.244\.9\.0\/24 is reserved for 192\.168\.50\.19\n$/,
  });
  t.equal(
    folder.run("reserve 10.244.8.0/24 --public-ip 192.168.50.10").stdout,
    "10.244.8.0/24 is reserved for 192.168.50.10\n" +
      "host-a (192.168.50.10) holds 10.244.1.0/24 now; it moves when its hopsackd starts again\n",
  );
  t.match(folder.run("show 192.168.50.10"), {
    status: 2,
    stderr: /means 2 leases of .*: 10\.244\.1\.0-24, 10\.244\.8/,
  });
  folder.run("release 10.244.8.0-24");
  t.equal(
    folder.run("reserve 10.244.1.0/24 --public-ip 192.168.50.10").stdout,
    "10.244.1.0/24 is reserved for 192.168.50.10, which holds it already\n",
  );
  t.match(JSON.parse(folder.run("show --json 192.168.50.10").stdout), { node: "host-a", expiresAt: null });
  t.same(folder.keys(), ["10.244.1.0-24", "10.244.9.0-24"]);
});

t.test("what cannot be reserved is refused in one sentence and changes nothing", { skip }, async (t) => {
  const folder = new Folder(t.testdir(), [A]);
  const refusals: readonly [command: string, status: number, sentence: RegExp][] = [
    [
      "reserve 10.244.1.0/24 --public-ip 192.168.50.99",
      1,
      /belongs to host-a \(192\.168\.50\.10\); .*\[SUBNET_TAKEN\]/,
    ],
    [
      "reserve 10.9.1.0/24 --public-ip 192.168.50.99",
      2,
      /does not lease 10\.9\.1\.0\/24; it leases \/24 from 10\.244\.1/,
    ],
    ["reserve 10.244.1.0/25 --public-ip 192.168.50.99", 2, /does not lease 10\.244\.1\.0\/25/],
    ["reserve 10.244.1.1/24 --public-ip 192.168.50.99", 2, /10\.244\.1\.1\/24 is not accepted; give an IPv4 subnet/],
    [
      "reserve 10.244.9.0/24 --public-ip 127.0.0.1",
      2,
      /--public-ip 127\.0\.0\.1 is not accepted; give an IPv4 address/,
    ],
    ["reserve 10.244.9.0/24 --public-ip 192.168.50.9 --ipv6 10.0.0.0/8", 2, /--ipv6 10\.0\.0\.0\/8 is not accepted/],
    ["reserve 10.244.9.0/24 --public-ip 192.168.50.9 --ipv6 fd00::/64", 2, /does not lease 10\.244\.9\.0\/24 and fd00/],
    ["reserve 10.244.9.0/24", 2, /'--public-ip <IP>' not specified/],
  ];
  for (const [command, status, sentence] of refusals) {
    t.match(folder.run(command), { status, stdout: "", stderr: sentence }, command);
  }
  t.same(folder.keys(), ["10.244.1.0-24"]);
});

t.test("a dual-stack network reserves pairs", { skip }, async (t) => {
  const dual = { Network: "10.244.0.0/16", EnableIPv6: true, IPv6Network: "fd00:244::/48" };
  const folder = new Folder(t.testdir(), [], dual);
  const alone = folder.run("reserve 10.244.1.0/24 --public-ip 192.168.50.10");
  t.match(alone.stderr, /with --ipv6 \/64 from fd00:244:0:1::\/64 to fd00:244:0:ffff::\/64/);
  t.equal(folder.run("reserve 10.244.1.0/24 --ipv6 FD00:244:0:1::/64 --public-ip 192.168.50.10").status, 0);
  t.same(folder.keys(), ["10.244.1.0-24&fd00:244:0:1::-64"]);
  for (const name of ["10.244.1.0/24", "FD00:244:0:1::/64", "10.244.1.0-24&fd00:244:0:1::-64"]) {
    t.equal(folder.run(`show ${name}`).status, 0, name);
  }
});

t.test("release says what it removed; what is not there is one sentence", { skip }, async (t) => {
  const folder = new Folder(t.testdir(), [A, B]);
  t.match(folder.run("release 192.168.50.10"), {
    status: 0,
    stdout: "removed the lease of 10.244.1.0/24 from host-a (192.168.50.10)\n",
  });
  t.match(folder.run("release 10.244.2.0/24"), {
    status: 0,
    stdout: "removed the reservation of 10.244.2.0/24 from 192.168.50.11\n",
  });
  t.same(folder.keys(), []);
  for (const name of ["192.168.50.10", "10.244.1.0-24", "10.244.1.0/24", "fd00::/64"]) {
    const stderr = `hopsack: file:${folder.path} holds no lease ${name}; hopsack leases list shows those there are [NO_SUCH_LEASE]\n`;
    t.match(folder.run(`release ${name}`), { status: 1, stdout: "", stderr }, name);
    t.match(folder.run(`show ${name}`), { status: 1, stdout: "", stderr }, name);
  }
  t.match(folder.run("show host-a"), { status: 2, stderr: /"host-a" names no lease; give a key such as/ });
});

t.test("set-config writes what is valid, from a file or standard input, and says what changes", { skip }, async (t) => {
  const folder = new Folder(t.testdir(), [], null);
  t.match(folder.run("config"), { status: 1, stderr: /there is no network configuration .*\[BAD_CONFIG\]/ });
  t.match(folder.run("set-config -", '{"Network": "10.7.0.0/16"}'), { status: 0, stdout: /is set:\n\nnetwork +10\.7/ });
  const file = `${folder.path}/new.json`;
  writeFileSync(file, '{"Network": "10.8.0.0/16"}');
  t.match(folder.run(`set-config ${file}`).stdout, /is changed:\n\nnetwork +10\.7\.0\.0\/16 → 10\.8\.0\.0\/16\n/);
  t.same(folder.config(), { Network: "10.8.0.0/16" });
  t.match(
    folder.run("config").stdout,
    /^network +10\.8\.0\.0\/16\nsubnets +\/24 from 10\.8\.1\.0\/24 to .*\nmode +udp\n$/,
  );
  t.match(folder.run("set-config -", "{"), { status: 1, stderr: /standard input is not valid JSON .*\[BAD_CONFIG\]/ });
  t.match(folder.run("set-config /nowhere"), { status: 2, stderr: /\/nowhere cannot be read \(ENOENT/ });
  t.same(folder.config(), { Network: "10.8.0.0/16" }, "and what is refused changes nothing");
});

t.test("a network that live leases fall out of is refused, naming them, unless it is forced", { skip }, async (t) => {
  const gone = lease("10.9.9.0/24", "192.168.50.99", "gone", { expiresAt: Date.now() - 1000 });
  const folder = new Folder(t.testdir(), [A, B, gone]);
  const refused = folder.run("set-config -", '{"Network": "10.244.2.0/23", "SubnetLen": 25}');
  const named = "10.244.1.0/24 of host-a (192.168.50.10), 10.244.2.0/24 of 192.168.50.11";
  t.match(refused, { status: 1, stdout: "" });
  t.equal(
    refused.stderr,
    `hopsack: 2 live leases would not fit the new network: ${named}; release them first, or give --force to move their hosts [LEASES_ORPHANED]\n`,
  );
  t.same(folder.config(), { Network: "10.244.0.0/16" });
  const one = folder.run("set-config -", '{"Network": "10.244.0.0/16", "SubnetMin": "10.244.2.0"}');
  t.match(one.stderr, /^hopsack: 1 live lease would not fit .* release it first, or give --force to move its host/);
  const forced = folder.run("set-config - --force", '{"Network": "10.9.0.0/16"}');
  t.match(forced, {
    status: 0,
    stdout: new RegExp(
      `\n2 live leases no longer fit: ${named.replace(/[().]/g, "\\$&")}; hosts that run take other subnets\n$`,
    ),
  });
  t.same(folder.config(), { Network: "10.9.0.0/16" });
  t.same(folder.keys().length, 3, "the leases stay");
});

t.test("a static list can be looked at and not changed", { skip }, async (t) => {
  const path = `${t.testdir()}/lab.json`;
  const host = { Node: "h1", PublicIP: "192.168.50.10", Subnet: "10.244.1.0/24" };
  const text = JSON.stringify({ Network: "10.244.0.0/16", Hosts: [host] });
  writeFileSync(path, text);
  const run = (...words: string[]): Outcome =>
    spawnSync(process.execPath, [CLI, "leases", ...words, "--store", `static:${path}`], {
      input: '{"Network": "10.244.0.0/15"}',
      encoding: "utf8",
      env: ENV,
    });
  t.match(run("list").stdout, /10\.244\.1\.0\/24 +192\.168\.50\.10 .* reserved\n$/);
  const changes = [
    ["release", "10.244.1.0/24"],
    ["reserve", "10.244.2.0/24", "--public-ip=192.168.50.11"],
    ["set-config", "-"],
  ];
  for (const words of changes) t.match(run(...words), { status: 2, stderr: /is edited by hand; .* with an editor/ });
  t.equal(readFileSync(path, "utf8"), text);
});
