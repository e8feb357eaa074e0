// How a policy lives on its host: under running streams, while pods come and go, beside a daemon that is killed, and when somebody
// else touches its rules. One host; daemon, plugin and nft are the real ones.
import { once } from "node:events";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { CniHost, skipBridge } from "../support/cni.js";
import { flowReceiver, flowSender, lostDuring } from "../support/flow.js";
import { makeHost, startHopsack, withDaemons } from "../support/hopsackd.js";
import { run, until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { addPod, answered, applyPolicy, policy, policyTables, removePod } from "../support/policy.js";

const ROUTED = { attach: "routed" };
const WAYS = [
  ["routed", ROUTED, false],
  ["bridge", { attach: "bridge", delegate: { isDefaultGateway: true } }, skipBridge],
] as const;
const SWAPS = 8;
const KILLS = 12;

/** Everybody may ask app on the ports from `first` on; nobody may ask db. */
function openFrom(first: number): object {
  return {
    groups: { web: { pods: { role: "web" } } },
    policies: [
      { name: "app", pods: { role: "app" }, ingress: [{ from: ["web"], allow: [`udp/${first}-9999`, "tcp/8080"] }] },
      { name: "db", pods: { role: "db" }, ingress: [] },
    ],
  };
}

withDaemons(t, import.meta.url, async () => {
  const host = await makeHost("h", "192.0.2.1");
  let pods = 0;

  async function start(t: Test, config: object = ROUTED) {
    const place = new Place(t);
    const [daemon] = await place.startAll(t, [host]);
    const cni = new CniHost(place, host, { ...config });
    const withRole = (role: string) => addPod(t, cni, `${role}${++pods}`, { labels: { role } });
    t.teardown(() => policy(place, host, "remove"));
    return { place, daemon, cni, withRole };
  }

  for (const [way, config, skip] of WAYS) {
    t.test(
      `${way}: while policies follow each other, no allowed packet is lost and no refused one arrives`,
      { skip },
      async (t) => {
        const { place, withRole } = await start(t, config);
        const [web, app, db] = [await withRole("web"), await withRole("app"), await withRole("db")];
        applyPolicy(place, host, openFrom(9000));
        const refused = flowReceiver(t, { name: db.name, address: "" });
        await refused.ready();
        const [target = "", closed = ""] = [app.addresses[0], db.addresses[0]];
        const knocking = flowSender(t, { name: web.name, address: "" }, closed, 1);
        await knocking.ready();
        const ends = { a: { name: web.name, address: "" }, b: { name: app.name, address: "" }, target };
        const lost = await lostDuring(t, ends, 1, async () => {
          for (let swap = 0; swap < SWAPS; swap++) applyPolicy(place, host, openFrom(swap % 2 === 0 ? 8000 : 9000));
        });
        t.equal(lost, 0);
        const { sent = 0 } = await knocking.end();
        t.ok(sent > 100);
        t.equal((await refused.end()).received, 0);
        for (const pod of [web, app, db]) await removePod(pod);
        if (way === "bridge") run("ip -n h link delete cni0");
      },
    );
  }

  t.test("what was allowed and denied is counted, for each policy", async (t) => {
    const { place, withRole } = await start(t);
    const [web, app, db] = [await withRole("web"), await withRole("app"), await withRole("db")];
    t.same(place.status(host).policies, []);
    t.match(policy(place, host, "show"), /^no policy is in force: every pod is open\n/);
    applyPolicy(place, host, openFrom(9000));
    t.strictSame(await answered([web, app, db]).then((talks) => talks.filter((talk) => !talk.includes("web"))), []);
    const [ofApp, ofDb] = place.status(host).policies;
    t.match(ofApp, { name: "app", pods: 1, egress: null });
    t.match(ofDb, { name: "db", pods: 1, ingress: { allowed: { packets: 0, bytes: 0 } }, egress: null });
    t.ok((ofApp?.ingress?.allowed.packets ?? 0) >= 3, "a whole TCP connection, not its first packet only");
    t.ok((ofApp?.ingress?.denied.bytes ?? 0) > 0);
    t.ok((ofDb?.ingress?.denied.packets ?? 0) > 0);
    const shown = JSON.parse(policy(place, host, "show --json"));
    t.match(shown.policies[1], { name: "db", pods: 1 });
    t.match(
      shown.pods.find((pod: { containerId: string }) => pod.containerId === db.name),
      {
        addresses: db.addresses,
        labels: { role: "db" },
        policies: ["db"],
      },
    );
    const metrics = run(`ip netns exec h curl -s --unix-socket ${place.socket(host)} http://h/metrics`);
    t.match(metrics, /^hopsack_policy_packets_total\{policy="db",direction="ingress",verdict="denied"\} [1-9]/m);
    t.match(metrics, /^hopsack_policy_bytes_total\{policy="app",direction="ingress",verdict="allowed"\} [1-9]/m);
    for (const pod of [web, app, db]) await removePod(pod);
  });

  t.test("a pod that goes takes its elements and its chain along, by DEL and by GC", async (t) => {
    const { place, cni, withRole } = await start(t);
    applyPolicy(place, host, openFrom(9000));
    const without = policyTables(host);
    const [web, app] = [await withRole("web"), await withRole("app")];
    t.match(policyTables(host), /chain pod-ingress-[0-9a-f]{12} /);
    await removePod(app);
    t.notMatch(policyTables(host), app.addresses[0]);
    t.notMatch(policyTables(host), /chain pod-ingress/);
    t.match(policyTables(host), web.addresses[0]);
    t.equal((await cni.call({ verb: "GC" }, { "cni.dev/valid-attachments": [] })).status, 0);
    t.equal(policyTables(host), without);
    t.strictSame(readdirSync(join(cni.dataDir, ".policy/pods")), []);
  });

  t.test("a pod is not started where its policy cannot be put in force", async (t) => {
    const { place, cni } = await start(t);
    applyPolicy(place, host, openFrom(9000));
    writeFileSync(join(place.folder, "h/policy.json"), "{");
    run("ip netns add unlucky");
    const call = { verb: "ADD", containerId: "unlucky", ifName: "eth0", netns: "/run/netns/unlucky" };
    t.match(await cni.call(call), { status: 1, json: { code: 7, msg: /policy\.json is not valid JSON/ } });
    t.notMatch(run("ip -n unlucky link"), "eth0");
    t.notMatch(run("ip -n h link"), "hsk");
    run("ip netns delete unlucky");
  });

  t.test("the rules outlive the daemon; it puts back what somebody else took", async (t) => {
    const { place, daemon, withRole } = await start(t);
    const [web, db] = [await withRole("web"), await withRole("db")];
    applyPolicy(place, host, openFrom(9000));
    const rules = policyTables(host);
    const isHealed = () => policyTables(host) === rules;
    run("ip netns exec h nft delete table inet hopsack_policy");
    await until("the table is back", isHealed);
    run("ip netns exec h nft flush chain inet hopsack_policy ingress");
    await until("the rules are back", isHealed);
    run(`ip netns exec h nft add element inet hopsack_policy pods4-web { 198.51.100.1 }`);
    await until("the stranger is out", isHealed);
    t.match(await daemon?.logged("policy_rules"), { outcome: "repaired" });
    daemon?.kill("SIGKILL");
    await daemon?.ended;
    t.equal(policyTables(host), rules, "after a crash");
    t.match(place.cleanUp(host), "removed nftables table inet hopsack_policy\n");
    t.equal(policyTables(host), "");
    const successor = place.start(t, host);
    await successor.logged("ready");
    await until("the policy is in force again", isHealed);
    await successor.stop();
    t.equal(policyTables(host), rules, "after a stop");
    t.strictSame(
      (await answered([web, db])).filter((talk) => talk.includes(`${web.name} ${db.name}`)),
      [],
    );
    for (const pod of [web, db]) await removePod(pod);
    t.equal(policy(place, host, "remove"), "removed: every pod of this host is open\n");
    t.equal(policy(place, host, "remove"), "no policy was in force\n");
  });

  t.test("kill -9 at any moment leaves the rules of before or those of after, and the next one goes on", async (t) => {
    const { place, withRole } = await start(t);
    const app = await withRole("app");
    const files = [8000, 9000].map((first) => join(place.folder, `from-${first}.json`));
    const known = [8000, 9000].map((first, index) => {
      applyPolicy(place, host, openFrom(first));
      writeFileSync(files[index] ?? "", JSON.stringify(openFrom(first)));
      return policyTables(host);
    });
    const startedAt = performance.now();
    policy(place, host, `apply ${files[0]}`);
    const lasts = performance.now() - startedAt;
    for (let kill = 0; kill < KILLS; kill++) {
      const child = startHopsack(host, `policy apply ${files[kill % 2]} --subnet-file ${place.subnetFile(host)}`);
      const closed = once(child, "close");
      await new Promise((resolve) => setTimeout(resolve, (lasts * (kill + 1)) / KILLS));
      child.kill("SIGKILL");
      await closed;
      // The daemon brings the rules to what the file says.
      await until("the rules are whole", () => known.includes(policyTables(host)));
    }
    policy(place, host, `apply ${files[1]}`);
    t.equal(policyTables(host), known[1]);
    await removePod(app);
    policy(place, host, "remove");
    t.equal(policyTables(host), "");
  });
});
