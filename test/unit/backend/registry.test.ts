// backend/registry: the mode that the configuration names.
import t from "tap";
import { createBackend } from "../../../src/backend/registry.js";
import { backendInput } from "../../support/backend-input.js";

function create(backend: unknown): ReturnType<typeof createBackend> {
  return createBackend(backendInput({ Backend: backend }));
}

t.test("makes the udp backend by default and in any case", async (t) => {
  t.equal(create(undefined).type, "udp");
  t.equal(create({ Type: "UDP" }).overheadBytes, 28);
});

t.test("refuses unknown modes and a Backend without Type, naming the known ones", async (t) => {
  t.throws(() => create({ Type: "carrier-pigeon" }), {
    code: "BAD_CONFIG",
    message: 'Backend.Type "carrier-pigeon" is not known; use one of: udp, vxlan, host-gw, bgp, ipip, alloc, extension',
  });
  t.throws(() => create({ Port: 1 }), {
    code: "BAD_CONFIG",
    message: "Backend has no Type; use one of: udp, vxlan, host-gw, bgp, ipip, alloc, extension",
  });
  t.throws(() => create({ Type: "constructor" }), { code: "BAD_CONFIG" });
});
