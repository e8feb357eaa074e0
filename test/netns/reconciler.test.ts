// The Reconciler and its masquerade table against a real kernel, with iproute2 and nft as oracle and as saboteur. The plan,
// on the host of support/kernel-host.ts:
//
//   flannel0 10.55.30.0/32, fd55:0:0:1::/128      10.55.0.0/16 dev flannel0 proto 85      fd55::/48 dev flannel0 proto 85
import { spawnSync } from "node:child_process";
import t, { type Test } from "tap";
import { loadAddon } from "../../src/addon.js";
import { Reconciler, type RepairKind } from "../../src/kernel/reconciler.js";
import type { Rtnetlink } from "../../src/kernel/rtnetlink.js";
import { type Prefix, parsePrefix } from "../../src/net/prefix.js";
import { NO_SETTINGS } from "../../src/netlink/link.js";
import { HOPSACK_ROUTE_PROTOCOL } from "../../src/netlink/route.js";
import type { Plan } from "../../src/plan/plan.js";
import { linkNamed, setUpHost } from "../support/kernel-host.js";
import { inOwnNamespace, ipJson, run, until } from "../support/netns.js";

const PLAN: Plan = {
  links: [{ kind: "tun", name: "flannel0", mtuBytes: 1472, txQueueLength: 700 }],
  addresses: [
    { link: "flannel0", address: "10.55.30.0/32" },
    { link: "flannel0", address: "fd55:0:0:1::/128" },
  ],
  routes: [
    { prefix: "10.55.0.0/16", link: "flannel0", gateway: null, isOnLink: false },
    { prefix: "fd55::/48", link: "flannel0", gateway: null, isOnLink: false },
  ],
  neighbors: [],
  fdb: [],
  masquerades: [],
  pumpRoutes: [],
};
const MASQUERADES = [
  { network: "10.55.0.0/16", subnet: "10.55.30.0/24" },
  { network: "fd55::/48", subnet: "fd55:0:0:1::/64" },
];
const OUR_ROUTES = `proto ${HOPSACK_ROUTE_PROTOCOL}`;

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

interface Watched {
  readonly reconciler: Reconciler;
  readonly repairs: string[];
  readonly gone: string[];
  readonly faults: unknown[];
}

function reconcile(t: Test, rtnetlink: Rtnetlink): Watched {
  const repairs: string[] = [];
  const gone: string[] = [];
  const faults: unknown[] = [];
  const { NetlinkMonitor } = loadAddon();
  const reconciler = new Reconciler({
    rtnetlink,
    openMonitor: (groups, onMessages, protocol) => new NetlinkMonitor(groups, onMessages, protocol),
    deviceName: "flannel0",
    networks: [prefix("10.55.0.0/16"), prefix("fd55::/48")],
    forward: "off",
    onRepair: (kind: RepairKind, what) => repairs.push(`${kind} ${what}`),
    onLinkGone: (name) => gone.push(name),
    onFault: (error) => faults.push(error),
    onLinkMade: () => {},
    onHostChange: () => {},
  });
  t.teardown(() => reconciler.close());
  return { reconciler, repairs, gone, faults };
}

/** Everything that iproute2 shows and that close() must leave as it was. */
function hostState(): string {
  return ["-o address", "route", "-6 route", "rule"]
    .map((args) => run(`ip ${args}`).replaceAll(/ {2}valid_lft.*|expires \d+sec/g, ""))
    .join("\n");
}

function hasRoute(text: string): boolean {
  return `${run("ip route")}${run("ip -6 route")}`.includes(text);
}

