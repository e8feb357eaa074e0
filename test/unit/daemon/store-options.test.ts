// daemon/store-options: which store is meant, the etcd flags in company, and passwords that nobody gets to see.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import t from "tap";
import { commandOption, variableOf } from "../../../src/daemon/flags.js";
import {
  readStoreOptions,
  STORE_FLAGS,
  type StoreOptions,
  titleWithoutPassword,
} from "../../../src/daemon/store-options.js";
import { messageOf } from "../../../src/errors.js";

const CLI = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));
const SECRET = "s3cr3t=,'\" word";

function read(flags: Readonly<Record<string, string>>, env: NodeJS.ProcessEnv = {}): StoreOptions {
  const command = new Command().exitOverride();
  for (const flag of STORE_FLAGS) command.addOption(commandOption(flag));
  command.parse(
    Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]),
    { from: "user" },
  );
  return readStoreOptions(command.opts(), env);
}

function refusal(flags: Readonly<Record<string, string>>, env: NodeJS.ProcessEnv = {}): string {
  try {
    read(flags, env);
  } catch (error) {
    return messageOf(error);
  }
  return "accepted";
}

t.test("without a flag the store is the folder of this machine", async (t) => {
  t.same(read({}), { store: "file:/var/lib/hopsack", etcd: null });
  t.same(read({ store: "static:/etc/lab.json" }), { store: "static:/etc/lab.json", etcd: null });
});

t.test("any etcd option means etcd, as flannel's users expect", async (t) => {
  t.match(read({ "etcd-endpoints": "10.0.0.1:2379" }), {
    store: "etcd",
    etcd: { endpoints: ["http://10.0.0.1:2379"] },
  });
  t.match(read({ store: "etcd" }), {
    store: "etcd",
    etcd: { endpoints: ["http://127.0.0.1:2379"], prefix: "/coreos.com/network" },
  });
  t.match(read({ "etcd-prefix": "/lab/" }), { store: "etcd", etcd: { prefix: "/lab" } });
  t.match(read({}, { HOPSACKD_ETCD_ENDPOINTS: "http://a, http://b" }), {
    store: "etcd",
    etcd: { endpoints: ["http://a:2379", "http://b:2379"] },
  });
});

t.test("every etcd option arrives, by flag and by variable", async (t) => {
  const flags = {
    "etcd-endpoints": "https://a:2379",
    "etcd-prefix": "/lab",
    "etcd-cafile": "/tls/ca.pem",
    "etcd-certfile": "/tls/cert.pem",
    "etcd-keyfile": "/tls/key.pem",
    "etcd-username": "hopsack",
    "etcd-password-file": "/tls/password",
  };
  const etcd = {
    endpoints: ["https://a:2379"],
    prefix: "/lab",
    caFile: "/tls/ca.pem",
    certFile: "/tls/cert.pem",
    keyFile: "/tls/key.pem",
    username: "hopsack",
    password: null,
    passwordFile: "/tls/password",
  };
  const variables = Object.fromEntries(Object.entries(flags).map(([name, value]) => [variableOf(name), value]));
  t.same(read(flags), { store: "etcd", etcd });
  t.same(read({}, variables), { store: "etcd", etcd });
  t.equal(read({ "etcd-username": "u", "etcd-password": SECRET }).etcd?.password, SECRET);
  t.equal(read({ "etcd-username": "u" }, { HOPSACKD_ETCD_PASSWORD: SECRET }).etcd?.password, SECRET);
});

t.test("another store together with an etcd option is refused, and both are named", async (t) => {
  t.equal(
    refusal({ store: "file:/srv", "etcd-endpoints": "http://a" }),
    "--store file:/srv is another store than the etcd of --etcd-endpoints; give one of them",
  );
  t.equal(
    refusal({ "etcd-password": SECRET }, { HOPSACKD_STORE: "static:/x" }),
    "HOPSACKD_STORE static:/x is another store than the etcd of --etcd-password; give one of them",
  );
  t.equal(
    refusal({ store: "file:/srv" }, { HOPSACKD_ETCD_CAFILE: "/x" }),
    "--store file:/srv is another store than the etcd of HOPSACKD_ETCD_CAFILE; give one of them",
  );
});

t.test("a refusal never shows a password", async (t) => {
  const attempts: Readonly<Record<string, string>>[] = [
    { "etcd-password": SECRET },
    { "etcd-password": SECRET, "etcd-username": "u", "etcd-password-file": "/x" },
    { "etcd-password": SECRET, "etcd-username": "u", "etcd-endpoints": "ftp://a" },
    { "etcd-password": SECRET, store: "file:/srv" },
    { "etcd-endpoints": `http://u:${SECRET}@a:2379` },
  ];
  for (const attempt of attempts) {
    const sentence = refusal(attempt);
    t.not(sentence, "accepted");
    t.notOk(sentence.includes("s3cr3t"), sentence);
  }
});

t.test("the title of a process is its command line without the password", async (t) => {
  const masked = (...argv: string[]): string | null => titleWithoutPassword(["node", "hopsackd", ...argv]);
  t.equal(masked("--etcd-password", SECRET, "--naive"), "node hopsackd --etcd-password *** --naive");
  t.equal(masked(`--etcd-password=${SECRET}\n!`), "node hopsackd --etcd-password=***");
  t.equal(masked(`-etcd-password=${SECRET}`), "node hopsackd -etcd-password=***");
  t.equal(masked("--etcd-password-file", "/x", "--etcd-username=u"), null, "nothing to hide");
});

const skip = existsSync(CLI) ? false : "needs the build: npm run build";
t.test("what other users see of a running command holds no password", { skip }, async (t) => {
  const fifo = `${t.testdir()}/config`;
  execFileSync("mkfifo", [fifo]);
  const args = [CLI, "leases", "set-config", fifo, "--etcd-username", "u", "--etcd-password", SECRET];
  const child = spawn(process.execPath, args, { stdio: "ignore" });
  t.teardown(() => child.kill("SIGKILL"));
  await once(child, "spawn");
  const title = (): string => readFileSync(`/proc/${child.pid}/cmdline`, "utf8");
  const deadline = performance.now() + 10_000;
  while (!title().includes("--etcd-password ***") && performance.now() < deadline) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.match(title(), "--etcd-password ***");
  t.notOk(title().includes("s3cr3t"));
});
