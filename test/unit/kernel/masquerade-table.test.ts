import t from "tap";
import { masqueradeRules } from "../../../src/kernel/masquerade-table.js";
import { tableName } from "../../../src/kernel/own-table.js";

t.test("each device has a table of its own, in characters that nft reads unquoted", async (t) => {
  t.equal(tableName("flannel0"), "hopsack-flannel0");
  t.equal(tableName("flannel.1"), "hopsack-flannel.1");
  t.equal(tableName('a;"{b'), "hopsack-a___b");
});

t.test("the rules are flannel's, in flannel's order", async (t) => {
  t.equal(
    masqueradeRules("x", [{ network: "10.55.0.0/16", subnet: "10.55.30.0/24" }]),
    `table inet x
delete table inet x
table inet x {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		meta mark & 0x4000 == 0x4000 return
		ip saddr 10.55.30.0/24 ip daddr 10.55.0.0/16 return
		ip saddr 10.55.0.0/16 ip daddr 10.55.30.0/24 return
		ip saddr != 10.55.0.0/16 ip daddr 10.55.30.0/24 return
		ip saddr 10.55.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random
		ip saddr != 10.55.0.0/16 ip daddr 10.55.0.0/16 masquerade fully-random
	}
}
`,
  );
});
