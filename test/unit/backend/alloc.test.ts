// backend/alloc: a lease and nothing else.
import t from "tap";
import { createAllocBackend } from "../../../src/backend/alloc.js";
import { reservation } from "../../contract/lease-store.js";
import { backendInput } from "../../support/backend-input.js";

const ALLOC = { Backend: { Type: "alloc" } };

t.test("plans nothing, whoever the peers are", async (t) => {
  const backend = createAllocBackend(backendInput(ALLOC));
  for (const rows of Object.values(backend.plan(reservation(1), [reservation(2)]))) t.same(rows, []);
  t.match(backend, { type: "alloc", overheadBytes: 0, socket: null, deviceNames: [] });
  t.equal(backend.objectionTo(reservation(2)), null);
  t.strictSame(backend.claimsOf(reservation(2)), []);
});

t.test("publishes type and public IP; masquerades when asked", async (t) => {
  const backend = createAllocBackend(backendInput(ALLOC, { ipMasq: true }));
  t.match(backend.leaseAttrs("h1"), { backendType: "alloc", publicIp: "192.168.50.1", backendData: null, node: "h1" });
  t.equal(backend.plan(reservation(1), []).masquerades.length, 1);
});
