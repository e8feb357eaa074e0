// A VXLAN tunnel end made by iproute2, beside a daemon that knows of it by a static list.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import type { Test } from "tap";
import { type Daemon, type Host, ip } from "./hopsackd.js";
import { run } from "./netns.js";
import { Place } from "./place.js";

const LIST = "/run/hosts.json";
const NUMBERS: Readonly<Record<string, number>> = { a: 1, k: 2, x: 3 };
export const macOf = (host: Host): string => `02:00:00:00:00:0${NUMBERS[host.name]}`;

/** On links that come from here on: makeHost() switches it off. */
export function allowIpv6(host: Host): void {
  const settings = "for name in all default; do echo 0 >/proc/sys/net/ipv6/conf/$name/disable_ipv6; done";
  execFileSync("ip", ["netns", "exec", host.name, "sh", "-c", settings]);
}

/** A ready daemon on a, the pump for its packets; the static list names a and k. */
export async function startDaemon(
  t: Test,
  a: Host,
  k: Host,
  ...flags: readonly string[]
): Promise<{ place: Place; daemon: Daemon }> {
  const entry = (host: Host) => ({
    Node: host.name,
    PublicIP: host.address,
    Subnet: `10.244.${NUMBERS[host.name]}.0/24`,
    IPv6Subnet: `fd00:0:0:${NUMBERS[host.name]}::/64`,
    BackendData: { VNI: 1, VtepMAC: macOf(host) },
  });
  const network = { Network: "10.244.0.0/16", EnableIPv6: true, IPv6Network: "fd00::/48" };
  writeFileSync(LIST, JSON.stringify({ ...network, Backend: { Type: "vxlan" }, Hosts: [entry(a), entry(k)] }));
  const place = new Place(t, "{}", ["--store", `static:${LIST}`]);
  const daemon = place.start(t, a, "--vxlan-engine", "userspace", "--probe-peers=false", ...flags); // who is probed asks
  await daemon.logged("ready");
  return { place, daemon };
}

/** What an administrator without flannel would type, to reach a. @param more for the device, in the words of iproute2 */
export function makeKernelEnd(t: Test, host: Host, a: Host, ...more: readonly string[]): void {
  const n = NUMBERS[host.name];
  const device = `flannel.1 address ${macOf(host)} mtu 1450 type vxlan id 1 dev eth0 local ${host.address}`;
  ip(host, ["link add", device, "dstport 8472 learning", ...more].join(" "));
  ip(host, `addr add 10.244.${n}.0/32 dev flannel.1`);
  ip(host, `addr add fd00:0:0:${n}::/128 dev flannel.1 nodad`);
  ip(host, "link set flannel.1 up");
  ip(host, "route add 10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink");
  ip(host, "-6 route add fd00:0:0:1::/64 via fd00:0:0:1:: dev flannel.1 onlink");
  run(`bridge -n ${host.name} fdb append 00:00:00:00:00:00 dev flannel.1 dst ${a.address}`);
  t.teardown(() => {
    ip(host, "link del flannel.1");
  });
}
