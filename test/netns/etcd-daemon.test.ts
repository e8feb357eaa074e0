// Real daemons on a real etcd: moved addresses, changed modes, restarts.
import { spawnSync } from "node:child_process";
import t from "tap";
import { answers, CONFIG, etcdFor, makeHosts, overlayAddress, PREFIX } from "../support/etcd-daemons.js";
import { type Host, withDaemons } from "../support/hopsackd.js";
import { run, until } from "../support/netns.js";

/** The device that packets to this address leave by; null where there is no way. */
function deviceTo(host: Host, address: string): unknown {
  const { status, stdout } = spawnSync("ip", ["-j", "-n", host.name, "route", "get", address], { encoding: "utf8" });
  return status === 0 ? JSON.parse(stdout)[0].dev : null;
}

withDaemons(t, import.meta.url, async () => {
  const { a, b } = await makeHosts();

  t.test("two hosts meet in etcd; one that moves to another address is followed", async (t) => {
    const { cluster, place } = await etcdFor(t);
    const daemons = [place.start(t, a), place.start(t, b)];
    await Promise.all(daemons.map((daemon) => daemon.logged("ready")));
    await answers(a, overlayAddress(place, b));
    t.same(Object.values(cluster.contents(`${PREFIX}/subnets/`)).sort(), [
      '{"PublicIP":"192.168.50.10","PublicIPv6":null}',
      '{"PublicIP":"192.168.50.11","PublicIPv6":null}',
    ]);
    run("ip -n b addr add 192.168.50.77/24 dev eth0");
    run("ip -n b addr del 192.168.50.11/24 dev eth0");
    run("ip -n b addr add 192.168.50.77/24 dev eth0");
    await until("a knows the new address", () => place.status(a).peers[0]?.publicIp === "192.168.50.77");
    await answers(a, overlayAddress(place, b));
    t.equal(cluster.leaseIds().length, 2);
    await daemons[1]?.stop();
    run("ip -n b addr del 192.168.50.77/24 dev eth0");
    run("ip -n b addr add 192.168.50.11/24 dev eth0");
    await until("a is alone", () => place.status(a).peers.length === 0);
  });

  t.test("the configuration in etcd changes the mode of every host", async (t) => {
    const { cluster, place } = await etcdFor(t);
    const daemons = [place.start(t, a), place.start(t, b)];
    await Promise.all(daemons.map((daemon) => daemon.logged("ready")));
    await answers(a, overlayAddress(place, b));
    for (const [type, device] of [
      ["vxlan", "flannel.1"],
      ["host-gw", "eth0"],
      ["udp", "flannel0"],
    ]) {
      cluster.put(`${PREFIX}/config`, CONFIG.replace('"udp"', `"${type}"`));
      const subnet = `${overlayAddress(place, b)}/24`;
      const target = type === "host-gw" ? `${b.address}` : overlayAddress(place, b);
      const lookup = place.firstAddress(b);
      await until(
        `${subnet} goes by ${device}`,
        () => deviceTo(a, lookup) === device && place.status(a).peers.length === 1,
        10_000,
      );
      await answers(a, target);
    }
  });

  t.test("twenty restarts by SIGKILL leave one key and one etcd lease; a reservation stays one", async (t) => {
    const { cluster, place } = await etcdFor(t);
    cluster.put(`${PREFIX}/subnets/10.9.9.0-24`, `{"PublicIP":"${b.address}","PublicIPv6":null}`);
    for (let restart = 0; restart < 20; restart++) {
      const daemons = restart < 10 ? [place.start(t, a), place.start(t, b)] : [place.start(t, a)];
      await Promise.all(daemons.map((daemon) => daemon.logged("ready")));
      for (const daemon of daemons) daemon.kill("SIGKILL");
      await Promise.all(daemons.map(({ ended }) => ended));
    }
    const keys = Object.keys(cluster.contents(`${PREFIX}/subnets/`));
    t.equal(keys.length, 2);
    t.ok(keys.includes(`${PREFIX}/subnets/10.9.9.0-24`));
    t.equal(cluster.leaseIds().length, 1, "one etcd lease, a's");
    t.notMatch(cluster.etcdctl(`lease timetolive ${cluster.leaseIds()[0]} --keys`), /10\.9\.9\.0/);
  });
});
