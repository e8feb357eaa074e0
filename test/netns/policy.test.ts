// Who of the pods may talk to whom, on a host with a policy; daemons, plugins and nft are the real ones.
//
//   web, app, db, guest ══ [a 192.0.2.1] ── br0 ── [b 192.0.2.2] ══ far
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import t, { type Test } from "tap";
import { answers, CniHost, skipBridge } from "../support/cni.js";
import { Script } from "../support/flow.js";
import { makeHost, withDaemons } from "../support/hopsackd.js";
import { run, until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { addPod, answered, applyPolicy, expected, policy, removePod } from "../support/policy.js";

const WAYS = [
  ["routed", { attach: "routed" }, false],
  ["bridge", { attach: "bridge", delegate: { isDefaultGateway: true } }, skipBridge],
] as const;
const DUAL = JSON.stringify({
  Network: "10.244.0.0/16",
  EnableIPv6: true,
  IPv6Network: "fd00:10:244::/48",
  Backend: { Type: "udp" },
});
const FOREIGN = `
add table inet theirs
add set inet theirs s { type ipv4_addr; }
add element inet theirs s { 192.0.2.9 }
add chain inet theirs c { type filter hook forward priority filter; policy accept; }
add rule inet theirs c ip saddr @s accept
add table bridge theirs
add chain bridge theirs c { type filter hook forward priority filter; policy accept; }
`;

/** web may ask app; app and the far host may ask db; db may ask nobody. */
function threeRoles(farNetworks: readonly string[]): object {
  return {
    groups: {
      web: { pods: { role: "web" } },
      app: { pods: { role: "app" } },
      far: { addresses: farNetworks },
    },
    policies: [
      { name: "app", pods: { role: "app" }, ingress: [{ from: ["web"], allow: ["tcp/8000-8100", "icmp"] }] },
      {
        name: "db",
        pods: { role: "db" },
        ingress: [{ from: ["app", "far"], allow: ["tcp/5432", "udp/5432"] }],
        egress: [],
      },
    ],
  };
}

function mayTalk(from: string, to: string, talk: string): boolean {
  if (from === "db") return false;
  if (to === "app") return from === "web" && ["tcp/8080", "icmp"].includes(talk);
  if (to === "db") return ["app", "far"].includes(from) && ["tcp/5432", "udp/5432"].includes(talk);
  return true;
}

function linkLocal(netns: string, link: string): string {
  return /inet6 (fe80[^/]*)/.exec(run(`ip -n ${netns} addr show ${link}`))?.[1] ?? "none";
}

withDaemons(t, import.meta.url, async () => {
  const [a, b] = [await makeHost("a", "192.0.2.1"), await makeHost("b", "192.0.2.2")] as const;
  for (const { name } of [a, b]) {
    const settings = "echo 0 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding";
    execFileSync("ip", ["netns", "exec", name, "sh", "-c", settings]);
  }

  /** The pods of the drawing; the labels of db come from the network configuration. */
  async function start(t: Test, config: object) {
    const place = new Place(t, DUAL);
    const daemons = await place.startAll(t, [a, b]);
    const [atA, atB] = [new CniHost(place, a, { ...config }), new CniHost(place, b, { ...config })];
    const web = await addPod(t, atA, "web", { runtimeConfig: { labels: { role: "web" } } });
    const app = await addPod(t, atA, "app");
    const db = await addPod(t, atA, "db", { labels: { role: "db" } });
    const guest = await addPod(t, atA, "guest");
    const far = await addPod(t, atB, "far");
    policy(place, a, "label app role=app");
    // A new bridge asks nobody for a neighbour before its own address is known to be free.
    for (const { name } of [a, b])
      await until("no address is tentative", () => !/tentative/.test(run(`ip -n ${name} addr`)));
    const { subnet = "", subnetV6 = "" } = place.status(b).lease ?? {};
    t.teardown(async () => {
      policy(place, a, "remove");
      for (const pod of [web, app, db, guest, far]) await removePod(pod);
      if (config !== WAYS[0][1]) for (const { name } of [a, b]) run(`ip -n ${name} link delete cni0`);
    });
    const pods = [web, app, db, guest, far];
    return { place, daemons, atA, web, app, db, guest, far, pods, roles: threeRoles([subnet, subnetV6 ?? ""]) };
  }

  /** Whether br_netfilter shows the frames of a bridge to the chains of inet: once it is loaded it does, unless told otherwise. */
  function filterBridges(t: Test, isOn: boolean): void {
    if (!existsSync("/proc/sys/net/bridge")) {
      if (isOn) t.pass("with br_netfilter", { skip: "the module br_netfilter is not loaded" });
      return;
    }
    const settings = "cd /proc/sys/net/bridge; for key in iptables ip6tables; do echo $0 >bridge-nf-call-$key; done";
    execFileSync("ip", ["netns", "exec", "a", "sh", "-c", settings, isOn ? "1" : "0"]);
  }

  /** What `nft monitor` tells from now on, without the marks that this uses itself. */
  async function rulesHeard(t: Test) {
    const monitor = new Script(t, a, "stdbuf", "-oL", "nft", "monitor");
    const mark = (name: string): boolean => {
      run(`ip netns exec a nft add table inet ${name}`);
      run(`ip netns exec a nft delete table inet ${name}`);
      return monitor.lines.includes(`delete table inet ${name}`);
    };
    await until("nft monitor listens", () => mark("begin"));
    return {
      heard: () =>
        monitor.lines.map((line) => line.trimEnd()).filter((line) => !/^#|table inet (begin|end)$/.test(line)),
      end: async () => {
        await until("nft monitor has told everything", () => mark("end"));
        await monitor.kill();
      },
    };
  }

  t.test("bridge: no frame goes from port to port past a policy", { skip: skipBridge }, async (t) => {
    filterBridges(t, false);
    const { place, roles } = await start(t, WAYS[1][1]);
    const hears = (pod: string, other: string): boolean => {
      const argv = ["netns", "exec", pod, "ping", "-c", "3", "-i", "0.3", "-W", "1", "ff02::1%eth0"];
      return spawnSync("ip", argv, { encoding: "utf8" }).stdout.includes(linkLocal(other, "eth0"));
    };
    const asks = (pod: string, other: string): boolean => answers(pod, `${linkLocal(other, "eth0")}%eth0`);
    await until("guest hears app", () => hears("guest", "app"));
    applyPolicy(place, a, roles);
    t.notOk(hears("guest", "app"), "what goes to all of the link");
    t.ok(hears("guest", "web"), "open pods hear each other");
    t.notOk(asks("guest", "app"), "to a link-local address");
    t.notOk(asks("db", "guest"), "and from one");
    t.ok(asks("guest", "web"));
  });

  for (const [way, config, skip] of WAYS) {
    t.test(`${way}: a pod that may ask nobody does not ask its host, either`, { skip }, async (t) => {
      const { place, roles, db } = await start(t, config);
      const linkLocalOfHost = `${way === "bridge" ? linkLocal("a", "cni0") : "fe80::1"}%eth0`;
      await until("db asks its host", () => answers("db", a.address) && answers("db", linkLocalOfHost));
      applyPolicy(place, a, roles);
      t.strictSame([answers("db", a.address), answers("db", linkLocalOfHost)], [false, false]);
      t.strictSame([answers("web", a.address), answers("web", linkLocalOfHost)], [true, true]);
      for (const address of db.addresses) t.ok(answers("a", address), "a host reaches its own pods");
    });

    t.test(
      `${way}: what a policy allows passes, all else is refused, on one host and between two`,
      { skip },
      async (t) => {
        filterBridges(t, false);
        execFileSync("ip", ["netns", "exec", "a", "nft", "-f", "-"], { input: FOREIGN });
        const { place, pods, roles } = await start(t, config);
        const open = expected(pods, () => true);
        t.strictSame(await answered(pods, open), open, "without a policy every pod is open");
        const theirs = run("ip netns exec a nft -s list ruleset");
        t.equal(applyPolicy(place, a, roles), "in force: 2 policies, which protect 2 of 4 pods on this host\n");
        const allowed = expected(pods, mayTalk);
        t.strictSame(await answered(pods, allowed), allowed);
        t.equal(policy(place, a, "remove"), "removed: every pod of this host is open\n");
        t.strictSame(await answered(pods, open), open, "and without it again");
        t.equal(run("ip netns exec a nft -s list ruleset"), theirs, "nobody else's tables were touched");
        run("ip netns exec a nft flush ruleset");
      },
    );

    t.test(`${way}: a label more is an element more`, { skip }, async (t) => {
      filterBridges(t, true);
      const { place, guest, app, pods, roles } = await start(t, config);
      applyPolicy(place, a, roles);
      const { heard, end } = await rulesHeard(t);
      t.match(policy(place, a, "label guest role=web team=red"), "guest is labelled role=web team=red");
      await end();
      t.strictSame(heard(), [
        `add element inet hopsack_policy pods4-web { ${guest.addresses[0]} }`,
        `add element inet hopsack_policy pods6-web { ${guest.addresses[1]} }`,
      ]);
      const asWeb = (from: string, to: string, talk: string) => mayTalk(from === "guest" ? "web" : from, to, talk);
      const relabelled = expected(pods, asWeb);
      t.strictSame(await answered(pods, relabelled), relabelled);
      t.match(policy(place, a, `label ${guest.addresses[0]} role- team-`), "guest is labelled with nothing");
      const before = expected([guest, app], mayTalk);
      t.strictSame(await answered([guest, app], before), before);
    });
  }
});
