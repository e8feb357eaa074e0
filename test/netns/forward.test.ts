// What --ip-masq and --ip-forward do to real packets, seen on their far side. The Network is 10.55.0.0/16, the host's subnet
// 10.55.30.0/24; the reconciler runs on the host:
//
//   pod 10.55.30.2, fd55:0:0:1::2 ── to-pod [host] to-out ── out 192.0.2.2, 2001:db8::2 (outside the Network)
//                                           to-peer ── peer 10.55.40.2, fd55:0:0:2::2 (another host's subnet)
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";
import t, { type Test } from "tap";
import { loadAddon } from "../../src/addon.js";
import type { ForwardAcceptance } from "../../src/kernel/forward-rules.js";
import { Reconciler } from "../../src/kernel/reconciler.js";
import { Rtnetlink } from "../../src/kernel/rtnetlink.js";
import { type Prefix, parsePrefix } from "../../src/net/prefix.js";
import type { Plan } from "../../src/plan/plan.js";
import { inOwnNamespace, run, until } from "../support/netns.js";

const PLAN: Plan = { links: [], addresses: [], routes: [], neighbors: [], fdb: [], masquerades: [], pumpRoutes: [] };
const MASQUERADES = [
  { network: "10.55.0.0/16", subnet: "10.55.30.0/24" },
  { network: "fd55::/48", subnet: "fd55:0:0:1::/64" },
];
const NETWORKS = ["10.55.0.0/16", "fd55::/48"]
  .map(parsePrefix)
  .filter((prefix): prefix is Prefix => prefix !== undefined);
const PORT = 7000;
/** Says the source of every datagram; joins a multicast group where one is given. */
const LISTENER = `const s = require("dgram").createSocket(process.argv[1]);
s.on("message", (text, from) => console.log(text + " from " + from.address));
s.bind(${PORT}, () => { if (process.argv[2]) s.addMembership(process.argv[2], "192.0.2.2"); console.log("listening"); });`;
/** From an address of the host itself. */
const SENDER = `const s = require("dgram").createSocket("udp4");
s.bind(0, process.argv[1], () => s.setMulticastInterface("192.0.2.1") ?? s.send(process.argv[3], ${PORT}, process.argv[2], () => s.close()));`;

