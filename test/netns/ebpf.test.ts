// The tests of test/support/engine.ts for UDP mode.
import t from "tap";
import { UDP } from "../support/accelerated.js";
import { testEngine } from "../support/engine.js";

testEngine(t, import.meta.url, UDP);
