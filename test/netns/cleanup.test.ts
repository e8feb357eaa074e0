// `hopsack cleanup` after a hopsackd that was killed: the host is what it was before the first start.
//
//   a: eth0 192.168.50.10 ── br0 ── eth0 192.168.50.11 :b
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import {
  filesIn,
  type Host,
  hopsack,
  makeHost,
  networkState,
  TOOL,
  UNHOOKED,
  withDaemons,
} from "../support/hopsackd.js";
import { run, until } from "../support/netns.js";
import { Place } from "../support/place.js";

const inA = (commandLine: string): string => run(`ip netns exec a ${commandLine}`);
const hasNft = spawnSync("nft", ["--version"]).status === 0;
const hasIptables = spawnSync("iptables", ["--version"]).status === 0;

/** Kernel state of a host in the words of the usual tools. */
function stateOf(host: Host): unknown {
  const rules = hasNft ? inA("nft list ruleset") : "";
  return [networkState(host), inA("bridge fdb show"), rules];
}

/** The options that name this host's daemon. */
function places(place: Place, host: Host): string {
  return `--subnet-file ${place.subnetFile(host)} --status-socket ${place.socket(host)}`;
}

function refusal(commandLine: string, wrapper: readonly string[] = []): { status: number | null; stderr: string } {
  const words = [...wrapper, ...UNHOOKED, process.execPath, TOOL, ...commandLine.split(" ")];
  return spawnSync("ip", ["netns", "exec", "a", ...words], { encoding: "utf8" });
}

function masqFlags(): string[] {
  return hasNft ? ["--ip-masq"] : [];
}

async function killedDaemon(t: Test, a: Host, b: Host, backend: object, flags: readonly string[]): Promise<Place> {
  const place = new Place(t, JSON.stringify({ Network: "10.244.0.0/16", Backend: backend }));
  const daemon = place.start(t, a, ...flags);
  await place.start(t, b).logged("ready");
  await daemon.logged("ready");
  await until("a knows b", () =>
    daemon.lines.some(({ event, peers }) => (event === "ready" || event === "forwarding_updated") && peers === 1),
  );
  await until("the cache is written", () => existsSync(join(place.folder, "a", "known-leases.json")));
  t.match(refusal(`cleanup ${places(place, a)}`), {
    status: 1,
    stderr: /a hopsackd answers on .* \[ALREADY_RUNNING\]/,
  });
  daemon.kill("SIGKILL");
  await daemon.ended;
  return place;
}

