// backend/guard: whom the guard lets in, in each mode.
import t from "tap";
import type { Backend } from "../../../src/backend/backend.js";
import { guardOf } from "../../../src/backend/guard.js";
import { createHostGwBackend } from "../../../src/backend/host-gw.js";
import { createUdpBackend } from "../../../src/backend/udp.js";
import { createVxlanBackend } from "../../../src/backend/vxlan.js";
import type { GuardPlan } from "../../../src/plan/plan.js";
import { attrs, reservation } from "../../contract/lease-store.js";
import { backendInput } from "../../support/backend-input.js";

const own = reservation(1);
const DUAL_PEER = { ...reservation(3), attrs: { ...attrs(3), publicIpv6: "fd01::3" } };

function guard(backend: Backend, ...peers: readonly (typeof own)[]): GuardPlan | null {
  return guardOf(backend, backend.plan(own, []), peers);
}

t.test("the tunnel's port, for the addresses of the others", async (t) => {
  t.strictSame(guard(createUdpBackend(backendInput()), DUAL_PEER, reservation(2), reservation(2)), {
    ports: [8285],
    peers: ["192.168.50.2", "192.168.50.3", "fd01::3"],
  });
  t.strictSame(guard(createUdpBackend(backendInput())), { ports: [8285], peers: [] }, "with no peer, nobody");
});

t.test("a device of the kernel has its port without a socket of ours", async (t) => {
  t.strictSame(guard(createUdpBackend(backendInput({}, { fouObjection: null })), reservation(2))?.ports, [8285]);
  t.strictSame(guard(createVxlanBackend(backendInput({ Backend: { Type: "vxlan" } })), reservation(2))?.ports, [8472]);
});

t.test("a mode without a UDP port has nothing to guard", async (t) => {
  t.equal(guard(createHostGwBackend(backendInput({ Backend: { Type: "host-gw" } })), reservation(2)), null);
});
