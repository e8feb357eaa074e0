// A minute without etcd under traffic, and daemons that are restarted in it.
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import t from "tap";
import { answers, etcdFor, makeHosts, overlayAddress, PREFIX } from "../support/etcd-daemons.js";
import { type Host, withDaemons } from "../support/hopsackd.js";
import { run, until } from "../support/netns.js";
import { pings } from "../support/traffic.js";

const OUTAGE_MS = 60_000;

/** Runs a command in a host; its stdout once it has ended. */
function start(host: Host, commandLine: string): Promise<string> {
  const child = spawn("ip", ["netns", "exec", host.name, ...commandLine.split(" ")], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  return new Promise((resolve) => child.on("close", () => resolve(text)));
}

withDaemons(t, import.meta.url, async () => {
  const { a, b } = await makeHosts();

  t.test("etcd away for a minute under a stream: nothing is lost, and a restarted daemon forwards", async (t) => {
    const { cluster, place } = await etcdFor(t);
    const daemons = [place.start(t, a), place.start(t, b)];
    await Promise.all(daemons.map((daemon) => daemon.logged("ready")));
    const target = overlayAddress(place, b);
    await answers(a, target);
    const server = start(b, "iperf3 -s -1");
    await until("the server listens", () => run("ip netns exec b ss -ltn").includes(":5201"));
    const seconds = OUTAGE_MS / 1000 + 8;
    const stream = start(a, `iperf3 -c ${target} -t ${seconds} -b 200M -J`);
    const pings = start(a, `ping -q -i 0.02 -c ${seconds * 50} ${target}`);
    await cluster.killAll();
    const goneAt = Date.now();
    await daemons[0]?.logged("trouble");
    t.match(place.status(a), { state: "ready", store: { connected: false }, warnings: [/no etcd answers/] });
    await until("a minute is over", () => Date.now() - goneAt >= OUTAGE_MS, OUTAGE_MS + 5000);
    await cluster.startAll();
    await daemons[0]?.logged("trouble_over");
    const report: { intervals: { sum: { bytes: number } }[]; end: { sum_received: { bits_per_second: number } } } =
      JSON.parse(await stream);
    const stalled = report.intervals.filter(({ sum }) => sum.bytes === 0).length;
    t.equal(stalled, 0, "no second without bytes");
    const summary = /(\d+) packets transmitted, (\d+) received.*/.exec(await pings);
    t.comment(`${summary?.[0]}; ${(report.end.sum_received.bits_per_second / 1e6).toFixed(0)} Mbit/s`);
    t.equal(summary?.[1], summary?.[2], "every ping was answered");
    await server;
    await until("both are in etcd", () => Object.keys(cluster.contents(`${PREFIX}/subnets/`)).length === 2);
    t.match(place.status(a), { store: { connected: true }, warnings: [] });
  });

  t.test("a daemon killed and started again while etcd is away forwards in under a second", async (t) => {
    const { cluster, place } = await etcdFor(t);
    const daemons = [place.start(t, a), place.start(t, b)];
    await Promise.all(daemons.map((daemon) => daemon.logged("ready")));
    const target = overlayAddress(place, b);
    await answers(a, target);
    const kept = `${place.folder}/a/known-leases.json`;
    const isKept = () => existsSync(kept) && readFileSync(kept, "utf8").includes(b.address);
    await until("it is kept on disk", isKept); // it is written every five seconds at most
    const before = cluster.contents(`${PREFIX}/subnets/`);
    await cluster.killAll();
    const times: number[] = [];
    for (const signal of ["SIGKILL", "SIGTERM", "SIGKILL"] as const) {
      daemons[0]?.kill(signal);
      await daemons[0]?.ended;
      const startedAt = performance.now();
      daemons[0] = place.start(t, a, "--keep-lease");
      await until("it forwards", () => pings(a, target));
      times.push(Math.round(performance.now() - startedAt));
    }
    t.comment(`from exec to the first answered ping: ${times.join(", ")} ms`);
    t.match(place.status(a), { state: "ready", store: { connected: false } });
    await cluster.startAll();
    await daemons[0]?.logged("lease_renewed");
    t.same(cluster.contents(`${PREFIX}/subnets/`), before, "the same leases as before");
    t.equal(cluster.leaseIds().length, 2);
    await answers(a, target);
  });
});
