// vxlan between the IPv6 addresses of the hosts, by the kernel's second device, with real daemons. Subnets are 10.244.1-4.0/24
// and the IPv6 ones that go with them; c has no IPv6 address on the underlay, d is a flannel host made by hand:
//
//   a: flannel.1, flannel-v6.1, eth0 192.168.50.10, fd99::10 ──┐
//   b: flannel.1, flannel-v6.1, eth0 192.168.50.11, fd99::11 ──┼── br0
//   c: flannel.1,               eth0 192.168.50.12           ──┤
//   d: (flannel's)              eth0 192.168.50.13, fd99::13 ──┘
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { capture } from "../../src/lab/capture.js";
import { type Daemon, type Host, ip, makeHost, networkState, withDaemons } from "../support/hopsackd.js";
import { ipJson, run, until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { pings, received, sha256 } from "../support/traffic.js";

/** What lies below the Min keys is nobody's until a test gives it to a host. */
const NETWORK = {
  Network: "10.244.0.0/16",
  SubnetMin: "10.244.16.0",
  EnableIPv6: true,
  IPv6Network: "fd00:10:244::/48",
  IPv6SubnetMin: "fd00:10:244:16::",
};
const VXLAN = JSON.stringify({ ...NETWORK, Backend: { Type: "vxlan" } });
const UDP = JSON.stringify({ ...NETWORK, Backend: { Type: "udp" } });
const DIRECT = JSON.stringify({ ...NETWORK, Backend: { Type: "vxlan", DirectRouting: true } });
const STREAM_BYTES = 10_000_000;

async function makeDualHost(name: string, number: number, address: string | null): Promise<Host> {
  const host = await makeHost(name, `192.168.50.${number}`);
  for (const setting of [
    "all/accept_dad=0",
    "eth0/accept_dad=0",
    "all/disable_ipv6=0",
    "default/disable_ipv6=0",
    "eth0/disable_ipv6=0",
    "all/forwarding=1",
  ]) {
    run(`ip netns exec ${name} sysctl -q -w net/ipv6/conf/${setting}`);
  }
  if (address !== null) ip(host, `addr add ${address}/64 dev eth0 nodad`);
  return host;
}

const shown = (text: string, pattern: RegExp): string[] =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => pattern.test(line))
    .sort();

/** Of one host: what IPv6 takes, in iproute2's words. */
function stateOf(host: Host): Record<string, string[]> {
  return {
    routes: shown(ip(host, "-6 route show"), / proto 85 /),
    neighbours: shown(ip(host, "-6 neigh show nud permanent"), /flannel/),
    fdb: shown(run(`bridge -n ${host.name} fdb show`), /flannel.* dst /),
    addresses: shown(ip(host, "-6 -o addr show scope global"), /flannel/).map((line) =>
      line.replace(/^\d+: (\S+) +inet6 (\S+) .*$/, "$1 $2"),
    ),
  };
}

/** The kernel's own events may come between two looks. */
async function becomes(t: Test, host: Host, expected: () => Record<string, string[]>): Promise<void> {
  const isThere = () => JSON.stringify(stateOf(host)) === JSON.stringify(expected());
  await until(`${host.name} is as expected`, isThere).catch(() => {});
  t.strictSame(stateOf(host), expected(), `what ${host.name} shows`);
}

interface Member {
  readonly host: Host;
  /** `fd00:10:244:2::` */
  readonly base: string;
  /** The same of IPv4. */
  readonly base4: string;
  readonly addressV6: string | null;
}

function memberOf(place: Place, host: Host, addressV6: string | null): Member {
  const lease = place.status(host).lease;
  const [base4 = "", base = ""] = [lease?.subnet, lease?.subnetV6].map((subnet) => subnet?.replace(/\/.*$/, ""));
  return { host, base, base4, addressV6 };
}

function macOf({ host }: Member, device: string): string {
  return String(ipJson(`-n ${host.name} link`).find(({ ifname }) => ifname === device)?.address);
}

/** IPv6 goes between the IPv6 ends where both have one. */
function expectedOf(own: Member, peers: readonly Member[]): Record<string, string[]> {
  const deviceTo = (peer: Member): string =>
    own.addressV6 === null || peer.addressV6 === null ? "flannel.1" : "flannel-v6.1";
  const [routes, neighbours, fdb]: [string[], string[], string[]] = [[], [], []];
  for (const peer of peers) {
    const device = deviceTo(peer);
    routes.push(`${peer.base}/64 via ${peer.base} dev ${device} proto 85 metric 1024 onlink pref medium`);
    neighbours.push(`${peer.base} dev ${device} lladdr ${macOf(peer, device)} PERMANENT`);
    fdb.push(`${macOf(peer, "flannel.1")} dev flannel.1 dst ${peer.host.address} self permanent`);
    if (device === "flannel.1") continue;
    fdb.push(`${macOf(peer, device)} dev ${device} dst ${peer.addressV6} self permanent`);
  }
  const device = own.addressV6 === null ? "flannel.1" : "flannel-v6.1";
  return {
    routes: routes.sort(),
    neighbours: neighbours.sort(),
    fdb: fdb.sort(),
    addresses: [`${device} ${own.base}/128`],
  };
}

