// `hopsack docker-opts` and `hopsack docker-config` as commands: flags, files, refusals. No Docker is needed; a host is, for its routes.
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { hopsack, makeHost, TOOL, withDaemons } from "../support/hopsackd.js";
import { run } from "../support/netns.js";

const LEASE = "FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.74.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n";
const BOTH =
  'DOCKER_OPT_BIP="--bip=10.1.74.1/24"\nDOCKER_OPT_IPMASQ="--ip-masq=true"\nDOCKER_OPT_MTU="--mtu=1472"\n' +
  'DOCKER_OPTS=" --bip=10.1.74.1/24 --ip-masq=true --mtu=1472"\n';

function files() {
  const folder = mkdtempSync("/run/docker-");
  const lease = join(folder, "subnet.env");
  writeFileSync(lease, LEASE);
  return { folder, lease, out: join(folder, "docker_opts.env"), config: join(folder, "daemon.json") };
}

withDaemons(t, import.meta.url, async () => {
  const host = await makeHost("h", "192.0.2.1");
  const refuses = (t: Test, command: string, words: RegExp) =>
    t.throws(() => hopsack(host, command), { message: words });

  t.test("docker-opts has the script's flags, and writes to a file or to a pipe", async (t) => {
    const { lease, out, folder } = files();
    hopsack(host, `docker-opts -f ${lease} -d ${out}`);
    t.equal(readFileSync(out, "utf8"), BOTH);
    hopsack(host, `docker-opts -i -c -f ${lease} -d ${out}`);
    t.equal(readFileSync(out, "utf8"), BOTH);
    hopsack(host, `docker-opts -c -m -k X_OPTS -f ${lease} -d ${out}`);
    t.equal(readFileSync(out, "utf8"), 'X_OPTS=" --bip=10.1.74.1/24 --mtu=1472"\n');
    const piped = `${process.execPath} ${TOOL} docker-opts -i -f ${lease} -d /dev/stdout | cat`;
    t.equal(execFileSync("sh", ["-c", `env -u NODE_OPTIONS ${piped}`], { encoding: "utf8" }).split("\n").length, 4);
    t.equal(existsSync("/dev/stdout"), true, "the device is where it was");
    t.strictSame(readdirSync(folder).sort(), ["docker_opts.env", "subnet.env"], "no temp file stays");
  });

  t.test("docker-config shows, writes through a link with the old mode, and does nothing twice", async (t) => {
    const { lease, folder, config } = files();
    const real = join(folder, "real.json");
    writeFileSync(real, '{"debug": true}');
    chmodSync(real, 0o600);
    symlinkSync(real, config);
    t.match(JSON.parse(hopsack(host, `docker-config --dry-run -f ${lease} --config ${config}`)), {
      debug: true,
      mtu: 1472,
    });
    t.equal(readFileSync(real, "utf8"), '{"debug": true}');
    t.match(hopsack(host, `docker-config -f ${lease} --config ${config}`), /is written; restart Docker/);
    t.match(JSON.parse(readFileSync(real, "utf8")), { debug: true, bip: "10.1.74.1/24", mtu: 1472, "ip-masq": true });
    t.equal(statSync(real).mode & 0o777, 0o600);
    t.match(hopsack(host, `docker-config -f ${lease} --config ${config}`), /is as it has to be/);
  });

  t.test("without a usable lease, or with one that is routed elsewhere, nothing is written", async (t) => {
    const { lease, out, config, folder } = files();
    const opts = `docker-opts -d ${out}`;
    refuses(t, `${opts} -f ${folder}/none`, /the lease file .*none is not there; .* \[BAD_CONFIG\]/);
    refuses(t, `${opts} -f ${lease} -k 1x`, /-k "1x" cannot name a variable; .* \[BAD_OPTION\]/);
    refuses(
      t,
      `docker-opts -f ${lease} -d ${folder}/no/such`,
      /cannot be written .*; choose another one with -d \[FILE_UNWRITABLE\]/,
    );
    writeFileSync(config, "{oops");
    refuses(t, `docker-config -f ${lease} --config ${config}`, /is no JSON that Docker can read .* \[BAD_CONFIG\]/);
    t.equal(readFileSync(config, "utf8"), "{oops");
    run("ip -n h route add 10.1.74.0/24 via 192.0.2.9");
    refuses(t, `${opts} -f ${lease}`, /10\.1\.74\.0\/24 is routed via 192\.0\.2\.9, .* \[NETWORK_OVERLAP\]/);
    run("ip -n h route delete 10.1.74.0/24");
    writeFileSync(lease, LEASE.replace("1472", "big"));
    refuses(t, `${opts} -f ${lease}`, /FLANNEL_MTU=big is no MTU; .* \[BAD_CONFIG\]/);
    t.equal(existsSync(out), false);
  });
});
