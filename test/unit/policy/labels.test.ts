// policy/labels and policy/policy: what a label is, and which pods a selector means.
import t from "tap";
import { formatLabels, labelFault, parseLabelChange } from "../../../src/policy/labels.js";
import { type Requirement, selects } from "../../../src/policy/policy.js";

t.test("a label is what Kubernetes takes for one", async (t) => {
  for (const [key, value] of [
    ["role", "web"],
    ["shop.example/tier", ""],
    ["a", "1.2-b_c"],
  ] as const) {
    t.equal(labelFault(key, value), null);
  }
  t.match(labelFault("", "x"), /^the label "" cannot be used; /);
  t.match(labelFault("a b", "x"), /^the label "a b" cannot be used; /);
  t.match(labelFault("a", "-x"), /^the label a cannot have the value "-x"; /);
  t.match(labelFault("a", "x".repeat(64)), /at most 63/);
  t.match(labelFault("a", undefined), /the value undefined; /);
});

t.test("a change of a label is written as in kubectl", async (t) => {
  t.strictSame(parseLabelChange("role=web"), { key: "role", value: "web" });
  t.strictSame(parseLabelChange("role="), { key: "role", value: "" });
  t.strictSame(parseLabelChange("role-"), { key: "role", value: null });
  t.equal(parseLabelChange("role"), undefined);
  t.equal(formatLabels({ b: "2", a: "1" }), "a=1 b=2");
});

t.test("a selector means the pods that fulfil all of it", async (t) => {
  const role = (operator: "in" | "not-in", ...values: string[]): Requirement => ({ key: "role", operator, values });
  const table: readonly [Requirement[], object, boolean][] = [
    [[], {}, true],
    [[role("in", "web", "app")], { role: "app" }, true],
    [[role("in", "web")], {}, false],
    [[role("not-in", "web")], { role: "web" }, false],
    [[role("not-in", "web")], {}, true],
    [[{ key: "role", operator: "exists" }], { role: "" }, true],
    [[{ key: "role", operator: "absent" }], { role: "" }, false],
    [[role("in", "web"), { key: "team", operator: "exists" }], { role: "web" }, false],
  ];
  for (const [selector, labels, isMeant] of table) t.equal(selects(selector, { ...labels }), isMeant);
});
