// cni/delegate-config and cni/host-lease: flannel's rules for what the plugin behind it is told.
import t from "tap";
import { delegateConfig } from "../../../src/cni/delegate-config.js";
import { parseHostLease } from "../../../src/cni/host-lease.js";
import { parseNetworkConfig } from "../../../src/cni/network-config.js";

const ENV = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";
const V6 = "FLANNEL_IPV6_NETWORK=fd00:10:244::/48\nFLANNEL_IPV6_SUBNET=fd00:10:244:1::1/64\n";

function told(input: object, env = ENV): Record<string, unknown> {
  return delegateConfig(parseNetworkConfig({ name: "cbr0", ...input }), parseHostLease(env, "subnet.env"), "1.0.0");
}

t.test("flannel's own conflist gives what flannel's plugin gives, with gateways that CHECK needs", async (t) => {
  t.strictSame(told({ delegate: { hairpinMode: true, isDefaultGateway: true }, dataDir: "/run/x" }), {
    ipMasq: false,
    mtu: 1450,
    isGateway: true,
    hairpinMode: true,
    isDefaultGateway: true,
    type: "bridge",
    name: "cbr0",
    cniVersion: "1.0.0",
    ipam: {
      dataDir: "/run/x/host-local",
      type: "host-local",
      ranges: [[{ subnet: "10.244.1.0/24" }]],
      routes: [{ dst: "10.244.0.0/16", gw: "10.244.1.1" }],
    },
  });
});

t.test("what the delegate says wins, other types are no gateways, and 1.1.0 is not asked of others", async (t) => {
  const given = told({ delegate: { type: "ptp", mtu: 1400, ipMasq: true } });
  t.match(given, { type: "ptp", mtu: 1400, ipMasq: true });
  t.notOk("isGateway" in given);
  t.match(told({ delegate: { isGateway: false } }), { isGateway: false });
  const config = parseNetworkConfig({ name: "cbr0" });
  t.equal(delegateConfig(config, parseHostLease(ENV, "subnet.env"), "1.1.0").cniVersion, "1.0.0");
  t.equal(delegateConfig(config, parseHostLease(ENV, "subnet.env"), "0.3.1").cniVersion, "0.3.1");
});

t.test("ipam keys are kept, given routes come first, capabilities are handed on, IPv6 has its range", async (t) => {
  const ipam = { dataDir: "/d", routes: [{ dst: "10.0.0.0/8" }, { dst: "10.9.0.0/16", gw: "10.244.1.9" }] };
  t.match(told({ ipam, runtimeConfig: { ips: ["10.244.1.7"] } }, ENV + V6), {
    runtimeConfig: { ips: ["10.244.1.7"] },
    ipam: {
      dataDir: "/d",
      ranges: [[{ subnet: "10.244.1.0/24" }], [{ subnet: "fd00:10:244:1::/64" }]],
      routes: [
        { dst: "10.0.0.0/8", gw: "10.244.1.1" },
        { dst: "10.9.0.0/16", gw: "10.244.1.9" },
        { dst: "10.244.0.0/16", gw: "10.244.1.1" },
        { dst: "fd00:10:244::/48", gw: "fd00:10:244:1::1" },
      ],
    },
  });
});

t.test("a lease file that lacks something, or says something strange, is named with the key", async (t) => {
  for (const key of ["NETWORK", "SUBNET", "MTU", "IPMASQ"]) {
    const missing = ENV.replace(new RegExp(`FLANNEL_${key}=.*\n`), "");
    t.throws(
      () => parseHostLease(missing, "f"),
      { cniCode: 7, message: `the lease file f has no FLANNEL_${key}; ` },
      key,
    );
    const strange = ENV.replace(new RegExp(`(FLANNEL_${key}=).*`), "$1x");
    t.throws(() => parseHostLease(strange, "f"), { message: `has FLANNEL_${key}=x, which cannot be used` }, key);
  }
  t.throws(() => parseHostLease(`${ENV}FLANNEL_IPV6_SUBNET=fd00::1/64\n`, "f"), {
    message: "has no FLANNEL_IPV6_NETWORK",
  });
  const list = ENV.replace("10.244.0.0/16", "10.244.0.0/16,10.245.0.0/16,10.244.0.0/16");
  t.equal(parseHostLease(list, "f").networks.length, 2, "flannel's lists, each network once");
});
