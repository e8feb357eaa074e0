// The tests of test/support/engine-forwarding.ts for VXLAN in user space.
import t from "tap";
import { VXLAN } from "../support/accelerated.js";
import { testForwarding } from "../support/engine-forwarding.js";

testForwarding(t, import.meta.url, VXLAN);