withDaemons(t, import.meta.url, async () => {
  t.jobs = 1;
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  if (hasIptables) for (const program of ["iptables", "ip6tables"]) inA(`${program} -P FORWARD DROP`);
  // What is not ours stays: somebody's route into the same network, and somebody's VXLAN device.
  inA("ip link add vx9 type vxlan id 9 dstport 4790 dev eth0");
  inA("ip route add 172.31.0.0/16 via 192.168.50.11 proto static");

  for (const [type, traces] of [
    ["udp", []],
    ["vxlan", ["device flannel.1"]],
    ["host-gw", ["route 10.244."]],
  ] as const) {
    t.test(`${type}: after SIGKILL and cleanup all is as before the first start`, async (t) => {
      const before = stateOf(a);
      const place = await killedDaemon(t, a, b, { Type: type }, masqFlags());
      const dirty = stateOf(a);
      const dry = hopsack(a, `cleanup --dry-run ${places(place, a)}`);
      const rules = [
        ...(hasNft ? ["nftables table inet hopsack-flannel0"] : []),
        ...(hasNft && hasIptables ? ["forward rule ip filter FORWARD: ip saddr 10.244"] : []),
      ];
      const files = ["subnet.env", "known-leases.json", "hopsackd.sock"].map(
        (name) => `file ${place.folder}/a/${name}`,
      );
      for (const trace of [...traces, ...rules, ...files]) t.match(dry, `would remove ${trace}`);
      t.strictSame(stateOf(a), dirty, "a dry run changes nothing");
      t.equal(filesIn(join(place.folder, "a")).length, 3);

      t.equal(hopsack(a, `cleanup ${places(place, a)}`), dry.replaceAll("would remove", "removed"));
      t.strictSame(stateOf(a), before);
      t.strictSame(filesIn(join(place.folder, "a")), []);
      t.equal(hopsack(a, `cleanup ${places(place, a)}`), "nothing to clean\n");
      t.strictSame(JSON.parse(hopsack(a, `cleanup --json ${places(place, a)}`)), { dryRun: false, removed: [] });
    });
  }

  t.test("another hopsackd's device, table and routes stay", async (t) => {
    const place = await killedDaemon(t, a, b, { Type: "vxlan" }, [...masqFlags(), "--device", "hop7"]);
    const dirty = stateOf(a);
    const json = JSON.parse(
      hopsack(a, "cleanup --json --subnet-file /run/none/subnet.env --status-socket /run/none.sock"),
    );
    t.strictSame(json, { dryRun: false, removed: [] });
    t.strictSame(stateOf(a), dirty);
    t.match(hopsack(a, `cleanup --device hop7 ${places(place, a)}`), "removed device flannel.1\n");
  });

  t.test("flannel's things stay without --flannel, and go with it", async (t) => {
    const before = stateOf(a);
    const env = "/run/flannel-subnet.env";
    writeFileSync(env, "FLANNEL_NETWORK=10.244.0.0/16\n");
    inA("ip link add flannel.1 type vxlan id 1 dstport 8472 dev eth0");
    inA("ip link add flannel-v6.1 type vxlan id 2 dstport 8473 dev eth0");
    inA("ip tuntap add flannel0 mode tun");
    if (hasNft) for (const table of ["ip flannel-ipv4", "ip6 flannel-ipv6"]) inA(`nft add table ${table}`);
    const flags = `--subnet-file ${env} --status-socket /run/none.sock`;
    t.equal(hopsack(a, `cleanup ${flags}`), "nothing to clean\n");
    const lines = hopsack(a, `cleanup --flannel ${flags}`).trim().split("\n");
    const tables = hasNft ? ["nftables table ip flannel-ipv4", "nftables table ip6 flannel-ipv6"] : [];
    const expected = ["device flannel.1", "device flannel-v6.1", "device flannel0", ...tables, `file ${env}`];
    t.strictSame(lines.sort(), expected.map((what) => `removed ${what}`).sort());
    t.strictSame(stateOf(a), before);
  });

  t.test("flannel's iptables chains go with the jumps to them; a rule of somebody else stays", async (t) => {
    if (!hasIptables) {
      t.pass("iptables", { skip: "iptables is not installed" });
      return;
    }
    const rulesOf = (program: string, table: string): string => run(`ip netns exec a ${program} -t ${table} -S`);
    const tables = ["iptables", "ip6tables"].flatMap((program) => ["nat", "filter"].map((table) => [program, table]));
    for (const program of ["iptables", "ip6tables"]) inA(`${program} -A FORWARD -i eth7 -j ACCEPT`);
    const before = tables.map(([program = "", table = ""]) => rulesOf(program, table));
    for (const program of ["iptables", "ip6tables"]) {
      inA(`${program} -t nat -N FLANNEL-POSTRTG`);
      inA(`${program} -t nat -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN`);
      inA(`${program} -t nat -A POSTROUTING -m comment --comment flanneld-masq -j FLANNEL-POSTRTG`);
      inA(`${program} -N FLANNEL-FWD`);
      inA(`${program} -A FORWARD -m comment --comment flanneld-forward -j FLANNEL-FWD`);
    }
    const lines = hopsack(a, "cleanup --flannel --subnet-file /run/none/subnet.env --status-socket /run/none.sock");
    const chains = ["iptables", "ip6tables"].flatMap((program) => [
      `removed iptables chain ${program} -t nat FLANNEL-POSTRTG`,
      `removed iptables chain ${program} -t filter FLANNEL-FWD`,
    ]);
    t.strictSame(lines.trim().split("\n"), chains);
    t.strictSame(
      tables.map(([program = "", table = ""]) => rulesOf(program, table)),
      before,
    );
  });

  t.test("without CAP_NET_ADMIN it is NOT_PERMITTED, also for a dry run", async (t) => {
    const outcome = refusal("cleanup --dry-run", ["setpriv", "--bounding-set", "-net_admin"]);
    t.match(outcome, { status: 1, stderr: /run it as root .* \[NOT_PERMITTED\]/ });
    t.equal(refusal("cleanup --device a/b").status, 2);
  });
});
