// `hopsack service install|uninstall` in a world with an /etc and a /run of its own. systemctl is a stand-in that writes down what
// it is told: no systemd runs here. systemd-analyze judges the unit.
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { UNHOOKED } from "../support/hopsackd.js";
import { inOwnNamespace, run, whyNoOtherUsers } from "../support/netns.js";

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));
/** Where a service can see it: a checkout below /root is out of its reach. */
const PACKAGE = "/media";
const UNIT = "/etc/systemd/system/hopsackd.service";
const SETTINGS = "/etc/hopsack/hopsackd.env";
const CONFLIST = "/etc/cni/net.d/10-hopsack.conflist";
const CNI_PLUGIN = "/opt/cni/bin/hopsack";
const CALLS = "/run/systemctl-calls";

interface Ending {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function service(
  words: string,
  { folder = PACKAGE, wrapper = [] }: { folder?: string; wrapper?: string[] } = {},
): Ending {
  const [command = "", ...argv] = [
    ...wrapper,
    ...UNHOOKED,
    process.execPath,
    join(folder, "dist/cli/main.js"),
    "service",
  ];
  const env = { PATH: `/run/bin:${process.env.PATH}` };
  return spawnSync(command, [...argv, ...words.split(" ")], { encoding: "utf8", env });
}

function calls(): string[] {
  const lines = existsSync(CALLS) ? readFileSync(CALLS, "utf8").trim().split("\n") : [];
  rmSync(CALLS, { force: true });
  return lines;
}

/** Everything below /etc, /run and /var/lib that a service could leave, and what it could add to /opt. */
function files(): string[] {
  const below = ["/etc", "/run", "/var/lib"].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
  );
  return [...below, ...readdirSync("/opt")];
}

function makeWorld(): void {
  run("mount -t tmpfs tmpfs /mnt");
  for (const folder of ["etc", "opt", "var/lib"]) {
    const upper = `/mnt/${folder}`;
    mkdirSync(`${upper}/work`, { recursive: true });
    mkdirSync(`${upper}/upper`);
    run(`mount -t overlay overlay -o lowerdir=/${folder},upperdir=${upper}/upper,workdir=${upper}/work /${folder}`);
  }
  run(`mount --bind ${CHECKOUT} ${PACKAGE}`);
  mkdirSync("/run/bin");
  writeFileSync("/run/bin/systemctl", `#!/bin/sh\necho "$*" >>${CALLS}\n`);
  chmodSync("/run/bin/systemctl", 0o755);
}

