// Which interface and address findUnderlay chooses on a real host: eth0 and eth1 are veths, their peers pe0 and pe1.
import t, { type Test } from "tap";
import { findUnderlay } from "../../src/daemon/underlay.js";
import { Rtnetlink } from "../../src/kernel/rtnetlink.js";
import { inOwnNamespace, run } from "../support/netns.js";

const ANY = { iface: null, publicIp: null, publicIpv6: null };

function setUp(t: Test, commands: readonly string[]): Rtnetlink {
  t.teardown(() => ["eth0", "eth1"].forEach((name) => void run(`ip link delete ${name}`)));
  for (const n of ["0", "1"]) {
    run(`ip link add eth${n} type veth peer name pe${n}`);
    run(`ip link set eth${n} up`);
    run(`ip link set pe${n} up`);
  }
  for (const command of commands) run(`ip ${command}`);
  const rtnetlink = new Rtnetlink();
  t.teardown(() => rtnetlink.close());
  return rtnetlink;
}

inOwnNamespace(t, import.meta.url, () => {
  const both = ["address add 192.168.50.10/24 dev eth0", "address add 10.99.0.1/24 dev eth1"];

  t.test("the default route's interface is taken, of two routes the one with the lower metric", async (t) => {
    const routes = ["route add default via 192.168.50.1 metric 200", "route add default via 10.99.0.2 metric 100"];
    const rtnetlink = setUp(t, [...both, "link set eth1 mtu 1400", ...routes]);
    const linkIndex = rtnetlink.links().find(({ name }) => name === "eth1")?.index;
    const expected = {
      linkName: "eth1",
      linkIndex,
      address: "10.99.0.1",
      publicIp: "10.99.0.1",
      addressV6: null,
      publicIpv6: null,
      mtuBytes: 1400,
    };
    t.strictSame(findUnderlay(rtnetlink, ANY), expected);
    t.match(findUnderlay(rtnetlink, { iface: null, publicIp: "203.0.113.9", publicIpv6: null }), {
      address: "10.99.0.1",
      publicIp: "203.0.113.9",
    });
  });

  t.test("--iface is a name or an address; the named address is the one used", async (t) => {
    const rtnetlink = setUp(t, [...both, "address add 192.168.50.77/24 dev eth0"]);
    t.match(findUnderlay(rtnetlink, { iface: "eth0", publicIp: null, publicIpv6: null }), {
      linkName: "eth0",
      address: "192.168.50.10",
    });
    t.match(findUnderlay(rtnetlink, { iface: "192.168.50.77", publicIp: null, publicIpv6: null }), {
      linkName: "eth0",
      address: "192.168.50.77",
    });
    t.match(findUnderlay(rtnetlink, { iface: "10.99.0.1", publicIp: null, publicIpv6: null }), { linkName: "eth1" });
  });

  t.test(
    "a global address is taken before a link-local one, a permanent before a dynamic, a deprecated never",
    async (t) => {
      const add = (address: string) => run(`ip address add ${address} dev eth0`);
      const rtnetlink = setUp(t, []);
      const chosen = () => findUnderlay(rtnetlink, { iface: "eth0", publicIp: null, publicIpv6: null }).address;
      run("ip address add 192.168.50.5/24 dev eth0 preferred_lft 0 valid_lft 1000");
      t.throws(chosen, {
        code: "NO_ADDRESS",
        message: /eth0 has no usable IPv4 address \(only 192\.168\.50\.5, deprecated\)/,
      });
      run("ip address add 169.254.7.7/16 dev eth0 scope link");
      t.equal(chosen(), "169.254.7.7");
      run("ip address add 10.1.0.1/24 dev eth0 preferred_lft 500 valid_lft 1000");
      t.equal(chosen(), "10.1.0.1");
      add("10.2.0.1/24");
      t.equal(chosen(), "10.2.0.1");
    },
  );

  t.test("without a default route, or with an unknown --iface, the choices are named", async (t) => {
    const rtnetlink = setUp(t, [...both, "link set pe1 down", "link set eth1 down"]);
    const choices = "choose one with --iface: pe1 (down), eth1 (down), pe0 (no IPv4 address), eth0 (192.168.50.10)";
    const sorted = (message: string) => message.split(/: |, /).sort();
    const messageOf = (iface: string | null): string => {
      try {
        findUnderlay(rtnetlink, { iface, publicIp: null, publicIpv6: null });
      } catch (error) {
        t.match(error, { code: "NO_INTERFACE" });
        return error instanceof Error ? error.message : "";
      }
      return "";
    };
    const lack = "this host has no IPv4 default route, which would tell the interface that leads to the other hosts; ";
    t.strictSame(sorted(messageOf(null)), sorted(lack + choices));
    t.strictSame(sorted(messageOf("eth9")), sorted(`this host has no interface "eth9"; ${choices}`));
    t.strictSame(
      sorted(messageOf("192.0.2.1")),
      sorted(`no interface of this host has the address 192.0.2.1; ${choices}`),
    );
    t.match(messageOf("eth1"), /^the interface eth1 is down; switch it on \(ip link set eth1 up\)/);
  });

  t.test("an interface without an IPv4 address is NO_ADDRESS", async (t) => {
    const rtnetlink = setUp(t, ["address add fd00::1/64 dev eth0"]);
    t.throws(() => findUnderlay(rtnetlink, { iface: "eth0", publicIp: null, publicIpv6: null }), {
      code: "NO_ADDRESS",
      message:
        /^the interface eth0 has no usable IPv4 address; give it one \(ip address add ADDRESS\/LENGTH dev eth0\)/,
    });
  });
});
