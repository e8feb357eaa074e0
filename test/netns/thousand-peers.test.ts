// A thousand peers in vxlan mode: leases written by a simulator into the file store, one real daemon. The figures are printed.
//
//   a: flannel.1 10.0.0.0, eth0 192.168.50.10 ── br0        and 1,000 hosts that only have leases: 10.<i>.<j>.0/24 at 172.16.<i>.<j>
//
// Then in host-gw mode, where a crowd answers probes, and asks, at all of their addresses:
//
//   c: eth0 172.16.0.1/16 ── br0 ── crowd: eth0 172.16.0.2/16, and the addresses of all of these hosts
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { Script } from "../support/flow.js";
import { type Host, makeHost, withDaemons } from "../support/hopsackd.js";
import { ipJson, run, until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { cpuMilliseconds } from "../support/usage.js";

const PEERS = 1000;
const CONFIG = '{"Network": "10.0.0.0/8", "SubnetLen": 24, "Backend": {"Type": "vxlan"}}';
const QUIET_MS = 500;
const SETTLING_LIMIT_MS = 30_000;
const IDLE_SECONDS = 5;
const CROWD = fileURLToPath(new URL("../support/probe-crowd.py", import.meta.url));
/** What probes cost is a matter of how many there are in a second, so not all peers have to be waited for. */
const PROBED_PEERS = 20;
const PROBING_SECONDS = 20;

const addressOf = (n: number): string => `172.16.${1 + (n >> 8)}.${n & 255}`;

/** Lease of the simulated host `n`; its MAC tells its generation. */
function writeLease(place: Place, n: number, { generation = 0, type = "vxlan" } = {}): void {
  const [high, low] = [1 + (n >> 8), n & 255];
  const hex = (byte: number): string => byte.toString(16).padStart(2, "0");
  const lease = {
    PublicIP: addressOf(n),
    PublicIPv6: null,
    BackendType: type,
    BackendData: type === "vxlan" ? { VNI: 1, VtepMAC: `02:00:00:${hex(generation)}:${hex(high)}:${hex(low)}` } : null,
    Node: `sim${n}`,
  };
  const folder = join(place.store, "subnets");
  const path = join(folder, `10.${high}.${low}.0-24.json`);
  writeFileSync(join(folder, ".new"), JSON.stringify(lease));
  renameSync(join(folder, ".new"), path);
}

/** Routes, neighbours and forwarding entries. */
function entries(host: Host): number[] {
  const count = (command: string): number => run(command).split("\n").length - 1;
  return [
    count(`ip -n ${host.name} route show proto 85`),
    count(`ip -n ${host.name} neigh show nud permanent`),
    count(`bridge -n ${host.name} fdb show dev flannel.1`),
  ];
}

/** The kernel's own table of neighbours, which all namespaces share, has 1024 places. */
function knowNeighbours(place: Place, host: Host, crowd: Host): void {
  const mac = ipJson(`-n ${crowd.name} link show eth0`)[0]?.address;
  const lines = Array.from(
    { length: PEERS },
    (_, n) => `neigh add ${addressOf(n)} lladdr ${mac} dev eth0 nud permanent`,
  );
  const batch = join(place.folder, "neighbours");
  writeFileSync(batch, lines.join("\n"));
  run(`ip -n ${host.name} -batch ${batch}`);
}

/** The daemon has used no measurable time for a while; on a slow machine its probes alone may be measurable, and are the figure. */
async function workOver(pid: number): Promise<void> {
  let [busyUntil, used] = [performance.now(), Number.NaN];
  const isOver = (): boolean => {
    const now = cpuMilliseconds(pid);
    if (now !== used) [busyUntil, used] = [performance.now(), now];
    return performance.now() - busyUntil > QUIET_MS;
  };
  await until("nothing more happens", isOver, SETTLING_LIMIT_MS).catch(() => {});
}

/** Of all threads so far, to the nanosecond. */
function cpuNanoseconds(pid: number): number {
  const tasks = readdirSync(`/proc/${pid}/task`);
  return tasks.reduce(
    (sum, task) => sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]),
    0,
  );
}

