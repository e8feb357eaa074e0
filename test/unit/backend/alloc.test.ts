// backend/alloc: a lease and nothing else.
import t from "tap";
import { createAllocBackend } from "../../../src/backend/alloc.js";
import type { BackendInput } from "../../../src/backend/backend.js";
import { NO_REACH } from "../../../src/backend/direct-route.js";
import { parseNetworkConfig } from "../../../src/lease/network-config.js";
import { reservation } from "../../contract/lease-store.js";

const INPUT: BackendInput = {
  config: parseNetworkConfig('{"Network": "10.244.0.0/16", "Backend": {"Type": "alloc"}}', "test"),
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
  identity: { machineId: "", nodeName: "h1" },
  reach: NO_REACH,
  vxlanEngine: "kernel",
};

t.test("plans nothing, whoever the peers are", async (t) => {
  const backend = createAllocBackend(INPUT);
  for (const rows of Object.values(backend.plan(reservation(1), [reservation(2)]))) t.same(rows, []);
  t.match(backend, { type: "alloc", overheadBytes: 0, socket: null, deviceNames: [] });
  t.equal(backend.objectionTo(reservation(2)), null);
  t.strictSame(backend.claimsOf(reservation(2)), []);
});

t.test("publishes type and public IP; masquerades when asked", async (t) => {
  const backend = createAllocBackend({ ...INPUT, ipMasq: true });
  t.match(backend.leaseAttrs("h1"), { backendType: "alloc", publicIp: "192.168.50.1", backendData: null, node: "h1" });
  t.equal(backend.plan(reservation(1), []).masquerades.length, 1);
});
