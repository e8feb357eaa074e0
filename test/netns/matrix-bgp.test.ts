// The matrix of test/support/mode-matrix.ts for the mode whose routes BIRD sets, and for the way there and back.
import t from "tap";
import { testModes } from "../support/mode-matrix.js";
import { BGP, HOST_GW } from "../support/modes.js";

testModes(t, import.meta.url, [
  [BGP, HOST_GW],
  [HOST_GW, BGP],
]);
