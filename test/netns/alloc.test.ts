// alloc on two hosts of one bridge: leases and subnet.env, and a network that stays as it was.
//
//   a: eth0 192.168.50.10 ── br0 ── eth0 192.168.50.11 :b
import { readFileSync } from "node:fs";
import t from "tap";
import { makeHost, networkState, withDaemons } from "../support/hopsackd.js";
import { ipJson } from "../support/netns.js";
import { Place } from "../support/place.js";

withDaemons(t, import.meta.url, async () => {
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");

  t.test("alloc takes a lease and writes subnet.env with the underlay's MTU, and touches nothing else", async (t) => {
    const before = networkState(a);
    const place = new Place(t, '{"Network": "10.244.0.0/16", "Backend": {"Type": "alloc"}}');
    for (const host of [a, b]) await place.start(t, host).logged("ready");
    t.equal(place.leases().length, 2);
    const mtu = ipJson("-n a link show eth0")[0]?.mtu;
    t.match(readFileSync(place.subnetFile(a), "utf8"), `\nFLANNEL_MTU=${mtu}\n`);
    t.strictSame(networkState(a), before);
  });
});
