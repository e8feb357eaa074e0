// The pump opened and started by itself, as a user who may have no more threads than the test allows.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { inOwnNamespace, run, whyNoOtherUsers } from "../support/netns.js";

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));
/** The same files where every user may come by; the TUN device for every user lies beside them. */
const EVERYBODYS = "/run/everybody";
const AS_NOBODY = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
const ROOT_OF_ITS_OWN = ["unshare", "--user", "--map-root-user", "--net", "/usr/bin/env", "-u", "NODE_OPTIONS"];

/** Says `started`, or the error, when `moreThreads` can be added to those Node.js has. */
const startPump = (moreThreads: number) => `
  import { execFileSync } from "node:child_process";
  import { readFileSync } from "node:fs";
  import { Pump } from "${EVERYBODYS}/checkout/dist/dataplane/pump.js";
  const pump = Pump.open({
    socket: { tunName: "tun0", port: 8285, sourcePorts: 0, innerMtuBytes: 1472, headerBytes: 0, headerChecks: [], questions: null },
    underlay: { linkName: "lo", linkIndex: 1, address: "0.0.0.0", publicIp: "192.0.2.1", mtuBytes: 1500 },
    overheadBytes: 28,
    offloads: { tso: true, uso: true, udpGso: true, udpGro: true, tunGro: true },
    engine: "pump",
    naive: false,
    checkInnerAddresses: true,
    answer: () => null,
  });
  const threads = Number(/^Threads:\\s+(\\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))[1]);
  execFileSync("prlimit", ["--pid", String(process.pid), "--nproc=" + (threads + ${moreThreads})]);
  try {
    pump.start();
    console.log("started");
  } catch (error) {
    console.log(error.code, error.retryable, error.message);
  }
  console.log(readFileSync("/proc/net/dev", "utf8").includes("tun0") ? "device there" : "device gone");
  pump.stop();`;

function whyNot(): string | false {
  if (!existsSync(`${CHECKOUT}/dist/dataplane/pump.js`)) return "dist is not there; build it with: npm run build";
  return whyNoOtherUsers();
}

inOwnNamespace(t, import.meta.url, () => {
  t.test("a pump that gets no thread, or only one, says so and is stopped", { skip: whyNot() }, async (t) => {
    run(`mkdir -p ${EVERYBODYS}/checkout`);
    run(`mount --bind ${CHECKOUT} ${EVERYBODYS}/checkout`);
    run(`mknod -m 666 ${EVERYBODYS}/tun c 10 200`);
    run(`mount --bind ${EVERYBODYS}/tun /dev/net/tun`);
    const outcomes = [0, 1, 2, 3, 4].map((moreThreads) => {
      const node = [...ROOT_OF_ITS_OWN, process.execPath, "--input-type=module", "-e", startPump(moreThreads)];
      const { status, stdout, stderr } = spawnSync("setpriv", [...AS_NOBODY, ...node], { encoding: "utf8", cwd: "/" });
      t.strictSame({ status, stderr }, { status: 0, stderr: "" });
      return stdout;
    });
    const started = "started\ndevice there\n";
    const refused = outcomes.filter((outcome) => outcome !== started);
    t.ok(refused.length >= 2, "no thread, and one thread");
    for (const outcome of refused) {
      t.match(outcome, /^KERNEL_REFUSED true the kernel refused to start the packet threads \(EAGAIN: /);
      t.match(outcome, /allow more tasks: .*\ndevice gone\n$/);
    }
    t.equal(outcomes.at(-1), started);
  });
});
