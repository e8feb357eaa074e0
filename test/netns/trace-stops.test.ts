// `hopsack trace` where a packet does not arrive: the right stop and its reason for each way to break the way.
//
//   h1-p1 ── cni0 [h1] flannel0, eth0 ══ br0 ══ eth0 [h2] … ── h2-p1
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import t, { type Test } from "tap";
import { hopsack, withDaemons } from "../support/hopsackd.js";
import { type LabHost, twoHosts } from "../support/lab.js";
import { run, until } from "../support/netns.js";
import { type Trace, traced } from "../support/trace.js";

const STOPPED = 3;

/** Where it stopped and the likeliest reason are as told, and the exit status says so. */
function stopsAt(t: Test, trace: Trace, where: string, reason: RegExp): void {
  t.match(trace, { status: STOPPED, isAnswered: false, stop: { where } });
  t.match(trace.stop?.reasons[0] ?? "", reason, { reasons: trace.stop?.reasons });
}

const nft = ({ netns }: LabHost, rules: string): unknown =>
  execFileSync("ip", ["netns", "exec", netns, "nft", "-f", "-"], { input: rules });
const bash = (netns: string, script: string): unknown =>
  execFileSync("ip", ["netns", "exec", netns, "sh", "-ec", script], { stdio: "pipe" });