withDaemons(t, import.meta.url, async () => {
  const a = await makeHost("a", "192.168.50.10");
  run("ip -n a route add default via 192.168.50.1");

  t.test("a thousand peers: cold start, one change, a lost device, and doing nothing", async (t) => {
    const place = new Place(t, CONFIG);
    mkdirSync(join(place.store, "subnets"));
    for (let n = 0; n < PEERS; n++) writeLease(place, n);

    const startedAt = performance.now();
    const daemon = place.start(t, a, "--log-level", "debug", "--probe-peers=false"); // idle is: nothing to do
    const ready = await daemon.logged("ready");
    const coldMs = Math.round(performance.now() - startedAt);
    t.strictSame(entries(a), [PEERS, PEERS, PEERS]);
    t.comment(`cold start: all in place after ${coldMs} ms (daemon: ${ready.millisecondsToReady} ms)`);

    const appliedMs: number[] = [];
    for (let generation = 1; generation <= 7; generation++) {
      writeLease(place, 500, { generation });
      const line = await daemon.logged("forwarding_updated", generation);
      appliedMs.push(Number(line.milliseconds));
      const mac = `02:00:00:0${generation}:02:f4`;
      t.ok(run("bridge -n a fdb show dev flannel.1").includes(`${mac} dst 172.16.2.244`), mac);
    }
    const median = appliedMs.toSorted((x, y) => x - y)[3] ?? Number.NaN;
    t.comment(`one change, from the leases to the kernel: ${appliedMs.join(", ")} ms, median ${median} ms`);
    t.strictSame(entries(a), [PEERS, PEERS, PEERS], "the old MAC's entry is gone");

    rmSync(join(place.store, "subnets", "10.2.244.0-24.json"));
    await daemon.logged("forwarding_updated", 8);
    t.strictSame(entries(a), [PEERS - 1, PEERS - 1, PEERS - 1]);

    const damagedAt = performance.now();
    run("ip -n a link del flannel.1");
    await until("all is back", () => run("ip -n a route show proto 85").split("\n").length === PEERS);
    const healedMs = Math.round(performance.now() - damagedAt);
    t.comment(`a deleted device with its peers: back after ${healedMs} ms`);
    t.strictSame(entries(a), [PEERS - 1, PEERS - 1, PEERS - 1]);
    t.ok(daemon.lines.filter(({ event }) => event === "repaired").length < 10, "said in a few lines");

    await workOver(daemon.pid);
    const before = cpuMilliseconds(daemon.pid);
    run(`sleep ${IDLE_SECONDS}`);
    const percent = (cpuMilliseconds(daemon.pid) - before) / (10 * IDLE_SECONDS);
    t.comment(`idle: ${percent.toFixed(2)} % of a core`);
  });

  t.test("a thousand peers that answer and ask: what the probes cost", async (t) => {
    const place = new Place(t, CONFIG.replace("vxlan", "host-gw"));
    mkdirSync(join(place.store, "subnets"));
    for (let n = 0; n < PEERS; n++) writeLease(place, n, { type: "host-gw" });
    const c = await makeHost("c", "172.16.0.1", { prefixLength: 16 });
    const crowd = await makeHost("crowd", "172.16.0.2", { prefixLength: 16 });
    for (const part of new Set(Array.from({ length: PEERS }, (_, n) => addressOf(n).replace(/\d+$/, "0/24"))))
      run(`ip -n crowd route add local ${part} dev lo`);
    knowNeighbours(place, c, crowd);
    const answers = new Script(t, crowd, "python3", CROWD);
    await answers.ready();
    const percents: number[] = [];
    for (const flags of [["--probe-peers=false"], []]) {
      const daemon = place.start(t, c, ...flags);
      await daemon.logged("ready");
      const reached = (): number => place.status(c).peers.filter(({ reach }) => reach?.state === "reachable").length;
      if (flags.length === 0) await until("peers are reachable", () => reached() >= PROBED_PEERS, 120_000);
      await workOver(daemon.pid);
      const before = cpuNanoseconds(daemon.pid);
      run(`sleep ${PROBING_SECONDS}`);
      percents.push((cpuNanoseconds(daemon.pid) - before) / (1e7 * PROBING_SECONDS));
      await daemon.stop();
    }
    const { questions = 0 } = await answers.end();
    t.ok(questions >= PROBED_PEERS);
    const [without, beside] = percents.map((percent) => percent.toFixed(2));
    t.comment(`idle: ${without} % of a core without probes, ${beside} % with them; ${questions} questions in all`);
  });
});
