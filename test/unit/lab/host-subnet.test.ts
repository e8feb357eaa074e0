// subnet.env as the lab reads it.
import t from "tap";
import { parseHostSubnet } from "../../../src/lab/host-subnet.js";

const V4 = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.7.1/24\n";

t.test("the pods' addresses follow the bridge's", async (t) => {
  const subnet = parseHostSubnet(`${V4}FLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n`);
  t.match(subnet, {
    mtuBytes: 1472,
    v6: null,
    v4: { bridge: "10.244.7.1/24", gateway: "10.244.7.1", subnet: "10.244.7.0/24" },
  });
  t.equal(subnet?.v4.podAddress(0), "10.244.7.2/24");
  t.equal(subnet?.v4.podAddress(49), "10.244.7.51/24");
});

t.test("so do their IPv6 addresses, where there are any", async (t) => {
  const v6 = "FLANNEL_IPV6_NETWORK=fd00:10:244::/48\nFLANNEL_IPV6_SUBNET=fd00:10:244:a::1/64\n";
  const subnet = parseHostSubnet(`${V4}${v6}FLANNEL_MTU=1472\n`);
  t.equal(subnet?.v6?.gateway, "fd00:10:244:a::1");
  t.equal(subnet?.v6?.podAddress(14), "fd00:10:244:a::10/64");
});

t.test("an incomplete or senseless file is as good as none", async (t) => {
  for (const text of ["", V4, "FLANNEL_MTU=1472\n", `${V4}FLANNEL_MTU=\n`, `${V4}FLANNEL_MTU=x\n`]) {
    t.equal(parseHostSubnet(text), undefined, JSON.stringify(text));
  }
  t.equal(parseHostSubnet("FLANNEL_SUBNET=10.244.7.300/24\nFLANNEL_MTU=1472\n"), undefined);
});
