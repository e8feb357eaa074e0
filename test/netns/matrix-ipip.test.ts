// The matrix of test/support/mode-matrix.ts for IP-in-IP, in all that it is asked for by, with routes of ours and of BIRD's.
import t from "tap";
import { testModes } from "../support/mode-matrix.js";
import {
  BGP_IPIP_ALWAYS,
  BGP_IPIP_CROSS_SUBNET,
  DIRECT_ROUTING,
  IPIP,
  IPIP_CROSS_SUBNET,
  IPIP_NEVER,
  UDP,
  VXLAN,
} from "../support/modes.js";

testModes(t, import.meta.url, [
  [IPIP, VXLAN],
  [IPIP_CROSS_SUBNET, UDP],
  [IPIP_NEVER, DIRECT_ROUTING],
  [BGP_IPIP_ALWAYS, IPIP],
  [BGP_IPIP_CROSS_SUBNET, VXLAN],
]);
