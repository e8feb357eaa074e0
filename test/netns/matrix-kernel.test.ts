// The matrix of test/support/mode-matrix.ts for the modes whose packets the kernel carries, or nobody of ours.
import t from "tap";
import { testModes } from "../support/mode-matrix.js";
import { ALLOC, DIRECT_ROUTING, HOST_GW, UDP, VXLAN } from "../support/modes.js";

testModes(t, import.meta.url, [
  [VXLAN, DIRECT_ROUTING],
  [DIRECT_ROUTING, UDP],
  [HOST_GW, VXLAN],
  [ALLOC, VXLAN],
]);
