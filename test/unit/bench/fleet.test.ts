// What ethtool says, as far as results carry it.
import t from "tap";
import { parseOffloads } from "../../../src/bench/fleet.js";

t.test("features that segment, merge or compute checksums are kept, others are not", async (t) => {
  const text = `Features for eth0:
rx-checksumming: on
tx-checksumming: on
	tx-checksum-ipv4: off [fixed]
	tx-checksum-ip-generic: on
scatter-gather: on
tcp-segmentation-offload: off
	tx-tcp-segmentation: off
	tx-tcp-ecn-segmentation: on
generic-segmentation-offload: off
generic-receive-offload: on
large-receive-offload: off [fixed]
rx-vlan-offload: on
tx-udp_tnl-segmentation: off
tx-udp-segmentation: off
rx-gro-list: off
`;
  t.same(parseOffloads(text), {
    "rx-checksumming": "on",
    "tx-checksumming": "on",
    "tx-checksum-ipv4": "off",
    "tx-checksum-ip-generic": "on",
    "tcp-segmentation-offload": "off",
    "tx-tcp-segmentation": "off",
    "tx-tcp-ecn-segmentation": "on",
    "generic-segmentation-offload": "off",
    "generic-receive-offload": "on",
    "large-receive-offload": "off",
    "tx-udp_tnl-segmentation": "off",
    "tx-udp-segmentation": "off",
    "rx-gro-list": "off",
  });
});
