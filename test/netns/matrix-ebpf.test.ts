// The matrix of test/support/mode-matrix.ts for UDP mode with the eBPF engine, on all hosts and on some.
import t from "tap";
import { testModes } from "../support/mode-matrix.js";
import { UDP_EBPF, UDP_EBPF_MIXED, VXLAN } from "../support/modes.js";

testModes(t, import.meta.url, [
  [UDP_EBPF, VXLAN],
  [UDP_EBPF_MIXED, VXLAN],
]);
