// The matrix of test/support/mode-matrix.ts for the modes whose packets go through the pump, on at least one host.
import t from "tap";
import { testModes } from "../support/mode-matrix.js";
import { UDP, VXLAN, VXLAN_MIXED, VXLAN_USERSPACE } from "../support/modes.js";

testModes(t, import.meta.url, [
  [UDP, VXLAN],
  [VXLAN_USERSPACE, UDP],
  [VXLAN_MIXED, UDP],
]);
