// Masquerading (--ip-masq) in one nftables table of our own, applied by `nft -f -` in one transaction. The rules are those
// of flannel's iptables mode. Accepting forwarded packets is not done here: an accept in a table of ours could not overrule
// the drop of another one (forward-rules.ts).
import type { MasqueradePlan } from "../plan/plan.js";
import type { NftPurpose } from "./nft.js";
import { OwnTable, removal, tableName } from "./own-table.js";

/** Packets that kube-proxy and the portmap plugin have marked for masquerading are masqueraded by them. */
const ALREADY_MARKED = "meta mark & 0x4000 == 0x4000";
const PURPOSE: NftPurpose = {
  what: "the masquerade rules",
  flag: "--ip-masq",
  wayOut: "start without --ip-masq",
};

/** Of this device's overlay. */
export function masqueradeTable(deviceName: string): OwnTable<readonly MasqueradePlan[]> {
  return new OwnTable(tableName(deviceName), PURPOSE, masqueradeRules);
}

/** Input for `nft -f -`. Network N, own subnet P: what stays in the overlay keeps its source, what leaves or enters it not. */
export function masqueradeRules(table: string, masquerades: readonly MasqueradePlan[]): string {
  const rules = masquerades.flatMap(({ network, subnet }) => {
    const isV6 = network.includes(":");
    const [source, destination] = isV6 ? ["ip6 saddr", "ip6 daddr"] : ["ip saddr", "ip daddr"];
    const multicast = isV6 ? "ff00::/8" : "224.0.0.0/4";
    return [
      `${source} ${subnet} ${destination} ${network} return`,
      `${source} ${network} ${destination} ${subnet} return`,
      `${source} != ${network} ${destination} ${subnet} return`,
      `${source} ${network} ${destination} != ${multicast} masquerade fully-random`,
      `${source} != ${network} ${destination} ${network} masquerade fully-random`,
    ];
  });
  const chain = ["type nat hook postrouting priority srcnat; policy accept;", `${ALREADY_MARKED} return`, ...rules];
  return `${removal(table)}table inet ${table} {\n\tchain postrouting {\n${chain.map((line) => `\t\t${line}\n`).join("")}\t}\n}\n`;
}