inOwnNamespace(t, import.meta.url, () => {
  t.test("a plan becomes true in one call, and close() leaves the host as it was", async (t) => {
    const rtnetlink = await setUpHost(t);
    run("ip link set flannel0 up");
    const before = hostState();
    const { reconciler, repairs, faults } = reconcile(t, rtnetlink);
    await reconciler.setPlan(PLAN);
    const [link] = ipJson("-d link show flannel0");
    t.match(link, { mtu: 1472, txqlen: 700 });
    t.match(run("ip -o address show dev flannel0"), /inet 10\.55\.30\.0\/32 scope global/);
    t.match(run("ip -o address show dev flannel0"), /inet6 fd55:0:0:1::\/128 scope global/);
    t.match(run("ip route"), `10.55.0.0/16 dev flannel0 ${OUR_ROUTES} scope link`);
    t.match(run("ip -6 route"), `fd55::/48 dev flannel0 ${OUR_ROUTES}`);
    await reconciler.setPlan(PLAN);
    await reconciler.close();
    t.equal(hostState(), before);
    t.strictSame([repairs, faults], [[], []]);
  });

  t.test("a new plan removes what the old one needed, and nothing else", async (t) => {
    const rtnetlink = await setUpHost(t);
    const { reconciler } = reconcile(t, rtnetlink);
    await reconciler.setPlan({
      ...PLAN,
      routes: [{ prefix: "10.55.1.0/24", link: "uplink", gateway: "10.99.0.2", isOnLink: false }],
    });
    run("ip route add 10.55.2.0/24 dev flannel0"); // somebody's own
    await reconciler.setPlan({
      ...PLAN,
      routes: [{ prefix: "10.55.1.0/24", link: "uplink", gateway: "10.99.0.3", isOnLink: false }],
    });
    t.match(run("ip route"), `10.55.1.0/24 via 10.99.0.3 dev uplink ${OUR_ROUTES}`);
    await reconciler.setPlan({ ...PLAN, addresses: [{ link: "flannel0", address: "10.55.31.0/32" }] });
    t.notOk(hasRoute("10.55.1.0/24"));
    t.ok(hasRoute("10.55.2.0/24"));
    t.notMatch(run("ip address show dev flannel0"), /10\.55\.30\.0|fd55/);
  });

  t.test("what somebody removes or changes is put back, and said", async (t) => {
    const rtnetlink = await setUpHost(t);
    const { reconciler, repairs, faults } = reconcile(t, rtnetlink);
    await reconciler.setPlan(PLAN);
    const sabotage: [string, string, () => boolean][] = [
      ["ip route delete 10.55.0.0/16", "add-route 10.55.0.0/16 dev flannel0", () => hasRoute("10.55.0.0/16 dev")],
      ["ip -6 route delete fd55::/48", "add-route fd55::/48 dev flannel0", () => hasRoute("fd55::/48 dev")],
      [
        "ip address delete 10.55.30.0/32 dev flannel0",
        "add-address 10.55.30.0/32 dev flannel0",
        () => run("ip address").includes("10.55.30.0/32"),
      ],
      ["ip link set flannel0 mtu 1300", "set-link flannel0 mtu 1472", () => run("ip link").includes("mtu 1472")],
      ["ip link set flannel0 down", "set-link flannel0 up", () => hasRoute("10.55.0.0/16 dev flannel0")],
      [
        "ip address add 10.55.99.0/32 dev flannel0",
        "remove-address 10.55.99.0/32 dev flannel0",
        () => !run("ip address").includes("10.55.99.0"),
      ],
      [
        `ip route add 10.55.7.0/24 via 10.99.0.2 ${OUR_ROUTES}`,
        "remove-route 10.55.7.0/24 via 10.99.0.2 dev uplink",
        () => !hasRoute("10.55.7.0/24"),
      ],
      [
        "ip route replace 10.55.0.0/16 dev flannel0 proto static",
        "replace-route 10.55.0.0/16 dev flannel0",
        () => hasRoute(`10.55.0.0/16 dev flannel0 ${OUR_ROUTES}`),
      ],
    ];
    for (const [command, repair, isRepaired] of sabotage) {
      run(command);
      await until(`repair after ${command}`, isRepaired);
      await until(`${repair} is said`, () => repairs.includes(repair));
    }
    t.strictSame(faults, []);
    t.ok(run("ip address").includes("fd55:0:0:1::/128"), "what a link takes along when it goes down is back, too");
  });

  t.test("routes and addresses that are not ours stay", async (t) => {
    const rtnetlink = await setUpHost(t);
    run("ip route add 10.55.8.0/24 via 10.99.0.2 proto static");
    run(`ip route add 10.77.0.0/16 via 10.99.0.2 ${OUR_ROUTES}`); // another hopsackd's, of another Network
    run("ip address add 10.55.9.1/24 dev peer");
    const { reconciler, repairs } = reconcile(t, rtnetlink);
    await reconciler.setPlan(PLAN);
    run("ip route add 10.55.11.0/24 via 10.99.0.2");
    await reconciler.check();
    await reconciler.close();
    const routes = [
      "10.55.8.0/24 via",
      "10.77.0.0/16 via",
      "10.55.9.0/24 dev peer",
      "10.55.11.0/24 via",
      "default via",
    ];
    for (const route of routes) t.ok(hasRoute(route), route);
    t.strictSame(repairs, []);
  });

  t.test("a foreign route in our place is not replaced: the plan is refused", async (t) => {
    const rtnetlink = await setUpHost(t);
    run("ip route add 10.55.0.0/16 via 10.99.0.2");
    const { reconciler } = reconcile(t, rtnetlink);
    await t.rejects(reconciler.setPlan(PLAN), {
      code: "KERNEL_REFUSED",
      message: /10\.55\.0\.0\/16 dev flannel0 \(EEXIST/,
    });
    t.ok(hasRoute("10.55.0.0/16 via 10.99.0.2"));
  });

  t.test("leftovers of a killed run are taken over or removed", async (t) => {
    const rtnetlink = await setUpHost(t);
    run("ip link set flannel0 up");
    run("ip address add 10.55.29.0/32 dev flannel0");
    run(`ip route add 10.55.0.0/16 dev flannel0 ${OUR_ROUTES}`);
    run(`ip route add 10.55.12.0/24 via 10.99.0.2 ${OUR_ROUTES}`);
    const { reconciler } = reconcile(t, rtnetlink);
    await reconciler.setPlan(PLAN);
    t.notOk(hasRoute("10.55.12.0/24"));
    t.ok(hasRoute("10.55.0.0/16 dev flannel0"));
    t.notMatch(run("ip address"), "10.55.29.0");
  });

  t.test("a device that vanishes is reported once; one that comes back is used again", async (t) => {
    const rtnetlink = await setUpHost(t);
    const { reconciler, gone, faults } = reconcile(t, rtnetlink);
    await reconciler.setPlan(PLAN);
    run("ip link delete flannel0");
    await until("the loss is reported", () => gone.length > 0);
    run("ip link set uplink mtu 1400");
    await reconciler.check();
    t.strictSame(gone, ["flannel0"]);
    await t.rejects(reconciler.setPlan(PLAN), {
      code: "KERNEL_REFUSED",
      message: /flannel0 is not there/,
      retryable: true,
    });
    run("ip tuntap add flannel0 mode tun");
    await until("the route is back", () => hasRoute("10.55.0.0/16 dev flannel0"));
    run("ip link delete flannel0");
    await reconciler.close();
    t.strictSame(faults, []);
  });

  t.test(
    "a VXLAN device that a killed run left is no obstacle to a TUN device of its name; anybody else's is",
    async (t) => {
      const rtnetlink = await setUpHost(t);
      t.teardown(() => {
        run("ip link delete flannel.1");
      });
      const { reconciler } = reconcile(t, rtnetlink);
      const exists = () => run("ip link").includes("flannel.1");
      run("ip link add flannel.1 type vxlan id 1 dstport 8472 dev uplink");
      reconciler.freeName("flannel.1");
      t.ok(exists(), "not ours");
      run("ip link set flannel.1 alias hopsack");
      reconciler.freeName("flannel.1");
      t.ok(exists(), "nor another hopsackd's");
      rtnetlink.apply([
        {
          kind: "set-link",
          linkIndex: linkNamed(rtnetlink, "flannel.1").index,
          linkName: "flannel.1",
          ...NO_SETTINGS,
          alias: "hopsack flannel0",
        },
      ]);
      reconciler.freeName("flannel.2");
      t.ok(exists(), "another name");
      reconciler.freeName("flannel.1");
      t.notOk(exists());
      run("ip tuntap add flannel.1 mode tun");
    },
  );

  t.test("masquerade rules are as planned, put back after a flush, and gone after close()", async (t) => {
    if (spawnSync("nft", ["list", "ruleset"]).status !== 0) {
      t.pass("nft", { skip: "nft is not installed, or this kernel has no nf_tables" });
      return;
    }
    const rtnetlink = await setUpHost(t);
    run("nft add table inet other");
    const before = run("nft list ruleset");
    const { reconciler, repairs, faults } = reconcile(t, rtnetlink);
    await reconciler.setPlan({ ...PLAN, masquerades: MASQUERADES });
    const rules = run("nft list table inet hopsack-flannel0");
    t.matchStrict(
      rules.match(/^\t\t(?!type).*$/gm)?.map((line) => line.trim()),
      [
        "meta mark & 0x00004000 == 0x00004000 return",
        "ip saddr 10.55.30.0/24 ip daddr 10.55.0.0/16 return",
        "ip saddr 10.55.0.0/16 ip daddr 10.55.30.0/24 return",
        "ip saddr != 10.55.0.0/16 ip daddr 10.55.30.0/24 return",
        "ip saddr 10.55.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random",
        "ip saddr != 10.55.0.0/16 ip daddr 10.55.0.0/16 masquerade fully-random",
        "ip6 saddr fd55:0:0:1::/64 ip6 daddr fd55::/48 return",
        "ip6 saddr fd55::/48 ip6 daddr fd55:0:0:1::/64 return",
        "ip6 saddr != fd55::/48 ip6 daddr fd55:0:0:1::/64 return",
        "ip6 saddr fd55::/48 ip6 daddr != ff00::/8 masquerade fully-random",
        "ip6 saddr != fd55::/48 ip6 daddr fd55::/48 masquerade fully-random",
      ],
    );
    run("nft flush ruleset");
    run("nft add table inet other");
    await until("the flush is noticed", () => repairs.length > 0);
    t.equal(run("nft list table inet hopsack-flannel0"), rules);
    t.strictSame(repairs, ["masquerade the masquerade rules"]);
    await reconciler.setPlan(PLAN);
    t.equal(run("nft list ruleset"), before, "a plan without masquerades has no table");
    await reconciler.setPlan({ ...PLAN, masquerades: MASQUERADES });
    await reconciler.close();
    t.equal(run("nft list ruleset"), before);
    t.strictSame(faults, []);
  });

  t.test("--ip-masq without nft is TOOL_MISSING, and a plan without masquerades needs no nft", async (t) => {
    const rtnetlink = await setUpHost(t);
    const { PATH } = process.env;
    t.teardown(() => {
      process.env.PATH = PATH;
    });
    const { reconciler } = reconcile(t, rtnetlink);
    process.env.PATH = "/nowhere";
    const plan = reconciler.setPlan({ ...PLAN, masquerades: MASQUERADES });
    if (spawnSync("/usr/sbin/nft", ["--version"]).status === 0) await plan;
    else await t.rejects(plan, { code: "TOOL_MISSING", message: /install the package nftables/ });
    await reconciler.setPlan(PLAN);
    process.env.PATH = PATH;
  });
});
