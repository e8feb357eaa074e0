import t from "tap";
import { checkNetAdmin, forwardingWarnings } from "../../../src/daemon/host.js";

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
