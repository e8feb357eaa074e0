// bird/config: what differs between plans. That BIRD understands the whole is shown in test/netns/bgp.test.ts.
import t from "tap";
import { birdConfig, networkOfConfig, sessionName } from "../../../src/bird/config.js";
import type { BgpPlan, BgpSessionPlan } from "../../../src/plan/plan.js";

const session = (kind: BgpSessionPlan["kind"], changes: Partial<BgpSessionPlan> = {}): BgpSessionPlan => ({
  ...{ kind, address: "192.168.50.11", asNumber: 64_512, password: null, isPassive: false, isOnLink: true },
  ...changes,
});

function protocols(sessions: readonly BgpSessionPlan[], changes: Partial<BgpPlan> = {}): string[] {
  return configOf(sessions, changes)
    .split("\n")
    .filter((line) => line.startsWith("protocol bgp"));
}

function configOf(sessions: readonly BgpSessionPlan[], changes: Partial<BgpPlan> = {}): string {
  const plan: BgpPlan = {
    ...{ localAddress: "192.168.50.10", asNumber: 64_512, underlay: "eth0" },
    ...{ network: "10.244.0.0/16", subnet: "10.244.1.0/24", blackholeMetric: 0, bfd: "off", sessions, tunnel: null },
    ...changes,
  };
  return birdConfig(plan, "/run/bird.log");
}

t.test("a session is one line with what it alone has", async (t) => {
  t.strictSame(
    protocols([
      session("mesh"),
      session("global", { address: "172.16.0.1", asNumber: 65_001, password: "a b", isOnLink: false }),
      session("mesh", { address: "192.168.50.9", isPassive: true }),
    ]),
    [
      "protocol bgp Mesh_192_168_50_11 from session { neighbor 192.168.50.11 as 64512; direct; }",
      'protocol bgp Global_172_16_0_1 from session { neighbor 172.16.0.1 as 65001; multihop; password "a b"; }',
      "protocol bgp Mesh_192_168_50_9 from session { neighbor 192.168.50.9 as 64512; direct; passive on; }",
    ],
  );
});

t.test("a reflector passes on what it heard, to hosts and other reflectors but not outside", async (t) => {
  const [mesh, client, global] = protocols([
    session("mesh"),
    session("client", { address: "192.168.50.12" }),
    session("global", { address: "172.16.0.1" }),
  ]);
  t.match(mesh, "export filter own_subnet_and_heard");
  t.match(client, "rr client; rr cluster id 192.168.50.10; ipv4 { export filter own_subnet_and_heard; };");
  t.notMatch(global, "own_subnet_and_heard");
});

t.test("BFD is in the file when it is asked for", async (t) => {
  t.notMatch(configOf([]), "protocol bfd");
  t.match(configOf([], { bfd: "graceful" }), /^protocol bfd [\s\S]*bfd graceful;/m);
});

t.test("a configuration says which Network it was for; another file does not", async (t) => {
  t.equal(networkOfConfig(configOf([])), "10.244.0.0/16");
  t.equal(networkOfConfig("router id 1.2.3.4;\n"), null);
});

t.test("names are calicoctl's", async (t) => {
  t.equal(sessionName(session("mesh")), "Mesh_192_168_50_11");
  t.equal(sessionName(session("node")), "Node_192_168_50_11");
});

t.test(
  "routes into a tunnel name the device, on-link, before the gateway; the longest prefix of the next hop decides",
  async (t) => {
    t.notMatch(configOf([]), "onlink");
    const tunnel = {
      device: "tunl0",
      plain: ["192.168.50.0/24", "192.168.50.254/32"],
      tunnelled: ["192.168.50.128/25"],
    };
    const way = 'onlink = true; ifname = "tunl0"; gw = bgp_next_hop;';
    const text = configOf([], { tunnel });
    t.match(
      text,
      [
        "  if bgp_next_hop ~ 192.168.50.254/32 then accept;",
        `  if bgp_next_hop ~ 192.168.50.128/25 then { ${way} accept; }`,
        "  if bgp_next_hop ~ 192.168.50.0/24 then accept;",
        `  ${way}`,
        "  accept;\n}",
      ].join("\n"),
    );
  },
);
