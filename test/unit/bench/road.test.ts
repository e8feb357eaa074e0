// The check that traffic took the road of its mode.
import t from "tap";
import { checkPassed, checkRoute } from "../../../src/bench/road.js";

const ROAD = { netns: "h1", address: "10.64.2.1", device: { name: "flannel.1", kind: "vxlan" } };

t.test("a route by way of the mode's device is right", async (t) => {
  const answer =
    '[{"dst":"10.64.2.1","gateway":"10.64.2.0","dev":"flannel.1","prefsrc":"10.64.1.0","flags":["onlink"]}]';
  t.doesNotThrow(() => checkRoute(ROAD, answer));
});

t.test("a route by way of another device, or none, is refused with both names", async (t) => {
  const stale = '[{"dst":"10.64.2.1","gateway":"192.168.50.11","dev":"eth0","prefsrc":"192.168.50.10"}]';
  const message = "traffic took another road: packets to 10.64.2.1 would leave by eth0, not by flannel.1";
  t.throws(() => checkRoute(ROAD, stale), { code: "WRONG_ROAD", message });
  t.throws(() => checkRoute(ROAD, "[]"), { code: "WRONG_ROAD", message: /leave by no device/ });
});

t.test("a device that carried less than what arrived is refused", async (t) => {
  t.doesNotThrow(() => checkPassed(ROAD, { packets: 10, bytes: 900 }, 1000));
  t.throws(() => checkPassed(ROAD, { packets: 9, bytes: 899 }, 1000), {
    code: "WRONG_ROAD",
    message: /flannel\.1 carried 899 of the 1000 bytes that arrived$/,
  });
});