withDaemons(t, import.meta.url, async () => {
  t.jobs = 1;
  const a = await makeDualHost("a", 10, "fd99::10");
  const b = await makeDualHost("b", 11, "fd99::11");
  const c = await makeDualHost("c", 12, null);
  const all = [a, b, c];

  async function overlay(t: Test, config = VXLAN): Promise<{ place: Place; daemons: Daemon[]; members: Member[] }> {
    const place = new Place(t, config);
    const daemons = await place.startAll(t, all);
    const members = all.map((host) => memberOf(place, host, host === c ? null : `fd99::1${host === a ? 0 : 1}`));
    return { place, daemons, members };
  }

  async function settled(t: Test, members: readonly Member[]): Promise<void> {
    for (const own of members) {
      const peers = members.filter((peer) => peer !== own);
      await becomes(t, own.host, () => expectedOf(own, peers));
      for (const { base, base4 } of peers) {
        for (const address of [base, base4]) {
          await until(`${own.host.name} reaches ${address}`, () => pings(own.host, address)).catch(() => {});
          t.ok(pings(own.host, address), `${own.host.name} → ${address}`);
        }
      }
    }
  }

  t.test("two devices, each peer by the one that both hosts have, and nothing left after a clean stop", async (t) => {
    const before = all.map(networkState);
    const { place, daemons, members } = await overlay(t);
    const [first, second] = members as [Member, Member];
    await settled(t, members);

    const device = ip(a, "-d link show flannel-v6.1");
    t.match(device, /mtu 1430 /);
    t.match(
      device,
      / vxlan id 1 local fd99::10 dev eth0 srcport 0 0 dstport 8472 nolearning .* udp6zerocsumtx|udpcsum/,
    );
    t.match(ip(a, "link show flannel.1"), "mtu 1450 ");
    t.match(readFileSync(place.subnetFile(a), "utf8"), "FLANNEL_MTU=1430\n", "what fits into both");
    t.match(readFileSync(place.subnetFile(c), "utf8"), "FLANNEL_MTU=1450\n");
    const leases = place.leases().map((name) => JSON.parse(readFileSync(join(place.store, "subnets", name), "utf8")));
    const published = leases.find(({ PublicIP }) => PublicIP === a.address);
    t.match(published, {
      PublicIPv6: "fd99::10",
      BackendData: { VNI: 1, VtepMAC: macOf(first, "flannel.1") },
      BackendV6Data: { VNI: 1, VtepMAC: macOf(first, "flannel-v6.1") },
    });
    t.equal(leases.find(({ PublicIP }) => PublicIP === c.address)?.PublicIPv6 ?? null, null);
    t.match(place.status(a), { warnings: [], lease: { publicIpv6: "fd99::10" } });

    const bytes = randomBytes(STREAM_BYTES);
    for (const [from, to] of [
      [first, second],
      [second, first],
      [first, members[2] ?? first],
    ] as const) {
      t.equal(await received(from.host, to.host, to.base, bytes), sha256(bytes), `${from.host.name} → ${to.host.name}`);
    }
    const ping = async () => void pings(a, second.base);
    const outer = "ip6 proto 17 and src host fd99::10 and dst host fd99::11 and ip6[42:2] = 8472";
    const packets = await capture({ netns: "b", link: "eth0" }, outer, 1, ping, AbortSignal.timeout(60_000));
    t.equal(packets.length, 1, "on the wire it is VXLAN in UDP in IPv6");

    await Promise.all(daemons.map((daemon) => daemon.stop()));
    t.strictSame(all.map(networkState), before);
  });

  t.test("an IPv6 address that goes, and comes back, moves the traffic to one device and to the other", async (t) => {
    const { place, members } = await overlay(t);
    await settled(t, members);
    ip(b, "addr del fd99::11/64 dev eth0");
    const without = members.map((member) => (member.host === b ? { ...member, addressV6: null } : member));
    await settled(t, without);
    t.equal(place.status(b).lease?.publicIpv6, null);
    t.equal(
      ipJson("-n b link").some(({ ifname }) => ifname === "flannel-v6.1"),
      false,
    );
    ip(b, "addr add fd99::11/64 dev eth0 nodad");
    await settled(t, members);
  });

  t.test("what somebody removes is put back", async (t) => {
    const { members } = await overlay(t);
    const second = members[1]?.base;
    for (const damage of [
      "link del flannel-v6.1",
      "link set flannel-v6.1 down",
      `-6 route del ${second}/64`,
      "-6 neigh flush dev flannel-v6.1 nud permanent",
      "link set flannel-v6.1 address 02:00:00:00:00:77",
    ]) {
      ip(a, damage);
      await t.test(damage, (t) => settled(t, members));
    }
  });

  t.test("DirectRouting sends IPv6 by the peer's IPv6 address, and everything through the tunnel again", async (t) => {
    const { place, members } = await overlay(t, DIRECT);
    const [first, second] = members as [Member, Member];
    const direct = `${second.base}/64 via fd99::11 dev eth0 proto 85 metric 1024 pref medium`;
    await until("the plain route", () => stateOf(a).routes?.includes(direct) ?? false);
    await until("answers", () => pings(a, second.base));
    t.ok(pings(first.host, second.base));
    writeFileSync(join(place.store, "config.json"), VXLAN);
    await settled(t, members);
  });

  t.test("another mode leaves nothing of it, and SIGKILL with cleanup neither", async (t) => {
    const before = networkState(a);
    const { place, daemons, members } = await overlay(t);
    await settled(t, members);
    writeFileSync(join(place.store, "config.json"), UDP);
    await until("udp mode", () => all.every((host) => ip(host, "-6 route show").includes("dev flannel0 proto 85")));
    await until("the device is gone", () => !ip(a, "link").includes("flannel-v6.1"));
    t.match(place.status(a).lease, { publicIpv6: null });
    writeFileSync(join(place.store, "config.json"), VXLAN);
    await settled(t, members);
    for (const daemon of daemons) daemon.kill("SIGKILL");
    await Promise.all(daemons.map((daemon) => daemon.ended));
    for (const host of all) place.cleanUp(host);
    t.strictSame(networkState(a), before);
  });

  t.test(
    "a lease as flannel writes it leads to a flannel host (here devices made by iproute2, no flanneld)",
    async (t) => {
      const { place, members } = await overlay(t);
      const [first] = members as [Member];
      const d = await makeDualHost("d", 13, "fd99::13");
      const [mac, macV6] = ["02:00:00:00:00:d4", "02:00:00:00:00:d6"];
      ip(
        d,
        `link add flannel.1 address ${mac} mtu 1450 type vxlan id 1 local ${d.address} dev eth0 dstport 8472 nolearning`,
      );
      ip(
        d,
        `link add flannel-v6.1 address ${macV6} mtu 1430 type vxlan id 1 local fd99::13 dev eth0 dstport 8472 nolearning`,
      );
      for (const link of ["flannel.1", "flannel-v6.1"]) ip(d, `link set ${link} up`);
      ip(d, "addr add 10.244.9.0/32 dev flannel.1");
      ip(d, "addr add fd00:10:244:9::/128 dev flannel-v6.1 nodad");
      ip(d, `route add ${first.base4}/24 via ${first.base4} dev flannel.1 onlink`);
      ip(d, `neigh add ${first.base4} lladdr ${macOf(first, "flannel.1")} dev flannel.1 nud permanent`);
      run(`bridge -n d fdb add ${macOf(first, "flannel.1")} dev flannel.1 dst ${a.address}`);
      ip(d, `-6 route add ${first.base}/64 via ${first.base} dev flannel-v6.1 onlink`);
      ip(d, `-6 neigh add ${first.base} lladdr ${macOf(first, "flannel-v6.1")} dev flannel-v6.1 nud permanent`);
      run(`bridge -n d fdb add ${macOf(first, "flannel-v6.1")} dev flannel-v6.1 dst fd99::10`);
      const attrs = `{"PublicIP":"${d.address}","PublicIPv6":"fd99::13","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"${mac}"},"BackendV6Data":{"VNI":1,"VtepMAC":"${macV6}"}}`;
      writeFileSync(join(place.store, "subnets", "10.244.9.0-24&fd00:10:244:9::-64.json"), attrs);
      for (const address of ["10.244.9.0", "fd00:10:244:9::"]) {
        await until(`a reaches ${address}`, () => pings(a, address)).catch(() => {});
        t.ok(pings(a, address), address);
      }
      t.match(ip(a, "-6 route show"), "fd00:10:244:9::/64 via fd00:10:244:9:: dev flannel-v6.1 ");
    },
  );
});
