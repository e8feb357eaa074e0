// policy/compile and policy/ruleset: what nft is told when policies, labels or pods change. That the rules mean what they say is shown by
// test/netns/policy.test.ts.
import t from "tap";
import { compile } from "../../../src/policy/compile.js";
import type { Pod } from "../../../src/policy/pod-records.js";
import { parsePolicySet } from "../../../src/policy/policy-file.js";
import { difference, NO_RULES, POLICY_TABLES, replacement } from "../../../src/policy/ruleset.js";

const SET = parsePolicySet(
  JSON.stringify({
    groups: { web: { pods: { role: "web" } }, office: { addresses: ["192.0.2.0/24"] } },
    policies: [
      { name: "db", pods: { role: "db" }, ingress: [{ from: ["web", "office"], allow: ["tcp/5432", "icmp"] }] },
    ],
  }),
  "p.json",
);

function pod(containerId: string, host: number, labels: Pod["labels"], bridgeMac: string | null = null): Pod {
  return {
    network: "lab",
    containerId,
    ifName: "eth0",
    addresses: [`10.244.1.${host}`, `fd00::${host}`],
    hostLink: `veth${host}`,
    bridgeMac,
    labels,
  };
}

const WEB = pod("w", 2, { role: "web" });
const DB = pod("d", 3, { role: "db" });

/** The changes, one a line. */
function changes(from: readonly Pod[], to: readonly Pod[], set = SET): string[] {
  return difference(compile(SET, from), compile(set, to)).split("\n").slice(0, -1);
}

t.test("without policies there is nothing, and nothing is done where nothing differs", async (t) => {
  t.strictSame(compile({ groups: [], policies: [] }, [WEB]), NO_RULES);
  t.strictSame(changes([WEB, DB], [DB, WEB]), []);
  t.equal(replacement(NO_RULES), POLICY_TABLES.map((table) => `table ${table}\ndelete table ${table}\n`).join(""));
});

t.test("a label that only a group looks at is one element for each address", async (t) => {
  const guest = pod("g", 4, {});
  t.strictSame(changes([WEB, DB, guest], [WEB, DB, { ...guest, labels: { role: "web" } }]), [
    "add element inet hopsack_policy pods4-web { 10.244.1.4 }",
    "add element inet hopsack_policy pods6-web { fd00::4 }",
  ]);
});

t.test("a protected pod brings its chain and its elements, and takes them along", async (t) => {
  const added = changes([WEB], [WEB, DB]);
  const [chain = ""] = added[0]?.match(/pod-ingress-[0-9a-f]{12}/) ?? [];
  t.strictSame(added, [
    `add chain inet hopsack_policy ${chain}`,
    `add element inet hopsack_policy ingress4 { 10.244.1.3 : goto ${chain} }`,
    `add element inet hopsack_policy ingress6 { fd00::3 : goto ${chain} }`,
    `add rule inet hopsack_policy ${chain} jump policy-ingress-db`,
    `add rule inet hopsack_policy ${chain} ct state established,related accept`,
    `add rule inet hopsack_policy ${chain} counter name ingress-denied-db drop`,
  ]);
  t.strictSame(changes([WEB, DB], [WEB]), [
    `flush chain inet hopsack_policy ${chain}`,
    "delete element inet hopsack_policy ingress4 { 10.244.1.3 }",
    "delete element inet hopsack_policy ingress6 { fd00::3 }",
    `delete chain inet hopsack_policy ${chain}`,
  ]);
});

t.test("another rule empties and fills its chain only; a policy less takes its counters along", async (t) => {
  const [db] = SET.policies;
  if (db === undefined) throw new Error("the set has a policy");
  const open = { ...SET, policies: [{ ...db, ingress: [{ groups: null, traffic: null }] }] };
  t.strictSame(changes([DB], [DB], open), [
    "flush chain inet hopsack_policy policy-ingress-db",
    "add rule inet hopsack_policy policy-ingress-db counter name ingress-allowed-db accept",
  ]);
  const egress = { ...SET, policies: [{ ...db, ingress: null, egress: [] }] };
  const lines = changes([DB], [DB], egress);
  t.ok(lines.includes("delete counter inet hopsack_policy ingress-allowed-db"));
  t.ok(
    lines.indexOf("add counter inet hopsack_policy egress-denied-db") <
      lines.findIndex((line) => line.startsWith("add rule")),
  );
});

t.test("rules are written for each family and each kind of members", async (t) => {
  const chain = compile(SET, []).chains.find(({ name }) => name === "policy-ingress-db");
  const accept = "counter name ingress-allowed-db accept";
  t.strictSame(chain?.rules, [
    `ip saddr @pods4-web tcp dport 5432 ${accept}`,
    `ip saddr @pods4-web meta l4proto { icmp } ${accept}`,
    `ip6 saddr @pods6-web tcp dport 5432 ${accept}`,
    `ip6 saddr @pods6-web meta l4proto { ipv6-icmp } ${accept}`,
    `ip saddr @networks4-office tcp dport 5432 ${accept}`,
    `ip saddr @networks4-office meta l4proto { icmp } ${accept}`,
  ]);
});

t.test("the bridge's table is there as long as a protected pod is on a bridge", async (t) => {
  const bridged = pod("d", 3, { role: "db" }, "02:00:00:00:00:01");
  const lines = changes([WEB], [WEB, bridged]);
  t.ok(lines.includes("add table bridge hopsack_policy"));
  t.ok(lines.includes("add element bridge hopsack_policy bridge4 { 10.244.1.3 : 02:00:00:00:00:01 }"));
  t.ok(lines.includes('add element bridge hopsack_policy ingress-links { "veth3" }'));
  t.equal(changes([WEB, bridged], [WEB]).at(-1), "delete table bridge hopsack_policy");
  t.notMatch(
    changes([WEB], [{ ...WEB, bridgeMac: bridged.bridgeMac }]).join("\n"),
    "bridge",
    "an open pod's frames are left alone",
  );
});
