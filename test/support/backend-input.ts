// What a backend is made from, on a host h1: 192.168.50.1 on eth0, the Network 10.244.0.0/16.
import type { BackendInput } from "../../src/backend/backend.js";
import { NO_REACH } from "../../src/backend/direct-route.js";
import { parseNetworkConfig } from "../../src/lease/network-config.js";

/** @param config keys of the configuration, beside or instead of the Network */
export function backendInput(config: object = {}, changes: Partial<BackendInput> = {}): BackendInput {
  return {
    config: parseNetworkConfig(JSON.stringify({ Network: "10.244.0.0/16", ...config }), "test"),
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
    ipipEngine: "kernel",
    ipipDevice: "flannel.ipip",
    fouObjection: "not asked for",
    ...changes,
  };
}
