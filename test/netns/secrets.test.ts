// Whoever looks at a daemon finds no secret: not in its log, its status, its metrics and page, in what a process shows of itself, in the files
// that it writes, nor in its last words. Each secret is where it came from, and the BGP password in the two files of hopsackd's that need it,
// for root alone.
//
//   [a 192.168.50.10] ──┐
//   [b 192.168.50.11] ──┼── br0 192.168.50.1: etcd with TLS, client certificates, users
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import t, { type Test } from "tap";
import { certificates } from "../support/certificates.js";
import { EtcdCluster } from "../support/etcd.js";
import { makeHosts, PREFIX } from "../support/etcd-daemons.js";
import { Daemon, filesIn, type Host, TOOL, UNHOOKED, withDaemons } from "../support/hopsackd.js";
import { until, whyNoOtherUsers } from "../support/netns.js";
import { Place } from "../support/place.js";
import { Trials } from "../support/trials.js";

const ETCD_PASSWORD = "etcd-sesame-4711";
const BGP_PASSWORD = "bgp-sesame-0815";
const CONFIG = JSON.stringify({
  Network: "10.0.0.0/8",
  SubnetLen: 24,
  Backend: { Type: "bgp", Password: BGP_PASSWORD },
});
const PAGE_PORT = 9285;
const NOBODY = 65_534;
const FILES_WITH_BGP_PASSWORD = ["hopsackd-bird.conf", "known-leases.json"];

