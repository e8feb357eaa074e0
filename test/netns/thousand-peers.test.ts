// A thousand peers in vxlan mode: leases written by a simulator into the file store, one real daemon. The figures are printed.
//
//   a: flannel.1 10.0.0.0, eth0 192.168.50.10 ── br0        and 1,000 hosts that only have leases: 10.<i>.<j>.0/24 at 172.16.<i>.<j>
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { type Host, makeHost, withDaemons } from "../support/hopsackd.js";
import { run, until } from "../support/netns.js";
import { Place } from "../support/place.js";

const PEERS = 1000;
const CONFIG = '{"Network": "10.0.0.0/8", "SubnetLen": 24, "Backend": {"Type": "vxlan"}}';
const QUIET_MS = 500;
const IDLE_SECONDS = 5;

/** Lease of the simulated host `n`; its MAC tells its generation. */
function writeLease(place: Place, n: number, generation = 0): void {
  const [high, low] = [1 + (n >> 8), n & 255];
  const hex = (byte: number): string => byte.toString(16).padStart(2, "0");
  const lease = {
    PublicIP: `172.16.${high}.${low}`,
    PublicIPv6: null,
    BackendType: "vxlan",
    BackendData: { VNI: 1, VtepMAC: `02:00:00:${hex(generation)}:${hex(high)}:${hex(low)}` },
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

/** User and system time of a process so far. */
function cpuMilliseconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
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
      writeLease(place, 500, generation);
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

    let [busyUntil, used] = [performance.now(), Number.NaN];
    await until("nothing more happens", () => {
      const now = cpuMilliseconds(daemon.pid);
      if (now !== used) [busyUntil, used] = [performance.now(), now];
      return performance.now() - busyUntil > QUIET_MS;
    });
    const before = cpuMilliseconds(daemon.pid);
    run(`sleep ${IDLE_SECONDS}`);
    const percent = (cpuMilliseconds(daemon.pid) - before) / (10 * IDLE_SECONDS);
    t.comment(`idle: ${percent.toFixed(2)} % of a core`);
  });
});
