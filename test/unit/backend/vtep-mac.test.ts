import assert from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import { vtepMac } from "../../../src/backend/vtep-mac.js";
import { parseMac } from "../../../src/net/mac.js";

const H1 = { machineId: "0123456789abcdef0123456789abcdef", nodeName: "h1" };

t.test("a host's MAC never changes: other versions and the other engine compute the same", async (t) => {
  t.equal(vtepMac(H1, 1), vtepMac({ ...H1 }, 1));
  t.equal(vtepMac(H1, 1), "7e:f8:68:81:1d:94");
});

t.test("machine, node name, VNI and the family of the outer packets each make another MAC", async (t) => {
  const all = [
    vtepMac(H1, 1),
    vtepMac(H1, 2),
    vtepMac(H1, 1, 6),
    vtepMac({ ...H1, nodeName: "h2" }, 1),
    vtepMac({ ...H1, machineId: "" }, 1),
  ];
  t.equal(new Set(all).size, all.length);
});

t.test("every MAC is unicast and locally administered", async () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.nat(), (machineId, nodeName, vni) => {
      assert.equal((parseMac(vtepMac({ machineId, nodeName }, vni))?.[0] ?? 0) & 3, 2);
    }),
  );
});
