// host-gw, and vxlan with DirectRouting, across a router; every host's subnet is 10.244.<n>.0/24 (a 1, b 2, c 3):
//
//   a: eth0 192.168.50.10 ──┐          ┌── r (forwards, knows nothing of 10.244.0.0/16) ──┐
//   b: eth0 192.168.50.11 ──┴── br0 ───┘ eth0 192.168.50.1             eth1 172.16.0.1    └── br1 ── c: eth0 172.16.0.12
import t, { type Test } from "tap";
import { type Daemon, type Host, ip, makeHost, networkState, withDaemons } from "../support/hopsackd.js";
import { run, until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { pings } from "../support/traffic.js";

const HOST_GW = '{"Network": "10.244.0.0/16", "Backend": {"Type": "host-gw"}}';
const DIRECT = '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan", "DirectRouting": true}}';

/** Routes into the overlay, in iproute2's words. */
function routes(host: Host): string[] {
  return ip(host, "route show")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.startsWith("10.244.") && !line.includes("dev cni0"))
    .sort();
}

/** Somebody at the first address of the host's subnet. */
function makePod(t: Test, host: Host, n: number): void {
  ip(host, "link add cni0 type bridge");
  ip(host, `addr add 10.244.${n}.1/24 dev cni0`);
  ip(host, "link set cni0 up");
  t.teardown(() => {
    ip(host, "link del cni0");
  });
}

async function overlay(t: Test, hosts: readonly Host[], config: string): Promise<{ place: Place; daemons: Daemon[] }> {
  const place = new Place(t, config);
  for (const [index, host] of hosts.entries()) makePod(t, host, index + 1);
  return { place, daemons: await place.startAll(t, hosts) };
}

/** Within the limit of until(), a third of the minute after which the daemon would look without being told. */
async function becomes(t: Test, host: Host, expected: readonly string[]): Promise<void> {
  const wanted = JSON.stringify(expected);
  await until(`routes of ${host.name}`, () => JSON.stringify(routes(host)) === wanted).catch(() => {});
  t.strictSame(routes(host), expected);
}

function warnings(place: Place, host: Host): string {
  return String(place.status(host).warnings);
}

withDaemons(t, import.meta.url, async () => {
  run("ip link add br1 type bridge");
  run("ip link set br1 up");
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  const c = await makeHost("c", "172.16.0.12", { bridge: "br1" });
  const r = await makeHost("r", "192.168.50.1");
  run("ip link add v-r1 type veth peer name eth1 netns r");
  run("ip link set v-r1 master br1 up");
  ip(r, "addr add 172.16.0.1/24 dev eth1");
  ip(r, "link set eth1 up");
  for (const host of [a, b]) ip(host, "route add default via 192.168.50.1");
  ip(c, "route add default via 172.16.0.1");
  await until("the router routes", () => pings(a, c.address));

  t.test("host-gw: plain routes on the link; a peer behind the router is refused with the reason", async (t) => {
    const before = [a, b, c].map(networkState);
    await t.test("while it runs", async (t) => {
      const { place, daemons } = await overlay(t, [a, b, c], HOST_GW);
      await becomes(t, a, ["10.244.2.0/24 via 192.168.50.11 dev eth0 proto 85"]);
      await becomes(t, b, ["10.244.1.0/24 via 192.168.50.10 dev eth0 proto 85"]);
      await becomes(t, c, []);
      t.ok(pings(a, "10.244.2.1"));
      const refusal =
        /lease 10\.244\.3\.0-24 of c is not used: it is at 172\.16\.0\.12, which is not on the link eth0, as host-gw needs it/;
      await until("the refusal is told", () => refusal.test(warnings(place, a)));
      for (const peer of ["10.244.1.0-24 of a is", "10.244.2.0-24 of b is"]) t.match(warnings(place, c), peer);
      const status = place.status(a);
      t.match(status, { backend: "host-gw", device: null, peers: [{ subnet: "10.244.2.0/24" }] });
      t.equal(status.peers.length, 1);

      for (const damage of [
        ["route del 10.244.2.0/24"],
        ["link set eth0 down", "link set eth0 up", "route add default via 192.168.50.1"],
        ["link set eth0 name lan0", "route flush proto 85", "link set lan0 name eth0"],
      ]) {
        for (const command of damage) ip(a, command);
        await becomes(t, a, ["10.244.2.0/24 via 192.168.50.11 dev eth0 proto 85"]);
      }
      for (const daemon of daemons) await daemon.stop();
    });
    t.strictSame([a, b, c].map(networkState), before, "afterwards nothing is left");
  });

  t.test("host-gw: a foreign route in our place is told, not overwritten, and ours comes when it goes", async (t) => {
    const { place } = await overlay(t, [a, b], HOST_GW);
    await becomes(t, a, ["10.244.2.0/24 via 192.168.50.11 dev eth0 proto 85"]);
    ip(a, "route replace 10.244.2.0/24 via 192.168.50.1");
    await until("it is told", () =>
      /10\.244\.2\.0\/24 via 192\.168\.50\.11 dev eth0 \(EEXIST/.test(warnings(place, a)),
    );
    t.strictSame(routes(a), ["10.244.2.0/24 via 192.168.50.1 dev eth0"]);
    ip(a, "route del 10.244.2.0/24");
    await becomes(t, a, ["10.244.2.0/24 via 192.168.50.11 dev eth0 proto 85"]);
  });

  t.test("DirectRouting: a plain route on the link, the tunnel through the router", async (t) => {
    const before = [a, b, c].map(networkState);
    await t.test("while it runs", async (t) => {
      const { daemons } = await overlay(t, [a, b, c], DIRECT);
      const direct = "10.244.2.0/24 via 192.168.50.11 dev eth0 proto 85";
      const tunnelled = (n: number): string => `10.244.${n}.0/24 via 10.244.${n}.0 dev flannel.1 proto 85 onlink`;
      const fdb = (): string[] => run("bridge -n a fdb show dev flannel.1").match(/dst \S+/g) ?? [];
      await becomes(t, a, [direct, tunnelled(3)]);
      await becomes(t, b, ["10.244.1.0/24 via 192.168.50.10 dev eth0 proto 85", tunnelled(3)]);
      await becomes(t, c, [tunnelled(1), tunnelled(2)]);
      t.strictSame(fdb(), ["dst 172.16.0.12"]);
      t.equal(ip(a, "neigh show nud permanent").trim().split("\n").length, 1);
      for (const to of ["10.244.2.1", "10.244.3.1"]) t.ok(pings(a, to), to);
      t.ok(pings(c, "10.244.1.1"));

      await t.test("a peer that moves behind a router, and back, is followed without a new lease", async (t) => {
        ip(a, "route add 192.168.50.11/32 via 192.168.50.1");
        await becomes(t, a, [tunnelled(2), tunnelled(3)]);
        t.strictSame(fdb().sort(), ["dst 172.16.0.12", "dst 192.168.50.11"]);
        t.ok(pings(a, "10.244.2.1"));
        ip(a, "route del 192.168.50.11/32");
        await becomes(t, a, [direct, tunnelled(3)]);
        t.strictSame(fdb(), ["dst 172.16.0.12"], "nothing of the tunnel stays");
        t.ok(pings(a, "10.244.2.1"));
      });
      for (const daemon of daemons) await daemon.stop();
    });
    t.strictSame([a, b, c].map(networkState), before, "afterwards nothing is left");
  });
});
