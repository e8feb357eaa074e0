// What the kernel's shortcut compares at once, of what the pump asks field by field.
import t from "tap";
import type { HeaderCheck } from "../../../src/addon.js";
import { expectedHeader } from "../../../src/dataplane/accelerator.js";
import { encodePaths } from "../../../src/dataplane/fib-records.js";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const reason = "wrong_vni";
const CHECKS: readonly HeaderCheck[] = [
  { offset: 0, value: Uint8Array.of(0xff), mask: Uint8Array.of(0x08), reason },
  { offset: 2, value: Uint8Array.of(0), mask: Uint8Array.of(1), reason },
  { offset: 2, value: Uint8Array.of(0xaa, 0xbb), mask: Uint8Array.of(0xff, 0xf0), reason },
  { offset: 5, value: Uint8Array.of(4), mask: Uint8Array.of(0xff), reason, exceptVersion: 6 },
  { offset: 5, value: Uint8Array.of(6), mask: Uint8Array.of(0xff), reason, exceptVersion: 4 },
];

t.test("all fields are in it, each where it lies, and the bits that no field asks for are not", async (t) => {
  const { value, mask } = expectedHeader({ headerBytes: 6, headerChecks: CHECKS }, 4);
  t.equal(hex(mask), "0800fff000ff");
  t.equal(hex(value), "0800aab00004");
});

t.test("a field that is not asked of one family is that of the other", async (t) => {
  const { value } = expectedHeader({ headerBytes: 6, headerChecks: CHECKS }, 6);
  t.equal(hex(value), "0800aab00006");
});

t.test("a wire without a header expects none", async (t) => {
  t.same(expectedHeader({ headerBytes: 0, headerChecks: [] }, 4), { value: new Uint8Array(), mask: new Uint8Array() });
});

t.test("a path is its neighbour and a length that no IP packet exceeds; no path is nothing", async (t) => {
  const paths = encodePaths([
    { neighbor: "192.168.50.1", mtuBytes: 1500 },
    null,
    { neighbor: "10.0.0.2", mtuBytes: 65_536 },
  ]);
  t.equal(hex(paths), "c0a83201dc050000" + "0000000000000000" + "0a000002ffff0000");
});
