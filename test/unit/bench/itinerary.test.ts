// The order of measurements, and the guess at the time left.
import fc from "fast-check";
import t from "tap";
import { Pace, pick, stopsOf, unknownNames } from "../../../src/bench/itinerary.js";
import { MODES } from "../../../src/bench/modes.js";
import { PROFILES, type Profile } from "../../../src/bench/profiles.js";
import { SCENARIOS } from "../../../src/bench/scenarios.js";

const CHOICE = { profiles: PROFILES, scenarios: SCENARIOS, modes: MODES, rounds: 3, seconds: 1, isQuick: false };

const [OFFLOAD] = pick(PROFILES, ["offload"]);
if (OFFLOAD === undefined) throw new Error("there is a profile offload");
const EVERYTHING: Profile = { ...OFFLOAD, scenarios: null };

t.test("modes take turns within a round, and every second round goes backwards", async (t) => {
  const modes = pick(MODES, ["udp", "veth", "vxlan"]);
  const stops = stopsOf({ ...CHOICE, modes, scenarios: pick(SCENARIOS, ["tcp-1"]) }, EVERYTHING);
  t.same(
    stops.map(({ round, mode }) => `${round} ${mode.name}`),
    ["1 veth", "1 vxlan", "1 udp", "2 udp", "2 vxlan", "2 veth", "3 veth", "3 vxlan", "3 udp"],
  );
});

t.test("everything is visited exactly once, a scenario's rounds together", async (t) => {
  const counts = fc.record({
    rounds: fc.integer({ min: 1, max: 9 }),
    modes: fc.subarray([...MODES], { minLength: 1 }),
    scenarios: fc.subarray([...SCENARIOS], { minLength: 1 }),
  });
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(counts, (some) => {
        const stops = stopsOf({ ...CHOICE, ...some }, EVERYTHING);
        const keys = stops.map(({ scenario, mode, round }) => `${scenario.name} ${mode.name} ${round}`);
        const order = stops.map(({ scenario, round }) => some.scenarios.indexOf(scenario) * 100 + round);
        const isAscending = order.every((place, index) => index === 0 || place >= (order[index - 1] ?? 0));
        return isAscending && new Set(keys).size === some.modes.length * some.scenarios.length * some.rounds;
      }),
    ),
  );
});

t.test("a profile visits the scenarios that it makes a difference to, among those that were chosen", async (t) => {
  const choice = { ...CHOICE, rounds: 1, modes: pick(MODES, ["udp"]), scenarios: pick(SCENARIOS, ["tcp-4", "tcp-rr"]) };
  const visited = (scenarios: Profile["scenarios"]) =>
    stopsOf(choice, { ...EVERYTHING, scenarios }).map(({ scenario }) => scenario.name);
  t.same(visited(null), ["tcp-4", "tcp-rr"]);
  t.same(visited(["tcp-1", "tcp-4"]), ["tcp-4"]);
});

t.test("names pick entries, and unknown ones are told", async (t) => {
  t.same(
    pick(SCENARIOS, ["udp-64", "tcp-1"]).map(({ name }) => name),
    ["tcp-1", "udp-64"],
  );
  t.same(unknownNames(MODES, ["udp", "wireguard", ""]), ["wireguard", ""]);
});

t.test("the time left follows the pace so far, and ends at nothing", async (t) => {
  const pace = new Pace(5);
  pace.skip();
  t.same(
    [2, 4, 3, 3].map((seconds) => pace.secondsLeft(seconds)),
    [6, 6, 3, 0],
  );
});

t.test("names of modes, profiles and scenarios are unique, and every scenario has a figure", async (t) => {
  for (const all of [MODES, PROFILES, SCENARIOS]) t.equal(new Set(all.map(({ name }) => name)).size, all.length);
  for (const { name, metrics } of SCENARIOS) t.ok(metrics.length > 0, name);
  for (const { name, scenarios } of PROFILES) t.same(unknownNames(SCENARIOS, scenarios ?? []), [], name);
});