function makeHost(): void {
  for (const [name, link, v4, v6] of [
    ["pod", "to-pod", "10.55.30", "fd55:0:0:1:"],
    ["out", "to-out", "192.0.2", "2001:db8:"],
    ["peer", "to-peer", "10.55.40", "fd55:0:0:2:"],
  ] as const) {
    run(`ip netns add ${name}`);
    run(`ip link add ${link} type veth peer name eth0 netns ${name}`);
    run(`ip addr add ${v4}.1/24 dev ${link}`);
    run(`ip addr add ${v6}:1/64 dev ${link} nodad`);
    run(`ip link set ${link} up`);
    run(`ip -n ${name} addr add ${v4}.2/24 dev eth0`);
    run(`ip -n ${name} addr add ${v6}:2/64 dev eth0 nodad`);
    run(`ip -n ${name} link set eth0 up`);
    run(`ip -n ${name} route add default via ${v4}.1`);
    run(`ip -n ${name} route add default via ${v6}:1`);
  }
  run("ip route add 239.0.0.0/8 dev to-out");
  run("sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
}

function reconcile(
  t: Test,
  forward: ForwardAcceptance,
): { reconciler: Reconciler; repairs: string[]; faults: unknown[] } {
  const repairs: string[] = [];
  const faults: unknown[] = [];
  const { NetlinkMonitor } = loadAddon();
  const rtnetlink = new Rtnetlink();
  const reconciler = new Reconciler({
    rtnetlink,
    openMonitor: (groups, onMessages, protocol) => new NetlinkMonitor(groups, onMessages, protocol),
    deviceName: "flannel0",
    networks: NETWORKS,
    forward,
    onRepair: (kind) => repairs.push(kind),
    onLinkGone: () => {},
    onFault: (error) => faults.push(error),
    onLinkMade: () => {},
    onHostChange: () => {},
  });
  t.teardown(async () => {
    await reconciler.close();
    rtnetlink.close();
  });
  return { reconciler, repairs, faults };
}

/** What arrives in a namespace: `a from 10.55.30.2`. */
async function listen(t: Test, where: string, ...args: readonly string[]): Promise<string[]> {
  const child = spawn("ip", ["netns", "exec", where, process.execPath, "-e", LISTENER, ...args], {
    env: { PATH: process.env.PATH },
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => child.kill());
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  await until(`${where} listens`, () => lines.includes("listening"));
  return lines;
}

function send(from: string, to: string, text: string): void {
  const words = ["netns", "exec", from, "bash", "-c", `echo -n ${text} >/dev/udp/${to}/${PORT}`];
  execFileSync("ip", words, { stdio: "ignore" });
}

function sendFromHost(source: string, to: string, text: string): void {
  spawnSync(process.execPath, ["-e", SENDER, source, to, text], { env: { PATH: process.env.PATH } });
}

const sourceOf = async (lines: readonly string[], text: string): Promise<string> => {
  const find = (): string | undefined => lines.find((line) => line.startsWith(`${text} from `));
  await until(`${text} arrives`, () => find() !== undefined);
  return find()?.split(" ")[2] ?? "";
};

function rules(text: string): string {
  execFileSync("nft", ["-f", "-"], { input: text, stdio: "pipe" });
  return run("nft list ruleset");
}

const withoutCounters = (ruleset: string): string => ruleset.replaceAll(/packets \d+ bytes \d+/g, "");

inOwnNamespace(t, import.meta.url, () => {
  t.jobs = 1;
  for (const program of ["nft list ruleset", "iptables -S"]) {
    const { status, stderr } = spawnSync("sh", ["-c", program], { encoding: "utf8" });
    if (status === 0) continue;
    t.pass(program, { skip: `${program} does not work here: ${stderr.trim()}` });
    return;
  }
  makeHost();

  t.test(
    "--ip-masq: what leaves or enters the overlay gets the host's address, what stays in it keeps its own",
    async (t) => {
      const { reconciler, faults } = reconcile(t, "off");
      await reconciler.setPlan({ ...PLAN, masquerades: MASQUERADES });
      const [pod, out, peer] = [
        await listen(t, "pod", "udp4"),
        await listen(t, "out", "udp4", "239.1.1.1"),
        await listen(t, "peer", "udp4"),
      ];

      send("pod", "192.0.2.2", "leaving");
      t.equal(await sourceOf(out, "leaving"), "192.0.2.1");
      send("pod", "10.55.40.2", "to-a-peer");
      t.equal(await sourceOf(peer, "to-a-peer"), "10.55.30.2");
      send("peer", "10.55.30.2", "from-a-peer");
      t.equal(await sourceOf(pod, "from-a-peer"), "10.55.40.2");
      send("peer", "192.0.2.2", "a-peer-leaving");
      t.equal(await sourceOf(out, "a-peer-leaving"), "192.0.2.1");
      send("out", "10.55.30.2", "to-our-subnet");
      t.equal(await sourceOf(pod, "to-our-subnet"), "192.0.2.2");
      send("out", "10.55.40.2", "to-a-peers-subnet");
      t.equal(await sourceOf(peer, "to-a-peers-subnet"), "10.55.40.1");

      sendFromHost("10.55.30.1", "192.0.2.2", "unicast");
      t.equal(await sourceOf(out, "unicast"), "192.0.2.1");
      sendFromHost("10.55.30.1", "239.1.1.1", "multicast");
      t.equal(await sourceOf(out, "multicast"), "10.55.30.1", "multicast keeps its source");

      rules(
        "table inet marks {\nchain pre {\ntype filter hook prerouting priority mangle;\nmeta mark set 0x4001\n}\n}\n",
      );
      send("pod", "192.0.2.2", "marked");
      t.equal(
        await sourceOf(out, "marked"),
        "10.55.30.2",
        "what kube-proxy has marked is left to it, whatever other bits are set",
      );
      rules("delete table inet marks\n");
      t.strictSame(faults, []);
    },
  );

  t.test("--ip-masq: the same for IPv6", async (t) => {
    const { reconciler } = reconcile(t, "off");
    await reconciler.setPlan({ ...PLAN, masquerades: MASQUERADES });
    const [pod, out, peer] = [
      await listen(t, "pod", "udp6"),
      await listen(t, "out", "udp6"),
      await listen(t, "peer", "udp6"),
    ];
    send("pod", "2001:db8::2", "leaving");
    t.equal(await sourceOf(out, "leaving"), "2001:db8::1");
    send("pod", "fd55:0:0:2::2", "to-a-peer");
    t.equal(await sourceOf(peer, "to-a-peer"), "fd55:0:0:1::2");
    send("out", "fd55:0:0:1::2", "to-our-subnet");
    t.equal(await sourceOf(pod, "to-our-subnet"), "2001:db8::2");
  });

  t.test("--ip-forward: beside Docker's FORWARD policy DROP, before and after Docker starts", async (t) => {
    const out = await listen(t, "out", "udp4");
    const { reconciler, repairs, faults } = reconcile(t, "required");
    await reconciler.setPlan(PLAN);
    t.equal(run("nft list ruleset"), "", "no chain is made where there is none");

    for (const program of ["iptables", "ip6tables"]) run(`${program} -P FORWARD DROP`);
    const before = run("nft list ruleset");
    await until("the new firewall is noticed", () => repairs.length > 0);
    send("pod", "192.0.2.2", "policy-drop");
    await sourceOf(out, "policy-drop");
    t.match(run("nft list table ip6 filter"), 'ip6 daddr fd55::/48 accept comment "hopsack-flannel0"');

    for (const rule of [
      "-N DOCKER-USER",
      "-A DOCKER-USER -j RETURN",
      "-I FORWARD -j DOCKER-USER",
      "-A FORWARD -j DROP",
    ])
      run(`iptables ${rule}`);
    await until("Docker is noticed", () => /accept[^}]*return/.test(run("nft list chain ip filter DOCKER-USER")));
    t.notMatch(run("nft list chain ip filter FORWARD"), "hopsack", "they have moved");
    send("pod", "192.0.2.2", "docker");
    await sourceOf(out, "docker");

    run("iptables -I DOCKER-USER -d 192.0.2.2 -p udp --dport 7000 -j DROP");
    send("pod", "192.0.2.2", "forbidden");
    run("iptables -F DOCKER-USER");
    run("iptables -A DOCKER-USER -j RETURN");
    await until("the flush is noticed", () => run("nft list chain ip filter DOCKER-USER").includes("hopsack"));
    send("pod", "192.0.2.2", "healed");
    await sourceOf(out, "healed");
    t.notOk(
      out.some((line) => line.startsWith("forbidden")),
      "the administrator's drop wins",
    );

    await reconciler.close();
    t.notMatch(run("nft list ruleset"), "hopsack");
    t.equal(
      withoutCounters(run("nft list table ip6 filter")),
      withoutCounters(before.slice(before.indexOf("table ip6"))).trimStart(),
    );
    t.strictSame(faults, []);
    run("nft flush ruleset");
  });

  t.test("--ip-forward=false accepts nothing, and takes away what a killed run accepted", async (t) => {
    const before = rules(
      "table ip filter {\nchain FORWARD {\ntype filter hook forward priority filter; policy drop;\n}\n}\n",
    );
    t.teardown(() => run("nft flush ruleset"));
    const killed = reconcile(t, "if-possible");
    await killed.reconciler.setPlan(PLAN);
    t.match(run("nft list ruleset"), "hopsack-flannel0");
    const { reconciler } = reconcile(t, "off");
    await reconciler.setPlan(PLAN);
    t.equal(run("nft list ruleset"), before);
  });

  t.test("without nft --ip-forward is TOOL_MISSING; who does not ask for it needs no nft", async (t) => {
    run("mount -t tmpfs tmpfs /usr/sbin"); // of this mount namespace
    t.teardown(() => run("umount /usr/sbin"));
    const { PATH } = process.env;
    process.env.PATH = "/nowhere";
    const asked = reconcile(t, "required").reconciler.setPlan(PLAN);
    await t.rejects(asked, { code: "TOOL_MISSING", message: /--ip-forward needs it; install the package nftables/ });
    for (const forward of ["if-possible", "off"] as const) await reconcile(t, forward).reconciler.setPlan(PLAN);
    process.env.PATH = PATH;
  });
});
