import t from "tap";
import { chainChanges, parseRules } from "../../../src/kernel/forward-rules.js";
import { parsePrefix } from "../../../src/net/prefix.js";

const MARK = "hopsack-flannel0";
const FROM = `ip saddr 10.244.0.0/16 accept comment "${MARK}"`;
const TO = `ip daddr 10.244.0.0/16 accept comment "${MARK}"`;
const NETWORKS = ["10.244.0.0/16", "fd00:244::/48"].flatMap((text) => parsePrefix(text) ?? []);

const chain = (...texts: readonly string[]) => ({
  family: 4 as const,
  name: "FORWARD",
  rules: texts.map((text, index) => ({ text, handle: index + 1 })),
});

t.test("the rules of one family are appended, and then there is nothing to do", async (t) => {
  const added = [`add rule ip filter FORWARD ${FROM}`, `add rule ip filter FORWARD ${TO}`];
  t.same(chainChanges(chain("tcp dport 22 drop"), NETWORKS, MARK), added);
  t.same(chainChanges(chain("tcp dport 22 drop", FROM, TO), NETWORKS, MARK), []);
});

t.test("what lies behind a bare return is never reached, so ours are moved before it", async (t) => {
  t.same(chainChanges(chain("counter packets 3 bytes 252 return", FROM, TO), NETWORKS, MARK), [
    "delete rule ip filter FORWARD handle 2",
    "delete rule ip filter FORWARD handle 3",
    `insert rule ip filter FORWARD handle 1 ${FROM}`,
    `insert rule ip filter FORWARD handle 1 ${TO}`,
  ]);
  t.match(chainChanges(chain("ip saddr 10.0.0.1 return"), NETWORKS, MARK), [/^add/, /^add/], "others return only some");
});

t.test(
  "another network's, doubled and half-lost rules are replaced; another daemon's and the user's stay",
  async (t) => {
    const old = `ip saddr 10.1.0.0/16 accept comment "${MARK}"`;
    const foreign = ['ip saddr 10.1.0.0/16 accept comment "hopsack-other"', "ip saddr 10.244.0.0/16 accept"];
    t.same(chainChanges(chain(...foreign, old), [], MARK), ["delete rule ip filter FORWARD handle 3"]);
    for (const rules of [[FROM, TO, TO], [FROM], [TO, FROM]]) {
      const changes = chainChanges(chain(...rules), NETWORKS, MARK);
      t.equal(changes.filter((change) => change.startsWith("delete")).length, rules.length);
      t.equal(changes.filter((change) => change.startsWith("add")).length, 2);
    }
  },
);

t.test("a listing's rules are read with their handles, its other lines left out", async (t) => {
  const listing = `table ip filter {\n\tchain FORWARD { # handle 1\n\t\ttype filter hook forward priority filter; policy drop;\n\t\t${FROM} # handle 7\n\t}\n}\n`;
  t.same(parseRules(listing), [{ text: FROM, handle: 7 }]);
});
