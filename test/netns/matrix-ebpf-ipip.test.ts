// The matrix of test/support/mode-matrix.ts for IP-in-IP with the eBPF engine, on all hosts and on some.
import t from "tap";
import { testModes } from "../support/mode-matrix.js";
import { IPIP_EBPF, IPIP_EBPF_MIXED, UDP } from "../support/modes.js";

testModes(t, import.meta.url, [
  [IPIP_EBPF, UDP],
  [IPIP_EBPF_MIXED, UDP],
]);