withDaemons(t, import.meta.url, async () => {
  t.test("udp: what breaks the way is named", async (t) => {
    const lab = twoHosts(t, "udp");
    const [h1, h2] = lab;
    const [pod1, pod2] = [h1.pods[0], h2.pods[0]];
    const refused = traced("udp", "h1-p1", "10.244.254.9");
    stopsAt(
      t,
      refused,
      "it stops on h1: seen last on flannel0, out",
      /^no lease that h1 knows covers 10\.244\.254\.9; /,
    );
    t.match(refused.stop?.reasons.join("\n"), "hopsackd on h1 counted 1 × no_route: ");

    nft(h2, "table inet wall { chain in { type filter hook input priority 0; udp dport 8285 drop; }; }");
    const wall = /^nftables refused it on h2: table inet wall, chain in, rule "udp dport 8285 drop"$/;
    stopsAt(t, traced("udp", "h1-p1", "h2-p1"), "it stops on h2: seen last on eth0, in", wall);
    nft(h2, "delete table inet wall");

    nft(h1, "table inet wall { chain through { type filter hook forward priority 0; policy drop; }; }");
    const policy = /^nftables refused it on h1: table inet wall, chain through, the policy of the chain is drop$/;
    stopsAt(t, traced("udp", "h1-p1", "h2-p1"), "it stops on h1: seen last on cni0, in", policy);
    nft(h1, "delete table inet wall");

    bash(h2.netns, "echo 0 >/proc/sys/net/ipv4/ip_forward");
    const closed = traced("udp", "h1-p1", "h2-p1");
    stopsAt(
      t,
      closed,
      "it stops on h2: seen last on flannel0, in",
      /^h2 does not forward: net\.ipv4\.ip_forward is 0$/,
    );
    bash(h2.netns, "echo 1 >/proc/sys/net/ipv4/ip_forward");

    run(`ip -n ${h1.netns} route add blackhole ${pod2.address}`);
    const lost = traced("udp", "h1-p1", "h2-p1");
    stopsAt(t, lost, "it stops on h1: seen last on cni0, in", /^h1 has no route: /);
    run(`ip -n ${h1.netns} route del blackhole ${pod2.address}`);

    nft(h1, `table inet wall { chain in { type filter hook forward priority 0; icmp type echo-reply drop; }; }`);
    const answer = traced("udp", "h1-p1", "h2-p1");
    t.match(answer, { status: STOPPED, stop: { where: "the answer stops on h1: seen last on flannel0, in" } });
    nft(h1, "delete table inet wall");

    run(`ip -n ${pod2.netns} addr flush dev eth0`);
    const bare = traced("udp", "h1-p1", "h2-p1");
    const without = new RegExp(`^h2-p1 does not have the address ${pod2.address}$`);
    stopsAt(t, bare, "it arrives at h2-p1, which does not answer", without);
    run(`ip -n ${h2.netns} neigh flush dev cni0`);
    const deaf = traced("udp", "h1-p1", "h2-p1");
    const nobody = new RegExp(`^nobody answers h2's ARP for ${pod2.address} on cni0$`);
    stopsAt(t, deaf, "it stops on h2: seen last on flannel0, in", nobody);
    run(`ip -n ${pod2.netns} link set eth0 down`);
    run(`ip -n ${pod1.netns} route del default`);
    run(`ip -n ${pod1.netns} route flush root 10.244.0.0/16`);
    stopsAt(
      t,
      traced("udp", "h1-p1", "h2-p1"),
      "it does not leave h1-p1",
      /^h1-p1 has no route: Network is unreachable$/,
    );
  });

  t.test("udp: a daemon that does not run, and a host that is off, are named", async (t) => {
    const [, h2] = twoHosts(t, "off");
    process.kill(h2.daemonPid, "SIGKILL");
    await until("its device is gone", () => !run(`ip -n ${h2.netns} link`).includes("flannel0"));
    const silent = traced("off", "h1-p1", "h2-p1");
    t.match(silent, { status: STOPPED, stop: { where: "it stops on h2: seen last on eth0, in" } });
    t.match(silent.stop?.reasons.join("\n"), /Udp\.NoPorts rose by [0-9]+ on h2: nobody listens on its UDP port/);
    t.match(silent.stop?.reasons.join("\n"), "no hopsackd answers on h2");
    run(`ip -n ${h2.netns} link set eth0 down`);
    const dark = traced("off", "h1-p1", "h2-p1");
    t.match(dark, { status: STOPPED, stop: { where: "it leaves h1 by eth0 and does not arrive on h2" } });
    t.match(dark.stop?.reasons.join("\n"), "eth0 of h2 is down");
  });

  t.test("vxlan: another network number at the other end is named", async (t) => {
    const [, h2] = twoHosts(t, "vni", "--backend", "vxlan");
    process.kill(h2.daemonPid, "SIGKILL");
    run(`ip -n ${h2.netns} link del flannel.1`);
    run(`ip -n ${h2.netns} link add flannel.1 type vxlan id 7 local ${h2.underlay} dstport 8472 dev eth0 nolearning`);
    run(`ip -n ${h2.netns} link set flannel.1 up`);
    const trace = traced("vni", "h1-p1", "h2-p1");
    stopsAt(t, trace, "it stops on h2: seen last on eth0, in", /^it came with VNI 1, and on h2 flannel\.1 has VNI 7$/);
  });

  t.test("host-gw: rp_filter is named by its counter", async (t) => {
    const [h1, h2] = twoHosts(t, "rp", "--backend", "host-gw");
    bash(h2.netns, "echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter");
    run(`ip -n ${h2.netns} route add ${h1.pods[0].address} dev cni0`);
    const trace = traced("rp", "h1-p1", "h2-p1");
    stopsAt(
      t,
      trace,
      "it stops on h2: seen last on eth0, in",
      /^(h2 has no route|TcpExt\.IPReversePathFilter rose by [0-9]+ on h2)/,
    );
    t.match(trace.stop?.reasons.join("\n"), "TcpExt.IPReversePathFilter rose by");
  });

  t.test("a policy that refuses is named with its rule", async (t) => {
    const [h1, h2] = twoHosts(t, "policy", "--attach", "routed");
    const host = { name: h2.netns, address: h2.underlay };
    const files = `--subnet-file /run/hopsack/labs/policy/h2/subnet.env`;
    const { pods } = JSON.parse(hopsack(host, `policy show --json ${files}`));
    hopsack(host, `policy label ${pods[0].containerId} role=db ${files}`);
    const set = { policies: [{ name: "db", pods: { role: "db" }, ingress: [{ allow: ["tcp/5432"] }] }] };
    writeFileSync("/run/policy.json", JSON.stringify(set));
    hopsack(host, `policy apply /run/policy.json ${files}`);
    const trace = traced("policy", "h1-p1", "h2-p1");
    const refusal = /^a policy refused it on h2: table inet hopsack_policy, chain \S+, rule "/;
    stopsAt(t, trace, "it stops on h2: seen last on flannel0, in", refusal);
    const allowed = traced("policy", "h1-p1", "h2-p1", "--proto", "tcp", "--port", "5432");
    t.match(allowed, { status: 0, isAnswered: true });
    t.match(traced("policy", "h2-p1", "h1-p1"), { status: 0 });
    t.match(h1.name, "h1");
  });
});
