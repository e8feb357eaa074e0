// The tests of test/support/engine-forwarding.ts for UDP mode.
import t from "tap";
import { UDP } from "../support/accelerated.js";
import { testForwarding } from "../support/engine-forwarding.js";

testForwarding(t, import.meta.url, UDP);
