// backend/registry: the mode that the configuration names.
import t from "tap";
import { NO_REACH } from "../../../src/backend/direct-route.js";
import { createBackend } from "../../../src/backend/registry.js";
import { parseNetworkConfig } from "../../../src/lease/network-config.js";

function create(backend: unknown): ReturnType<typeof createBackend> {
  return createBackend({
    config: parseNetworkConfig(JSON.stringify({ Network: "10.244.0.0/16", Backend: backend }), "test"),
    underlay: {
      linkName: "eth0",
      linkIndex: 2,
      address: "192.168.50.1",
      publicIp: "192.168.50.1",
      addressV6: null,
      publicIpv6: null,
      mtuBytes: 1500,
    },
    deviceName: "flannel0",
    ipMasq: false,
    identity: { machineId: "0123456789abcdef0123456789abcdef", nodeName: "h1" },
    reach: NO_REACH,
    vxlanEngine: "kernel",
  });
}

t.test("makes the udp backend by default and in any case", async (t) => {
  t.equal(create(undefined).type, "udp");
  t.equal(create({ Type: "UDP" }).overheadBytes, 28);
});

t.test("refuses unknown modes and a Backend without Type, naming the known ones", async (t) => {
  t.throws(() => create({ Type: "carrier-pigeon" }), {
    code: "BAD_CONFIG",
    message: 'Backend.Type "carrier-pigeon" is not known; use one of: udp, vxlan, host-gw, alloc, extension',
  });
  t.throws(() => create({ Port: 1 }), {
    code: "BAD_CONFIG",
    message: "Backend has no Type; use one of: udp, vxlan, host-gw, alloc, extension",
  });
  t.throws(() => create({ Type: "constructor" }), { code: "BAD_CONFIG" });
});
