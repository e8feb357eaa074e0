// The benchmark from end to end, small: real labs, real tools, and a road that is wrong on purpose.
//
//   h1-p1 ── cni0 [h1] eth0 ══════ eth0 [h2] cni0 ── h2-p1          one such lab for each kind of mode
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { type Choice, pick } from "../../src/bench/itinerary.js";
import { MODES } from "../../src/bench/modes.js";
import { PROFILES } from "../../src/bench/profiles.js";
import { readResults } from "../../src/bench/read-results.js";
import { type BenchEvent, runBenchmark } from "../../src/bench/runner.js";
import { SCENARIOS } from "../../src/bench/scenarios.js";
import { labDown, labUp } from "../../src/lab/lab.js";
import { readLabState } from "../../src/lab/lab-folder.js";
import { netnsNames } from "../../src/lab/process-record.js";
import { inOwnNamespace, run, until } from "../support/netns.js";

const CLI = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const TINY = ["--rounds", "1", "--seconds", "1", "--profiles", "offload"];

inOwnNamespace(t, import.meta.url, () => {
  if (!existsSync(CLI)) {
    t.fail(`${CLI} is not there; build it with: npm run build`);
    return;
  }

  t.test("a run leaves a results file that can be read, and no lab", async (t) => {
    const path = `${t.testdir({})}/results.json`;
    const words = [...TINY, "--modes", "vxlan,udp", "--scenarios", "tcp-1", "--output", path];
    const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, "bench", ...words], { encoding: "utf8" });
    t.equal(status, 0, stderr);
    t.match(stdout, /offload: one TCP stream\n.*\n {2}VXLAN, kernel .* Gbit\/s .*\n {2}UDP, user space .* Gbit\/s/);
    t.match(stdout, `results: ${path}`);
    t.match(stderr, /round 1 of 1: udp .* Gbit\/s {2}0 s left\n/);
    const { samples, refusals, profiles } = await readResults(path);
    t.same(refusals, []);
    t.match(profiles, [{ name: "offload", mtuBytes: 1500, offloads: { "tcp-segmentation-offload": "on" } }]);
    const [vxlan, udp] = samples;
    t.match(vxlan, { mode: "vxlan", coalescing: null, road: { device: "flannel.1" } });
    t.match(udp, { mode: "udp", road: { device: "flannel0" } });
    t.ok((udp?.coalescing?.sent ?? 0) > 2, `super-packets: ${udp?.coalescing?.sent}`);
    for (const { metrics, cpuSeconds, bytes, road } of samples) {
      t.ok((metrics.bitsPerSecond ?? 0) > 1e8);
      t.ok(bytes > 1e7 && road.packets > 100);
      t.same(Object.keys(cpuSeconds), ["iperf3", "hopsackd h1", "hopsackd h2", "kernel"]);
      t.ok((cpuSeconds.iperf3 ?? 0) > 0);
    }
    t.ok((udp?.cpuSeconds["hopsackd h1"] ?? 0) > 0.05, "the pump's work is the daemon's");
    t.same(netnsNames(), []);
  });

  t.test("every kind of scenario gives figures, and says what cannot be measured", async (t) => {
    const small = SCENARIOS.map(({ probe, ...scenario }) => ({
      ...scenario,
      probe: probe.kind === "many-peers" ? { ...probe, routes: [1, 300] } : probe,
    }));
    const scenarios = small.filter(({ name }) => !["tcp-1", "tcp-4"].includes(name));
    const choice = { ...choiceOf(["veth", "udp"], "tcp-1"), scenarios };
    const { results } = await runBenchmark(choice, new AbortController().signal, () => {});
    const { samples, refusals } = results;
    t.match(
      refusals.map(({ scenario, mode, round, reason }) => [scenario, mode, round, reason]),
      [
        ["many-peers", "veth", null, /^no lab's daemon keeps its routes$/],
        ["restart", "veth", null, /so none can be restarted$/],
        ["takeover", "veth", null, /so none can be restarted$/],
      ],
    );
    t.equal(refusals.length, 3);
    for (const { name, metrics } of scenarios) {
      const mine = samples.filter(({ scenario }) => scenario === name);
      t.ok(
        mine.some(({ mode }) => mode === "udp"),
        name,
      );
      const missing = mine.flatMap((sample) => metrics.filter((metric) => sample.metrics[metric.name] === undefined));
      t.same(missing, [], name);
    }
    const sizes = samples.flatMap(({ scenario, point }) => (scenario === "many-peers" ? [point] : []));
    t.same(sizes, [1, 300]);
    const restart = samples.find(({ scenario }) => scenario === "restart");
    t.ok((restart?.metrics.lost ?? 0) > 0, "while the daemon stops and starts packets are lost");
    const answers = samples.find(({ scenario, mode }) => scenario === "udp-rr" && mode === "udp");
    t.ok((answers?.metrics.p50 ?? 0) > 1 && (answers?.metrics.p50 ?? 0) < 1e5, `${answers?.metrics.p50} µs`);
    t.same(netnsNames(), []);
  });

  t.test("a road that is wrong on purpose gives no figure, and says so", async (t) => {
    const stray = (event: BenchEvent): void => {
      if (event.kind !== "step" || event.text !== "offload: warming up") return;
      const [, second] = readLabState("bench-1")?.report?.hosts ?? [];
      run(`ip -n hopsack-bench-1-h1 route add ${second?.subnet.replace("0/24", "1/32")} via ${second?.underlay}`);
    };
    const { results } = await runBenchmark(choiceOf(["vxlan"], "tcp-1"), new AbortController().signal, stray);
    t.same(results.samples, []);
    t.match(results.refusals, [
      {
        ...{ profile: "offload", scenario: "tcp-1", mode: "vxlan", round: 1 },
        reason: /^traffic took another road: packets to 10\.[0-9.]+ would leave by eth0, not by flannel\.1$/,
      },
    ]);
    t.same(netnsNames(), []);
  });

  t.test("after Ctrl-C what was measured is written, and no lab is left", async (t) => {
    const path = `${t.testdir({})}/results.json`;
    const words = ["--rounds", "50", "--seconds", "1", "--modes", "host-gw", "--scenarios", "tcp-1", "--output", path];
    const child = spawn(process.execPath, [CLI, "bench", ...words], { stdio: ["ignore", "pipe", "pipe"] });
    await lineOf(child, "round 1 of 50");
    const second = spawnSync(process.execPath, [CLI, "bench", ...TINY], { encoding: "utf8" });
    t.equal(second.status, 1);
    t.match(second.stderr, `another benchmark runs (process ${child.pid}) and both would spoil each other's figures`);
    child.kill("SIGINT");
    const { status, stdout } = await ended(child);
    t.equal(status, "SIGINT", "as a shell wants to see it");
    t.match(stdout, /results: .*, not complete: [0-9]+ samples were taken before the interruption/);
    t.ok((await readResults(path)).samples.length >= 1);
    t.same(netnsNames(), []);
  });

  t.test("between two machines the underlay and the running mode are measured, and nothing is built", async (t) => {
    const name = "wire";
    const spec = { name, hosts: 2, podsPerHost: 1, backend: "udp", hasIpv6: false, daemonArgs: [] };
    t.teardown(() => labDown(name));
    const { report } = await labUp(spec, { signal: new AbortController().signal, progress: () => {} });
    const [first, second] = report.hosts;
    const inside = (netns: string | undefined, words: readonly string[]) =>
      spawn("ip", ["netns", "exec", netns ?? "", process.execPath, CLI, "bench", ...words], {
        stdio: ["ignore", "pipe", "pipe"],
      });
    const path = `${t.testdir({})}/results.json`;
    const measured = [...TINY.slice(0, 4), "--scenarios", "tcp-1,udp-rr,udp-64", "--output", path];
    const client = ["--client", second?.underlay ?? "", "--socket", first?.statusSocket ?? "", ...measured];

    const lonely = await ended(inside(first?.netns, client));
    t.match(lonely, { status: "1", stderr: /no server answers on 192\.168\.50\.11; start it there with: .*--server/ });

    const server = inside(second?.netns, ["--server"]);
    await new Promise((resolve) => server.stdout?.once("data", resolve));
    const { status, stdout, stderr } = await ended(inside(first?.netns, client));
    t.equal(status, "0", stderr);
    t.match(stdout, /wire: one TCP stream\n.*\n {2}plain underlay .*\n {2}UDP, user space /);
    const { samples, profiles } = await readResults(path);
    t.match(profiles, [{ name: "wire", mtuBytes: 1500 }]);
    t.same(
      samples.map(({ scenario, mode, road }) => [scenario, mode, road.device]),
      ["tcp-1", "udp-rr", "udp-64"].flatMap((scenario) => [
        [scenario, "veth", "eth0"],
        [scenario, "udp", "flannel0"],
      ]),
    );

    const alone = ["--client", second?.underlay ?? "", "--socket", "/run/nobody.sock", ...measured];
    const underlay = await ended(inside(first?.netns, alone));
    t.match(underlay, { status: "0", stderr: /only the underlay is measured: no hopsackd answers on \/run\/nobody/ });
    server.kill("SIGINT");
    t.equal((await ended(server)).status, "SIGINT");
    const pids = (): string => run(`ip netns pids ${second?.netns}`).trim();
    await until("the servers are gone", () => pids() === `${second?.daemonPid}`).catch(() => {});
    t.equal(pids(), `${second?.daemonPid}`, "the servers are gone");
  });

  t.test("what cannot be used is refused before anything is built", async (t) => {
    const refusals: readonly [readonly string[], RegExp][] = [
      [["--modes", "udp,wireguard"], /--modes "wireguard" is not known; give some of veth, host-gw, .*BAD_OPTION/],
      [["--scenarios", "tcp-9"], /--scenarios "tcp-9" is not known; give some of tcp-1, /],
      [["--profiles", "wifi"], /--profiles "wifi" is not known; give some of offload, /],
      [["--rounds", "0"], /--rounds 0 is not accepted; give a whole number from 1 to 100/],
      [["--server", "--client", "192.0.2.1"], /--server and --client are for two different hosts/],
      [["--client", "192.0.2.1", "--profiles", "jumbo"], /--profiles jumbo is for labs/],
      [["--client", "h2"], /Give an IPv4 address/],
      [["--seconds", "soon"], /--seconds.*Give a whole number/],
    ];
    for (const [words, sentence] of refusals) {
      const outcome = spawnSync(process.execPath, [CLI, "bench", ...words], { encoding: "utf8" });
      t.equal(outcome.status, 2, words.join(" "));
      t.match(outcome.stderr, sentence);
    }
    const asNobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups", process.execPath];
    const isReadable =
      spawnSync("setpriv", [...asNobody, "-e", `require("node:fs").readFileSync("${CLI}")`]).status === 0;
    if (!isReadable) return;
    const user = spawnSync("setpriv", [...asNobody, CLI, "bench"], { encoding: "utf8" });
    t.match(user.stderr, /needs root .*NOT_PERMITTED/);
  });

  t.test("a tool that is missing is named with its package, and nothing is built", async (t) => {
    const folder = t.testdir();
    for (const tool of ["ip", "ping", "ethtool"]) {
      execFileSync("ln", ["-s", execFileSync("which", [tool], { encoding: "utf8" }).trim(), `${folder}/${tool}`]);
    }
    const env = { ...process.env, PATH: folder };
    const outcome = spawnSync(process.execPath, [CLI, "bench", ...TINY], { encoding: "utf8", env });
    t.equal(outcome.status, 1);
    t.match(outcome.stderr, /iperf3, sockperf.* not installed; install: apt-get install iperf3 sockperf/);
  });
});

function choiceOf(modes: readonly string[], scenario: string): Choice {
  return {
    ...{ rounds: 1, seconds: 1, isQuick: false },
    profiles: pick(PROFILES, ["offload"]),
    scenarios: pick(SCENARIOS, [scenario]),
    modes: pick(MODES, modes),
  };
}

/** Resolves when the program has written `text` to standard error. */
function lineOf(child: ChildProcess, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let seen = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      seen += chunk.toString();
      if (seen.includes(text)) resolve();
    });
    child.once("close", () => reject(new Error(`ended without saying ${text}: ${seen}`)));
  });
}

interface Ended {
  /** The exit status, or the signal that it stands for. */
  readonly status: string;
  readonly stdout: string;
  readonly stderr: string;
}

function ended(child: ChildProcess): Promise<Ended> {
  return new Promise((resolve) => {
    let [stdout, stderr] = ["", ""];
    child.stdout?.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.once("close", (status, signal) =>
      resolve({ status: signal ?? (status === 130 ? "SIGINT" : `${status}`), stdout, stderr }),
    );
  });
}
