// The tests of test/support/engine.ts for VXLAN in user space.
import t from "tap";
import { VXLAN } from "../support/accelerated.js";
import { testEngine } from "../support/engine.js";

testEngine(t, import.meta.url, VXLAN);
