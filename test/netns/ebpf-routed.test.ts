// The eBPF engine between hosts on two links: the programs hand packets to the router that the kernel's routes name, and to no other.
//
//                           ┌── [r1 .1] ──┐
//   [a 192.168.50.10] ── br0┤             ├br1 ── [c 172.16.0.12]
//                           └── [r2 .2] ──┘
import { randomBytes } from "node:crypto";
import t, { type Test } from "tap";
import { carried, startPair, UDP, VXLAN, type Wire } from "../support/accelerated.js";
import { type Host, ip, makeHost, withDaemons } from "../support/hopsackd.js";
import { run, until } from "../support/netns.js";
import { ping, pings, received, sha256 } from "../support/traffic.js";

const STREAM_BYTES = 20_000_000;
const NARROW_MTU = 1000;
const FAR = "172.16.0.0/24";
/** Of the overlay, at c. */
const TARGET = "10.244.2.0";

withDaemons(t, import.meta.url, async () => {
  run("ip link add br1 type bridge");
  run("ip link set br1 up");
  const a = await makeHost("a", "192.168.50.10");
  const c = await makeHost("c", "172.16.0.12", { bridge: "br1" });
  const [r1, r2] = [await makeRouter(1), await makeRouter(2)];
  ip(a, `route add ${FAR} via 192.168.50.1`);
  ip(c, "route add 192.168.50.0/24 via 172.16.0.1");
  for (const wire of [UDP, VXLAN]) declare(wire, [a, c], [r1, r2]);
});

async function makeRouter(number: number): Promise<Host> {
  const router = await makeHost(`r${number}`, `192.168.50.${number}`);
  run(`ip link add v-far${number} type veth peer name eth1 netns ${router.name}`);
  run(`ip link set v-far${number} master br1 up`);
  ip(router, `addr add 172.16.0.${number}/24 dev eth1`);
  ip(router, "link set eth1 up");
  const nft = `ip netns exec ${router.name} nft add`;
  run(`${nft} table ip watch`);
  run(`${nft} chain ip watch passing { type filter hook forward priority 0 ; }`);
  run(`${nft} rule ip watch passing ip saddr 192.168.50.10 counter`);
  return router;
}

/** Packets of a that the router has passed on. */
function passed(router: Host): number {
  const rules = run(`ip netns exec ${router.name} nft list chain ip watch passing`);
  return Number(/counter packets (\d+)/.exec(rules)?.[1]);
}

function declare(wire: Wire, [a, c]: readonly [Host, Host], [r1, r2]: readonly [Host, Host]): void {
  const start = (t: Test) => startPair(t, wire, [a, c]);

  t.test(
    `${wire.name}: a stream to a peer behind a router goes by the programs, byte for byte, both ways`,
    async (t) => {
      const { place } = await start(t);
      const bytes = randomBytes(STREAM_BYTES);
      const before = place.status(a).traffic;
      const [sent, through] = [carried(place, a).sent, passed(r1)];
      t.equal(await received(a, c, TARGET, bytes), sha256(bytes));
      const packets = carried(place, a).sent - sent;
      t.ok(packets >= STREAM_BYTES / wire.mtuBytes, `${packets} packets by the programs`);
      t.equal(place.status(a).traffic?.sent.tunCalls, before?.sent.tunCalls, "not one by the pump");
      t.ok(passed(r1) > through, "by way of the router");
      t.equal(await received(c, a, "10.244.1.0", bytes), sha256(bytes));
      t.ok(carried(place, a).received >= STREAM_BYTES / wire.mtuBytes, "and those that arrive from there");
    },
  );

  t.test(
    `${wire.name}: a route that changes to another router is followed, and the old one gets nothing more`,
    async (t) => {
      const { place } = await start(t);
      t.ok(pings(a, TARGET));
      ip(a, `route replace ${FAR} via 192.168.50.2`);
      t.teardown(() => ip(a, `route replace ${FAR} via 192.168.50.1`));
      const first = passed(r2);
      await until("the first packet by the other router", () => pings(a, TARGET) && passed(r2) > first);
      const [old, sent, through] = [passed(r1), carried(place, a).sent, passed(r2)];
      for (let i = 0; i < 20; i++) t.ok(pings(a, TARGET));
      t.equal(passed(r1), old, "not one by the old router");
      t.equal(passed(r2), through + 20);
      t.equal(carried(place, a).sent, sent + 20, "all of them by the programs");
    },
  );

  t.test(`${wire.name}: a peer that the routes lead to by another link is the pump's`, async (t) => {
    run("ip link add v-other type veth peer name eth1 netns a");
    run("ip link set v-other master br0 up");
    t.teardown(() => {
      run("ip link del v-other");
      ip(r1, "neigh flush dev eth0"); // it has learned where a was
      ip(a, `route replace ${FAR} via 192.168.50.1`);
    });
    ip(a, "link set eth1 up");
    const { place } = await start(t);
    ip(a, `route replace ${FAR} via 192.168.50.1 dev eth1 onlink`);
    const through = passed(r1);
    const sentByPump = (): number => place.status(a).traffic?.sent.datagrams ?? 0;
    await until("the pump has the packets", () => pings(a, TARGET) && sentByPump() > 0);
    const [sent, pumped] = [carried(place, a).sent, sentByPump()];
    t.ok(pings(a, TARGET));
    t.equal(carried(place, a).sent, sent, "not by the programs");
    t.equal(sentByPump(), pumped + 1);
    t.ok(passed(r1) > through);
  });

  t.test(`${wire.name}: a path that becomes narrower on the far side of the router is noticed`, async (t) => {
    const { place } = await start(t);
    const big = ["-M", "do", "-s", "1200"];
    t.ok(pings(a, TARGET, ...big));
    ip(r1, `link set eth1 mtu ${NARROW_MTU}`);
    t.teardown(() => {
      ip(r1, "link set eth1 mtu 1500");
      ip(a, "route flush cache");
    });
    const tooBig = (): string => ping(a, TARGET, ...big);
    const mtu = new RegExp(`mtu ?= ?${NARROW_MTU - (1500 - wire.mtuBytes)}`);
    await until("the pump tells the sender", () => mtu.test(tooBig()), 10_000);
    const bytes = randomBytes(STREAM_BYTES);
    const { sent } = carried(place, a);
    t.equal(await received(a, c, TARGET, bytes), sha256(bytes));
    const packets = carried(place, a).sent - sent;
    t.ok(packets >= STREAM_BYTES / NARROW_MTU, `${packets} packets of the new length by the programs`);
  });

  t.test(`${wire.name}: a peer without a route is the pump's, which says so, until there is one again`, async (t) => {
    const { place } = await start(t);
    t.ok(pings(a, TARGET));
    const unreachable = (): number =>
      place.status(a).drops.find(({ reason }) => reason === "host_unreachable")?.packets ?? 0;
    ip(a, `route del ${FAR}`);
    t.teardown(() => ip(a, `route replace ${FAR} via 192.168.50.1`));
    await until("the pump has the packets", () => !pings(a, TARGET) && unreachable() > 0);
    const [sent, through] = [carried(place, a).sent, passed(r1)];
    t.match(ping(a, TARGET), /Destination Host Unreachable/);
    t.equal(carried(place, a).sent, sent, "not by the programs");
    t.equal(passed(r1), through, "nothing to the router of before");
    ip(a, `route add ${FAR} via 192.168.50.1`);
    await until("the programs have them again", () => pings(a, TARGET) && carried(place, a).sent > sent);
  });
}
