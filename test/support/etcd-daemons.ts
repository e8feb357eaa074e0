// Daemons on a real etcd: what the tests with them share. For tests that run inside withDaemons().
//
//   a: flannel0, eth0 192.168.50.10 ──┐
//   b: flannel0, eth0 192.168.50.11 ──┼── br0 192.168.50.1: etcd
import type { Test } from "tap";
import { EtcdCluster } from "./etcd.js";
import { type Host, makeHost } from "./hopsackd.js";
import { run, until } from "./netns.js";
import { Place } from "./place.js";
import { pings } from "./traffic.js";

export const PREFIX = "/coreos.com/network";
export const CONFIG = '{"Network":"10.0.0.0/8","SubnetLen":24,"Backend":{"Type":"udp"}}';

/** The two hosts, and an address for etcd that both reach. Inside withDaemons(). */
export async function makeHosts(): Promise<{ a: Host; b: Host }> {
  run("ip addr add 192.168.50.1/24 dev br0");
  return { a: await makeHost("a", "192.168.50.10"), b: await makeHost("b", "192.168.50.11") };
}

export interface Overlay {
  readonly cluster: EtcdCluster;
  readonly place: Place;
}

/** One etcd for one test, with the configuration, and where its daemons live. */
export async function etcdFor(t: Test): Promise<Overlay> {
  const cluster = await EtcdCluster.start({ address: "192.168.50.1" });
  t.teardown(() => cluster.killAll());
  cluster.put(`${PREFIX}/config`, CONFIG);
  return { cluster, place: new Place(t, CONFIG, ["--etcd-endpoints", cluster.endpoints.join(",")]) };
}

/** Address of the host's own TUN: the base of its subnet. */
export function overlayAddress(place: Place, host: Host): string {
  return place.firstAddress(host).replace(/\.1$/, ".0");
}

/** Waits until a ping is answered. */
export async function answers(from: Host, to: string, limitMs = 5000): Promise<void> {
  await until(`${to} answers`, () => pings(from, to), limitMs);
}
