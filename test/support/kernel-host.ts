// A host for kernel tests, inside own namespaces (netns.ts); nothing on it is ours yet:
//
//   flannel0 (TUN, persistent, down)      uplink 10.99.0.1/24 ── veth ── peer      default via 10.99.0.2
import { spawnSync } from "node:child_process";
import type { Test } from "tap";
import { Rtnetlink } from "../../src/kernel/rtnetlink.js";
import type { Link } from "../../src/netlink/link.js";
import { ipJson, run, until } from "./netns.js";

/**
 * Removed with everything on it at the end of the test. Nothing changes on it by itself: the kernel gives no link an IPv6 address of its
 * own, and the links' carrier, which it notices a while after both ends are up, is there.
 */
export async function setUpHost(t: Test): Promise<Rtnetlink> {
  run("sysctl -q -w net.ipv6.conf.default.addr_gen_mode=1 net.ipv6.conf.default.accept_dad=0");
  run("ip tuntap add flannel0 mode tun");
  run("ip link add uplink type veth peer name peer");
  run("ip link set uplink up");
  run("ip link set peer up");
  run("ip address add 10.99.0.1/24 dev uplink");
  run("ip route add default via 10.99.0.2 dev uplink");
  await until("the carrier is there", () =>
    ["uplink", "peer"].every((name) => ipJson(`link show ${name}`)[0]?.operstate === "UP"),
  );
  t.teardown(() => {
    spawnSync("ip", ["link", "delete", "flannel0"]); // some tests delete it themselves
    run("ip link delete uplink");
  });
  const rtnetlink = new Rtnetlink();
  t.teardown(() => rtnetlink.close());
  return rtnetlink;
}

export function linkNamed(rtnetlink: Rtnetlink, name: string): Link {
  const link = rtnetlink.links().find((candidate) => candidate.name === name);
  if (link === undefined) throw new Error(`no link ${name}`);
  return link;
}
