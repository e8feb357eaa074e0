// A real Prometheus scrapes real daemons, and every query of monitoring/ is put to it:
//
//   a: hopsackd, metrics on 192.168.50.10:9285 ──┐
//   b: hopsackd, metrics on 192.168.50.11:9285 ──┤
//   c, d: the same on .12 and .13, carried by ───┼── br0
//         the kernel (vxlan), with probes        │
//   p: prometheus on 192.168.50.20:9090 ─────────┘
import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type Host, makeHost, withDaemons } from "../support/hopsackd.js";
import { run, until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { alertQueries, dashboardQueries, MONITORING, promtool, promtoolFault } from "../support/promtool.js";

const RATE_INTERVAL = "15s";
const PROMETHEUS_LIMIT_MS = 60_000;
/** A scrape may take as long as the pause between two, so this is also how slow a machine may be. */
const SCRAPE_SECONDS = 2;
const CONFIG = `
global: { scrape_interval: ${SCRAPE_SECONDS}s, evaluation_interval: ${SCRAPE_SECONDS}s }
rule_files: [${MONITORING}/alerts.yml]
scrape_configs:
  - job_name: hopsack
    static_configs: [{ targets: ["192.168.50.10:9285", "192.168.50.11:9285", "192.168.50.12:9285", "192.168.50.13:9285"] }]
`;

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

withDaemons(t, import.meta.url, async () => {
  const fault = promtoolFault();
  if (fault !== false) {
    t.pass("prometheus", { skip: fault });
    return;
  }
  const [a, b, c, d, p] = await Promise.all([
    makeHost("a", "192.168.50.10"),
    makeHost("b", "192.168.50.11"),
    makeHost("c", "192.168.50.12"),
    makeHost("d", "192.168.50.13"),
    makeHost("p", "192.168.50.20"),
  ]);

  t.test(
    "Prometheus takes what daemons tell, and no query of dashboard and alerts asks for what is not there",
    async (t) => {
      const place = new Place(t);
      await place.startAll(t, [a, b], () => ["--metrics-address", "9285", "--probe-peers=false"]);
      await until("a and b know each other", () => [a, b].every((host) => place.status(host).peers.length === 1));
      const kernels = new Place(t, '{"Network": "10.245.0.0/16", "Backend": {"Type": "vxlan"}}');
      for (const host of [c, d]) await kernels.start(t, host, "--metrics-address", "9285").logged("ready");
      startPrometheus(t, place, p);
      await until("all are scraped", () => ask(p, 'up{job="hopsack"} == 1').length === 4, PROMETHEUS_LIMIT_MS);
      const answering = 'hopsack_probe_peers{state="reachable"} == 1';
      await until("c and d answer each other", () => ask(p, answering).length === 2, PROMETHEUS_LIMIT_MS);
      run("ip netns exec a ping -q -c 3 -i 0.01 -I 10.244.1.0 10.244.2.0");
      run("ip -n a route del 10.244.0.0/16 dev flannel0"); // so that there is a repair to tell of
      await until("the repair is told", () => ask(p, "hopsack_repairs_total").length > 0, PROMETHEUS_LIMIT_MS);
      const rate = `rate(hopsack_repairs_total[${RATE_INTERVAL}])`;
      await until("rates can be told", () => ask(p, rate).length > 0, PROMETHEUS_LIMIT_MS);

      for (const { panel, query } of dashboardQueries(RATE_INTERVAL)) {
        await until(`${panel}: ${query}`, () => ask(p, query).length > 0, PROMETHEUS_LIMIT_MS);
        t.pass(`${panel}: ${query}`);
      }
      const known = new Set(
        ask(p, 'count by (__name__) ({__name__=~"hopsack_.+"})').map(({ metric }) => metric.__name__),
      );
      for (const query of alertQueries()) {
        for (const [name] of query.matchAll(/hopsack_\w+/g)) t.ok(known.has(name), name);
        t.doesNotThrow(() => ask(p, query), query);
      }
      const bytes = `hopsack_peer_bytes_total{instance="192.168.50.10:9285",peer="192.168.50.11",direction="sent"}`;
      t.equal(ask(p, bytes)[0]?.value[1], "252", "three pings");
      t.same(ask(p, 'ALERTS{alertstate="firing"}'), []);
    },
  );

  t.test("the page of a real daemon follows Prometheus' conventions", async (t) => {
    const place = new Place(t);
    await place.start(t, a).logged("ready");
    const page = run(`curl -sS --unix-socket ${place.socket(a)} http://localhost/metrics`);
    t.same(promtool(["check", "metrics"], page), { status: 0, output: "" });
  });
});

function startPrometheus(t: Test, place: Place, host: Host): void {
  const config = join(place.folder, "prometheus.yml");
  writeFileSync(config, CONFIG);
  const flags = [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(place.folder, "tsdb")}`,
    `--web.listen-address=${host.address}:9090`,
    "--log.level=error",
  ];
  const server = spawn("ip", ["netns", "exec", host.name, "prometheus", ...flags], { stdio: "inherit" });
  const ended = new Promise((resolve) => server.on("close", resolve));
  t.teardown(async () => {
    server.kill();
    await ended;
  });
}

/** The answer to an instant query; empty while Prometheus does not answer. @throws when the query is refused */
function ask(host: Host, query: string): readonly Series[] {
  const url = `http://${host.address}:9090/api/v1/query?query=${encodeURIComponent(query)}`;
  const { stdout: answer } = spawnSync("ip", ["netns", "exec", host.name, "curl", "-sS", url], { encoding: "utf8" });
  if (!answer.startsWith("{")) return [];
  const { status, error, data } = JSON.parse(answer) as {
    readonly status: string;
    readonly error?: string;
    readonly data: { readonly result: readonly Series[] };
  };
  if (status !== "success") throw new Error(`${query}: ${error}`);
  return data.result;
}
