import t from "tap";
import { checkNetAdmin, enableForwarding, forwardingWarnings } from "../../../src/daemon/host.js";

t.test("CAP_NET_ADMIN is looked for among the effective capabilities", async (t) => {
  checkNetAdmin("Name:\tnode\nCapPrm:\t0000000000000000\nCapEff:\t0000000000001000\nCapBnd:\t000001ffffffffff\n");
  checkNetAdmin("CapEff:\t000001ffffffffff\n");
  t.throws(() => checkNetAdmin("CapPrm:\t000001ffffffffff\nCapEff:\t000001ffffffefff\n"), { code: "NOT_PERMITTED" });
  t.throws(() => checkNetAdmin(""), { code: "NOT_PERMITTED" });
});

t.test(
  "forwarding that is switched off is a warning with its cure, of IPv6 only where the network has it",
  async (t) => {
    const off = () => "0";
    t.same(forwardingWarnings(false, off), [
      "net.ipv4.ip_forward is 0, so containers on this host reach nobody; switch it on with: sysctl -w net.ipv4.ip_forward=1",
    ]);
    t.match(forwardingWarnings(true, off), [/ip_forward/, /net\.ipv6\.conf\.all\.forwarding is 0/]);
    t.same(
      forwardingWarnings(true, () => "1"),
      [],
    );
    t.same(
      forwardingWarnings(true, () => null),
      [],
      "a kernel without the setting",
    );
  },
);

t.test("forwarding is switched on where it is off, and links go on hearing router advertisements", async (t) => {
  const settings = new Map([
    ["net/ipv4/ip_forward", "0"],
    ["net/ipv6/conf/all/forwarding", "0"],
    ["net/ipv6/conf/eth0/accept_ra", "1"],
    ["net/ipv6/conf/eth0.5/accept_ra", "0"],
  ]);
  const sysctls = {
    read: (name: string) => settings.get(name) ?? null,
    write: (name: string, value: string) => void settings.set(name, value),
    ipv6Links: () => ["eth0", "eth0.5", "tunl0"],
  };
  t.same(enableForwarding(false, sysctls), ["net.ipv4.ip_forward"]);
  t.equal(settings.get("net/ipv6/conf/all/forwarding"), "0", "IPv6 only where the network has it");
  t.same(enableForwarding(true, sysctls), ["net.ipv6.conf.all.forwarding"]);
  t.equal(settings.get("net/ipv6/conf/eth0/accept_ra"), "2");
  t.equal(settings.get("net/ipv6/conf/eth0.5/accept_ra"), "0", "nor does a link begin to");
  t.same(enableForwarding(true, sysctls), [], "what is on is left alone");
});
