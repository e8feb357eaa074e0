// What a user reads when etcd cannot be used: wrong address, TLS, passwords, permissions, configuration. Real servers, real
// certificates (openssl), real users.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { HopsackError } from "../../src/errors.js";
import { EtcdLeaseStore } from "../../src/store/etcd.js";
import type { EtcdSettings } from "../../src/store/etcd-settings.js";
import { certificates } from "../support/certificates.js";
import { EtcdCluster } from "../support/etcd.js";
import { inOwnNamespace } from "../support/netns.js";

const CLI = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const PREFIX = "/coreos.com/network";
const CONFIG = '{"Network":"10.244.0.0/16"}';
type Tap = Parameters<Parameters<typeof t.test>[0]>[0];

function open(t: Tap, settings: EtcdSettings): EtcdLeaseStore {
  const store = new EtcdLeaseStore({ settings, leaseTtlSeconds: 3600, netConfigPath: null });
  t.teardown(() => store.close());
  return store;
}

/** What readConfig() says. */
async function refusal(t: Tap, settings: EtcdSettings): Promise<HopsackError> {
  try {
    await open(t, settings).readConfig();
  } catch (error) {
    if (error instanceof HopsackError) return error;
    throw error;
  }
  throw new Error("etcd refused nothing");
}

function isRefused(t: Tap, error: HopsackError, retryable: boolean, sentence: RegExp): void {
  t.equal(error.code, "STORE_UNAVAILABLE");
  t.equal(error.retryable, retryable, "retryable");
  t.match(error.message, sentence);
  t.notMatch(error.message, /\n|\[object|undefined/);
}

inOwnNamespace(t, import.meta.url, () => {
  t.test("nobody listens", async (t) => {
    const settings = (await EtcdCluster.start().then((cluster) => cluster.killAll().then(() => cluster))).settings();
    const sentence =
      /^no etcd answers at http:\/\/127\.0\.0\.1:\d+ \(.*ECONNREFUSED.*\); start it, or correct --etcd-endpoints/;
    isRefused(t, await refusal(t, settings), true, sentence);
    const several = { ...settings, endpoints: [...settings.endpoints, "http://127.0.0.1:9"] };
    isRefused(t, await refusal(t, several), true, /http:\/\/127\.0\.0\.1:\d+, http:\/\/127\.0\.0\.1:9 \(/);
    const name = { ...settings, endpoints: ["http://no-such-host.invalid:2379"] };
    isRefused(t, await refusal(t, name), true, /no-such-host\.invalid/);
  });

  t.test("TLS: every way to get it wrong, and the right one", async (t) => {
    const file = certificates();
    const server = ["--cert-file", file("server.pem"), "--key-file", file("server.key")];
    const secure = await EtcdCluster.start({ scheme: "https", args: server });
    t.teardown(() => secure.killAll());
    const trusted = { caFile: file("ca.pem") };
    const missing = await refusal(t, secure.settings(trusted));
    t.equal(missing.code, "BAD_CONFIG", "it is reached, and holds no configuration");
    const etcd = ["--etcd-endpoints", secure.endpoints.join(","), "--etcd-cafile", trusted.caFile];
    const listed = spawnSync(process.execPath, [CLI, "leases", "list", ...etcd], { encoding: "utf8" });
    t.match(listed, { status: 0, stderr: "" }, "Node.js warns of nothing where the server's name is an address");

    isRefused(
      t,
      await refusal(t, secure.settings({ caFile: file("other-ca.pem") })),
      false,
      /not signed by .*other-ca\.pem; correct --etcd-cafile/,
    );
    isRefused(
      t,
      await refusal(t, secure.settings()),
      false,
      /not signed by an authority this system trusts; correct --etcd-cafile/,
    );
    const plain = secure.endpoints.map((endpoint) => endpoint.replace("https:", "http:"));
    isRefused(t, await refusal(t, secure.settings({ endpoints: plain })), true, /https:\/\/ if it speaks TLS/);
    const unencrypted = await EtcdCluster.start();
    t.teardown(() => unencrypted.killAll());
    const https = unencrypted.endpoints.map((endpoint) => endpoint.replace("http:", "https:"));
    isRefused(
      t,
      await refusal(t, unencrypted.settings({ endpoints: https, ...trusted })),
      true,
      /http:\/\/ if it speaks no TLS/,
    );

    const elsewhere = await EtcdCluster.start({
      scheme: "https",
      args: ["--cert-file", file("elsewhere.pem"), "--key-file", file("elsewhere.key")],
    });
    t.teardown(() => elsewhere.killAll());
    isRefused(t, await refusal(t, elsewhere.settings(trusted)), false, /certificate is for another name/);
    const endpoints = [...elsewhere.endpoints, ...secure.endpoints];
    const second = await refusal(t, secure.settings({ endpoints, ...trusted }));
    t.equal(second.code, "BAD_CONFIG", "a bad certificate of one member keeps nobody from the next");
  });

  t.test("a server that wants client certificates", async (t) => {
    const file = certificates();
    const args = ["--cert-file", file("server.pem"), "--key-file", file("server.key"), "--client-cert-auth"];
    const strict = await EtcdCluster.start({ scheme: "https", args: [...args, "--trusted-ca-file", file("ca.pem")] });
    t.teardown(() => strict.killAll());
    const trusted = { caFile: file("ca.pem") };
    isRefused(
      t,
      await refusal(t, strict.settings(trusted)),
      false,
      /client certificate; give --etcd-certfile and --etcd-keyfile/,
    );
    const complete = { ...trusted, certFile: file("client.pem"), keyFile: file("client.key") };
    t.equal((await refusal(t, strict.settings(complete))).code, "BAD_CONFIG", "with one it is reached");
    t.throws(() => open(t, strict.settings({ ...complete, keyFile: "/nowhere" })), {
      code: "BAD_OPTION",
      message: /--etcd-keyfile \/nowhere cannot be read/,
    });
  });

  t.test("users, passwords and permissions", async (t) => {
    const cluster = await EtcdCluster.start();
    t.teardown(() => cluster.killAll());
    cluster.put(`${PREFIX}/config`, CONFIG);
    const login = { username: "lab", password: "hop" };
    t.ok(await open(t, cluster.settings(login)).readConfig(), "where nobody has to log in a password does no harm");

    for (const command of ["user add root:r", "user add lab:hop", "user add guest:g", "role add network"])
      cluster.etcdctl(command);
    cluster.etcdctl(`role grant-permission network --prefix=true readwrite ${PREFIX}/`);
    for (const command of ["user grant-role lab network", "user grant-role root root", "auth enable"])
      cluster.etcdctl(command);
    const store = open(t, cluster.settings(login));
    const config = await store.readConfig();
    t.ok(config, "the right user may");
    const attrs = { publicIp: "192.168.50.1", publicIpv6: null, backendType: "udp", node: "h1" };
    const lease = await store.acquire({
      config,
      attrs: { ...attrs, backendData: null, backendV6Data: null },
      previous: null,
    });

    isRefused(
      t,
      await refusal(t, cluster.settings()),
      false,
      /asks for a user; give --etcd-username and --etcd-password-file/,
    );
    const wrong = await refusal(t, cluster.settings({ ...login, password: "h0p" }));
    isRefused(t, wrong, false, /password of user lab is wrong or there is no such user/);
    t.notMatch(wrong.message, /h0p/, "a password is never shown");
    const guest = await refusal(t, cluster.settings({ username: "guest", password: "g" }));
    isRefused(
      t,
      guest,
      false,
      /user guest lacks permission for \/coreos\.com\/network; grant it with: etcdctl role grant-permission/,
    );

    await cluster.kill(0); // a server that was restarted knows no token of before
    await cluster.start(0);
    t.ok(await store.renew(lease), "the store logs in again");
    const iterator = store.watch(AbortSignal.timeout(60_000))[Symbol.asyncIterator]();
    t.equal((await iterator.next()).value.length, 1, "for the watch as well");
    await iterator.return?.();
  });

  t.test("authentication switched on, off and on again under a running host", async (t) => {
    const cluster = await EtcdCluster.start();
    t.teardown(() => cluster.killAll());
    cluster.put(`${PREFIX}/config`, CONFIG);
    const store = open(t, cluster.settings({ username: "root", password: "r" }));
    t.ok(await store.readConfig(), "before there are users");
    for (const command of ["user add root:r", "user grant-role root root", "auth enable"]) cluster.etcdctl(command);
    t.ok(await store.readConfig(), "it logs in from now on");
    cluster.etcdctl("--user root:r auth disable");
    t.ok(await store.readConfig());
    cluster.etcdctl("auth enable");
    const several = await Promise.all([store.readConfig(), store.list(), store.readConfig()]);
    t.equal(several.length, 3, "whichever call notices first");
  });

  t.test("signed tokens that a change of the users made stale", async (t) => {
    const folder = mkdtempSync("/run/token-");
    const openssl = (args: string) => execFileSync("openssl", args.split(" "), { cwd: folder, stdio: "pipe" });
    openssl("genrsa -out key.pem 2048");
    openssl("rsa -in key.pem -pubout -out key.pub");
    const token = `jwt,pub-key=${folder}/key.pub,priv-key=${folder}/key.pem,sign-method=RS256,ttl=10m`;
    const cluster = await EtcdCluster.start({ args: ["--auth-token", token] });
    t.teardown(() => cluster.killAll());
    cluster.put(`${PREFIX}/config`, CONFIG);
    for (const command of ["user add root:r", "user grant-role root root", "auth enable"]) cluster.etcdctl(command);
    const store = open(t, cluster.settings({ username: "root", password: "r" }));
    t.ok(await store.readConfig());
    cluster.etcdctl("--user root:r user add another:a");
    t.ok(await store.readConfig(), "the store logs in again");
  });

  t.test("a password file, its last newline apart", async (t) => {
    const cluster = await EtcdCluster.start();
    t.teardown(() => cluster.killAll());
    cluster.put(`${PREFIX}/config`, CONFIG);
    for (const command of ["user add root:p@ss", "user grant-role root root", "auth enable"]) cluster.etcdctl(command);
    const passwordFile = `${t.testdir({ secret: "p@ss\n" })}/secret`;
    t.ok(await open(t, cluster.settings({ username: "root", passwordFile })).readConfig());
    const nowhere = cluster.settings({ username: "root", passwordFile: "/nowhere" });
    t.throws(() => open(t, nowhere), { code: "BAD_OPTION", message: /--etcd-password-file \/nowhere cannot be read/ });
  });

  t.test("no configuration, and one that is none", async (t) => {
    const cluster = await EtcdCluster.start();
    t.teardown(() => cluster.killAll());
    const missing = await refusal(t, cluster.settings());
    t.match(missing, {
      code: "BAD_CONFIG",
      retryable: true,
      message: /etcd has no key \/coreos\.com\/network\/config; write/,
    });
    cluster.put(`${PREFIX}/config`, "{oops");
    const broken = await refusal(t, cluster.settings());
    t.match(broken, {
      code: "BAD_CONFIG",
      retryable: false,
      message: /etcd key \/coreos\.com\/network\/config is not valid JSON/,
    });
  });
});