withDaemons(t, import.meta.url, async () => {
  const { a, b } = await makeHosts();
  const trials = new Trials(import.meta.url, "Secrets");
  const file = certificates("IP:192.168.50.1");
  Object.assign(process.env, {
    ETCDCTL_CACERT: file("ca.pem"),
    ETCDCTL_CERT: file("client.pem"),
    ETCDCTL_KEY: file("client.key"),
  });
  const server = ["--cert-file", file("server.pem"), "--key-file", file("server.key")];
  const clients = ["--client-cert-auth", "--trusted-ca-file", file("ca.pem")];
  const cluster = await EtcdCluster.start({ address: "192.168.50.1", scheme: "https", args: [...server, ...clients] });
  t.teardown(() => cluster.killAll());
  cluster.put(`${PREFIX}/config`, CONFIG);
  for (const command of [`user add root:${ETCD_PASSWORD}`, "user grant-role root root", "auth enable"])
    cluster.etcdctl(command);

  const tls = ["--etcd-cafile", file("ca.pem"), "--etcd-certfile", file("client.pem")];
  const storeFlags = ["--etcd-endpoints", cluster.endpoints.join(","), ...tls, "--etcd-username", "root"];
  const keyFlags = ["--etcd-keyfile", file("client.key")];
  /** One line of the key's own letters. */
  const keyText = readFileSync(file("client.key"), "utf8").split("\n")[5] ?? "";
  const secrets = [ETCD_PASSWORD, BGP_PASSWORD, keyText];
  const shows = (text: string): string[] => secrets.filter((secret) => text.includes(secret));

  const inHost = (host: Host, ...words: readonly string[]): string => {
    const { stdout, stderr } = spawnSync("ip", ["netns", "exec", host.name, ...words], { encoding: "utf8" });
    return stdout + stderr;
  };
  const tool = (host: Host, ...words: readonly string[]): string =>
    inHost(host, ...UNHOOKED, process.execPath, TOOL, ...words);

  /** All that a daemon says of itself, by where it says so. */
  const givenOut = (place: Place, daemon: Daemon, host: Host): Record<string, string> => {
    const socket = place.socket(host);
    const page = (path: string) => inHost(host, "curl", "-sS", "-m", "1", `http://${host.address}:${PAGE_PORT}${path}`);
    return {
      log: JSON.stringify(daemon.lines),
      status: tool(host, "status", "--socket", socket),
      "status --json": tool(host, "status", "--json", "--socket", socket),
      doctor: tool(host, "doctor", "--socket", socket),
      "node status": tool(host, "node", "status", "--socket", socket),
      metrics: page("/metrics"),
      page: page("/"),
      "the page's feed": page("/events"),
      "the command line": readFileSync(`/proc/${place.status(host).pid}/cmdline`, "utf8"),
    };
  };
  const showsNothing = (t: Test, texts: Record<string, string>): void => {
    for (const [where, text] of Object.entries(texts)) {
      t.not(text.trim(), "", `${where}: says something`);
      t.strictSame(shows(text), [], `${where}: no secret`);
    }
  };

  t.test("a host that is well, and one that is in trouble", async (t) => {
    const place = new Place(t, "{}", storeFlags);
    const passwordFile = join(place.folder, "password");
    writeFileSync(passwordFile, `${ETCD_PASSWORD}\n`, { mode: 0o600 });
    const flags = [...keyFlags, "--etcd-password-file", passwordFile, "--log-level", "trace"];
    const daemons = [a, b].map((host) => place.start(t, host, ...flags, "--metrics-address", `${PAGE_PORT}`));
    for (const daemon of daemons) await daemon.logged("ready");
    await until("BGP sessions stand", () => place.status(a).bgp?.sessions[0]?.state === "up", 15_000);
    const [onA] = daemons as [Daemon, Daemon];
    showsNothing(t, givenOut(place, onA, a));

    const files = filesIn(place.folder).filter((path) => path !== passwordFile && statSync(path).isFile());
    t.ok(files.length > 4, files.join(" "));
    const holders = files.filter((path) => shows(readFileSync(path, "latin1")).length > 0);
    t.strictSame([...new Set(holders.map((path) => basename(path)))].sort(), FILES_WITH_BGP_PASSWORD);
    for (const path of holders) {
      t.equal(statSync(path).mode & 0o777, 0o600, `${basename(path)}: for root alone`);
      t.strictSame(shows(readFileSync(path, "latin1")), [BGP_PASSWORD], `${basename(path)}: what it needs`);
    }
    trials.row({
      tried: "etcd's password, the BGP password and a TLS key, looked for in all that a running daemon gives out",
      happened:
        "in none of log (`trace`), status, doctor, metrics, page and command line; the BGP password in BIRD's configuration and the kept leases, 0600",
    });

    await cluster.killAll();
    await onA.logged("trouble");
    daemons[1]?.kill("SIGKILL");
    showsNothing(t, givenOut(place, onA, a));
    await cluster.startAll();
    await onA.logged("trouble_over");
    const { stderr } = await onA.stop();
    t.strictSame(shows(stderr + JSON.stringify(onA.lines)), []);
    trials.row({
      tried: "the same while etcd is away and the peer was killed, and at the stop",
      happened: "in none of them, nor in what is said about it",
    });
  });

  t.test("a password on the command line, and in the environment", async (t) => {
    const place = new Place(t, "{}", storeFlags);
    const typed = place.start(t, a, ...keyFlags, "--etcd-password", ETCD_PASSWORD);
    await typed.logged("ready");
    const ps = inHost(a, "ps", "-ww", "-eo", "args");
    t.match(ps, "--etcd-password ***");
    showsNothing(t, { ps });
    await typed.stop();

    const wrapper = ["/usr/bin/env", `HOPSACKD_ETCD_PASSWORD=${ETCD_PASSWORD}`];
    const told = new Daemon(a, place.flags(a, ...keyFlags), wrapper);
    t.teardown(() => told.stop());
    await told.logged("ready");
    const { pid, bgp } = place.status(a);
    t.match(readFileSync(`/proc/${pid}/environ`, "utf8"), ETCD_PASSWORD, "it came from there");
    t.strictSame(shows(readFileSync(`/proc/${bgp?.pid}/environ`, "utf8")), [], "and is not passed on to BIRD");
    const others = whyNoOtherUsers();
    if (others !== false) {
      t.pass("as another user", { skip: others });
      return;
    }
    for (const path of [
      `/proc/${pid}/environ`,
      ...FILES_WITH_BGP_PASSWORD.map((name) => join(place.folder, "a", name)),
    ]) {
      const asNobody = inHost(a, "setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", "cat", path);
      t.match(asNobody, "Permission denied", `${path}: another user reads nothing`);
    }
    trials.row({
      tried: "the password given on the command line, and by the environment",
      happened: "`ps` shows `***`; no other user reads the environment, and BIRD does not get it",
    });
  });

  t.test("last words: a wrong password, a key that is none, a configuration that cannot be used", async (t) => {
    const place = new Place(t, "{}", storeFlags);
    const brokenKey = join(place.folder, "broken.key");
    writeFileSync(brokenKey, readFileSync(file("client.key"), "utf8").replace("BEGIN", "BEGUN"));
    chmodSync(brokenKey, 0o600);
    const wrong = `${ETCD_PASSWORD}-wrong`;
    const starts: readonly (readonly [string, readonly string[]])[] = [
      ["a wrong password", [...keyFlags, "--etcd-password", wrong]],
      ["a key that is none", ["--etcd-keyfile", brokenKey, "--etcd-password", ETCD_PASSWORD]],
      ["a flag misspelt", [...keyFlags, `--etcd-pasword=${ETCD_PASSWORD}`]],
      [
        "a password that is taken for a flag's value",
        [...keyFlags, "--etcd-password", ETCD_PASSWORD, "--engine", "none"],
      ],
    ];
    for (const [what, flags] of starts) {
      const daemon = new Daemon(a, place.flags(a, ...flags));
      t.teardown(() => daemon.stop());
      const { status, stderr } = await daemon.ended;
      t.not(status, 0, what);
      t.not(stderr, "", `${what}: says why`);
      t.comment(stderr);
      t.strictSame(shows(stderr + JSON.stringify(daemon.lines)), [], `${what}: and not the secret`);
    }
    trials.row({
      tried: "a start with a wrong password, a key that is none, a misspelt flag",
      happened: "ends with one sentence, without the password or a line of the key",
    });
  });

  t.test("last words: an exception that nobody catches", async (t) => {
    const place = new Place(t, "{}", storeFlags);
    const daemon = place.start(t, a, ...keyFlags, "--etcd-password", ETCD_PASSWORD);
    await daemon.logged("ready");
    // Thrown from inside by Node.js's own debugger, since no input is known that would.
    const debug = ["netns", "exec", a.name, ...UNHOOKED, process.execPath, "inspect", "-p", `${daemon.pid}`];
    const inspector = spawn("ip", debug, { stdio: ["pipe", "pipe", "ignore"] });
    t.teardown(() => inspector.kill("SIGKILL"));
    let said = "";
    inspector.stdout.on("data", (chunk) => (said += chunk));
    const asks = (times: number) => until("the debugger asks", () => said.split("debug> ").length > times);
    await asks(1);
    inspector.stdin.write("exec setTimeout(() => { throw new Error('nobody catches this'); }, 0)\n");
    await asks(2);
    inspector.kill("SIGKILL"); // the daemon waits for it to go
    const { status, stderr } = await daemon.ended;
    t.not(status, 0);
    t.match(stderr, "nobody catches this");
    t.strictSame(shows(stderr + JSON.stringify(daemon.lines)), [], "no secret");
    trials.row({
      tried: "an exception that nobody catches",
      happened: "Node.js prints where it was thrown, and nothing of what the process knew",
    });
  });
});
