// policy/policy-file: what may stand in a policy file, and the sentence for what may not.
import t from "tap";
import { parsePolicySet } from "../../../src/policy/policy-file.js";

const GOOD = {
  groups: {
    app: { pods: { role: ["app", "api"], canary: false, "shop.example/tier": { not: "test" }, team: true } },
    office: { addresses: ["192.0.2.0/24", "192.0.2.7", "2001:db8::/48", "2001:db8:1::1"] },
  },
  policies: [
    {
      name: "db",
      pods: { role: "db" },
      ingress: [{ from: ["app", "office"], allow: ["tcp/5432", "udp/1-9", "icmp"] }],
    },
    { name: "all.quiet", pods: {}, egress: [{ to: ["office"] }, { allow: ["sctp"] }] },
  ],
};

function faultsOf(json: unknown): string[] {
  try {
    parsePolicySet(typeof json === "string" ? json : JSON.stringify(json), "p.json");
    return [];
  } catch (error) {
    t.match(error, { code: "BAD_POLICY" });
    return error instanceof Error ? error.message.split("\n") : [];
  }
}

t.test("groups and policies are read as they are meant", async (t) => {
  const { groups, policies } = parsePolicySet(JSON.stringify(GOOD), "p.json");
  t.strictSame(groups[0]?.pods, [
    [
      { key: "role", operator: "in", values: ["app", "api"] },
      { key: "canary", operator: "absent" },
      { key: "shop.example/tier", operator: "not-in", values: ["test"] },
      { key: "team", operator: "exists" },
    ],
  ]);
  t.match(
    groups[1]?.prefixes,
    [{ length: 24 }, { length: 48 }, { length: 128 }],
    "an address within a subnet is no member more",
  );
  t.strictSame(policies[0]?.ingress, [
    {
      groups: ["app", "office"],
      traffic: [
        { protocol: "tcp", ports: { first: 5432, last: 5432 } },
        { protocol: "udp", ports: { first: 1, last: 9 } },
        { protocol: "icmp", ports: null },
      ],
    },
  ]);
  t.strictSame([policies[0]?.egress, policies[1]?.ingress, policies[1]?.pods], [null, null, []]);
  t.strictSame(policies[1]?.egress, [
    { groups: ["office"], traffic: null },
    { groups: null, traffic: [{ protocol: "sctp", ports: null }] },
  ]);
});

const policy = (more: object) => ({ policies: [{ name: "p", pods: {}, ingress: [], ...more }] });
const group = (more: unknown) => ({ groups: { g: more }, policies: [] });

const FAULTS: readonly [json: unknown, fault: RegExp][] = [
  ["{", /^p\.json is not valid JSON \(.*\); correct it$/],
  [[], /^p\.json: the file is \[\], no object; write it in braces$/],
  [{ policies: [], rules: 1 }, /^p\.json: the file has an unknown key "rules"; known are groups, policies$/],
  [{ groups: {} }, /^p\.json: policies is missing, no list; write a list of policies$/],
  [group({}), /^p\.json: group "g" has nobody in it; add "pods", "addresses" or both$/],
  [
    group({ addresses: ["10.0.0.1/8"] }),
    /: group "g": addresses "10\.0\.0\.1\/8" is neither address nor subnet; write /,
  ],
  [group({ addresses: "10.0.0.0/8" }), /: group "g": addresses is "10\.0\.0\.0\/8", no list; /],
  [
    { groups: { "G g": { pods: {} } }, policies: [] },
    /: group "G g" has the name "G g"; give at most 63 small letters/,
  ],
  [group({ pods: { role: [] } }), /: group "g": pods: role is an empty list; name a value, or write true for any$/],
  [group({ pods: { role: 3 } }), /the label role cannot have the value 3; give at most 63 letters/],
  [group({ pods: { "-": "x" } }), /the label "-" cannot be used; give letters, digits/],
  [
    group({ pods: { role: { is: "x" } } }),
    /: group "g": pods: role is \{"is":"x"\}; write "web", \["web", "app"\], true, false or \{"not": "web"\}$/,
  ],
  [group({ pods: { role: { not: "x", is: "y" } } }), /: group "g": pods: role has an unknown key "is"; known are not$/],
  [policy({ name: undefined }), /: policies\[0\] has no name; give at most 63/],
  [policy({ pods: undefined }), /: policy p selects no pods; add "pods": \{"role": "db"\}, or \{\} for all$/],
  [
    policy({ ingress: undefined }),
    /: policy p has neither ingress nor egress; add "ingress": \[\] to refuse everything that comes in$/,
  ],
  [policy({ ingress: [{ to: ["g"] }] }), /: policy p: ingress\[0\] has an unknown key "to"; known are from, allow$/],
  [
    policy({ ingress: [{ from: ["g"] }] }),
    /: policy p: ingress\[0\]: from "g" is no group of this file; add it to groups$/,
  ],
  [
    policy({ ingress: [{ from: [] }] }),
    /: policy p: ingress\[0\]: from is an empty list; leave it away for everybody$/,
  ],
  [policy({ ingress: [{ allow: [] }] }), /: allow is an empty list; leave it away for everything$/],
  [policy({ egress: [{ allow: ["http"] }] }), /: policy p: egress\[0\]: allow "http" is no traffic; write "tcp\/443"/],
  [policy({ egress: [{ allow: ["icmp/8"] }] }), /: allow "icmp\/8" is no traffic; /],
  [policy({ egress: [{ allow: ["tcp/0"] }] }), /: allow "tcp\/0" has no such ports; give a port from 1 to 65535/],
  [policy({ egress: [{ allow: ["tcp/90-80"] }] }), /: allow "tcp\/90-80" has no such ports; /],
  [
    { policies: [...policy({}).policies, ...policy({}).policies] },
    /: policy p is there twice; give every policy a name of its own$/,
  ],
];

t.test("every mistake is one sentence that names file, place, value and cure", async (t) => {
  for (const [json, fault] of FAULTS) {
    const faults = faultsOf(json);
    t.equal(faults.length, 1, JSON.stringify(faults));
    t.match(faults[0], fault);
  }
  t.strictSame(faultsOf(GOOD), []);
});

t.test("all mistakes of a file are told at once", async (t) => {
  t.equal(faultsOf({ ...group({}), ...policy({ ingress: [{ from: ["x"], allow: ["y"] }] }) }).length, 3);
});
