// The matrix of test/support/mode-matrix.ts for VXLAN with the eBPF engine, on all hosts and beside the others.
import t from "tap";
import { testModes } from "../support/mode-matrix.js";
import { UDP, VXLAN_EBPF, VXLAN_EBPF_MIXED } from "../support/modes.js";

testModes(t, import.meta.url, [
  [VXLAN_EBPF, UDP],
  [VXLAN_EBPF_MIXED, UDP],
]);