inOwnNamespace(t, import.meta.url, () => {
  const cli = join(CHECKOUT, "dist/cli/main.js");
  if (!existsSync(cli)) {
    t.fail(`${cli} is not there; build it with: npm run build`);
    return;
  }
  makeWorld();

  t.test("without systemd there is no service, and nothing is touched", async (t) => {
    const before = files();
    for (const word of ["install", "uninstall"]) {
      const { status, stderr } = service(word);
      t.equal(status, 1);
      t.match(stderr, /^hopsack: systemd does not run here, .*; start hopsackd by .* \[SERVICE_REFUSED\]\n$/);
    }
    t.strictSame(files(), before);
    mkdirSync("/run/systemd/system", { recursive: true });
  });

  t.test("who is not root is told so", { skip: whyNoOtherUsers() }, async (t) => {
    const wrapper = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    const { status, stderr } = service("install", { wrapper });
    t.equal(status, 1);
    t.match(stderr, /by root only; run it with sudo \[NOT_PERMITTED\]\n$/);
  });

  t.test("a program that the service could not see is refused", async (t) => {
    mkdirSync("/var/tmp/hopsack-service-test", { recursive: true });
    run(`mount --bind ${CHECKOUT} /var/tmp/hopsack-service-test`);
    t.teardown(() => {
      run("umount /var/tmp/hopsack-service-test");
      rmSync("/var/tmp/hopsack-service-test", { recursive: true });
    });
    const { status, stderr } = service("install", { folder: "/var/tmp/hopsack-service-test" });
    t.equal(status, 1);
    t.match(stderr, /^hopsack: \/var\/tmp\/.*hopsackd\.js is where .* \[SERVICE_REFUSED\]\n$/);
    t.notOk(existsSync(UNIT));
  });

  t.test("installed twice is as installed once, and uninstalled leaves nothing", async (t) => {
    const before = files();
    t.match(service("install"), { status: 0, stdout: "systemctl enable --now hopsackd", stderr: "" });
    const unit = readFileSync(UNIT, "utf8");
    t.match(unit, `\nExecStart=${process.execPath} ${PACKAGE}/dist/cli/hopsackd.js --keep-lease\n`);
    t.strictSame(calls(), ["daemon-reload"], "and nothing is started");
    const verdict = spawnSync("systemd-analyze", ["verify", "--man=no", UNIT], { encoding: "utf8" });
    if (verdict.error === undefined) t.equal(`${verdict.stdout}${verdict.stderr}`, "");
    rmSync("/run/systemd/systemd-units-load", { force: true }); // systemd-analyze's

    appendFileSync(SETTINGS, "HOPSACKD_SUBNET_FILE=/run/elsewhere/subnet.env\n");
    const settings = readFileSync(SETTINGS, "utf8");
    t.equal(service("install").status, 0);
    t.equal(readFileSync(UNIT, "utf8"), unit);
    t.equal(readFileSync(SETTINGS, "utf8"), settings, "settings are the administrator's");
    calls();

    for (const folder of ["/run/elsewhere", "/run/hopsack", "/run/flannel", "/var/lib/hopsack", `${UNIT}.d`])
      mkdirSync(folder);
    writeFileSync("/run/elsewhere/subnet.env", "FLANNEL_NETWORK=10.244.0.0/16\n");
    writeFileSync("/var/lib/hopsack/config.json", "{}");
    const ending = service("uninstall");
    t.equal(ending.stderr, "");
    t.equal(ending.status, 0);
    t.strictSame(calls(), ["disable --now hopsackd.service", "daemon-reload", "reset-failed hopsackd.service"]);
    t.strictSame(
      files().filter((path) => path !== "/run/elsewhere"),
      before,
    );
    t.match(service("uninstall"), { status: 0, stdout: "nothing to clean\n" }, "a second time");
    calls();
  });

  t.test(
    "--cni puts plugin and configuration where runtimes look, and uninstall takes back what was not changed",
    async (t) => {
      const before = files();
      const answer = service("install --cni");
      t.match(answer, {
        status: 0,
        stderr: "",
        stdout: /^\/opt\/cni\/bin\/hopsack is in place\n\/etc\/cni\/net\.d\/10-hopsack\.conflist is in place\n/,
      });
      t.strictSame(JSON.parse(readFileSync(CONFLIST, "utf8")), {
        cniVersion: "1.0.0",
        name: "hopsack",
        plugins: [{ type: "hopsack", attach: "routed" }],
      });
      const version = spawnSync(CNI_PLUGIN, { encoding: "utf8", env: { CNI_COMMAND: "VERSION" }, input: "{}" });
      t.match(
        JSON.parse(version.stdout),
        { supportedVersions: ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] },
        "without a PATH",
      );
      t.equal(service("install --cni").status, 0, "a second time too");
      t.equal(service("uninstall").status, 0);
      calls();
      t.strictSame(files(), before);

      service("install --cni");
      appendFileSync(CONFLIST, "\n");
      t.match(service("install --cni").stdout, `${CONFLIST} is there and not ours; it is left as it is\n`);
      writeFileSync(CNI_PLUGIN, "another's");
      const ending = service("uninstall");
      for (const path of [CNI_PLUGIN, CONFLIST]) {
        t.match(ending.stdout, `${path} was changed since it was installed; it is left as it is\n`);
        t.ok(existsSync(path));
      }
      calls();
      rmSync(CONFLIST);
      rmSync("/opt/cni", { recursive: true });
      t.strictSame(files(), before);
    },
  );

  t.test("--keep-settings keeps settings and leases", async (t) => {
    service("install");
    mkdirSync("/var/lib/hopsack");
    t.equal(service("uninstall --keep-settings").status, 0);
    t.ok(existsSync(SETTINGS));
    t.ok(existsSync("/var/lib/hopsack"));
    t.notOk(existsSync(UNIT));
    t.equal(service("uninstall").status, 0);
    t.notOk(existsSync(SETTINGS));
    calls();
  });
});
