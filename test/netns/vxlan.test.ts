// vxlan by the kernel's own device, with real daemons; iproute2 is the oracle and the saboteur. Subnets are 10.244.1-3.0/24:
//
//   a: flannel.1 10.244.1.0, eth0 192.168.50.10 ──┐
//   b: flannel.1 10.244.2.0, eth0 192.168.50.11 ──┼── br0
//   c: flannel.1 10.244.3.0, eth0 192.168.50.12 ──┘
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type Daemon, type Host, ip, makeHost, networkState, withDaemons } from "../support/hopsackd.js";
import { ipJson, run, until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { ping, pings, received, sha256 } from "../support/traffic.js";

const VXLAN = '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}';
const UDP = '{"Network": "10.244.0.0/16", "Backend": {"Type": "udp"}}';
const HOST_GW = '{"Network": "10.244.0.0/16", "Backend": {"Type": "host-gw"}}';
const VNI_5 = '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan", "VNI": 5}}';
const STREAM_BYTES = 50_000_000;

const backendOf = (config: string): string => JSON.stringify(JSON.parse(config).Backend);

function mac(host: Host): string {
  return String(ipJson(`-n ${host.name} link show flannel.1`)[0]?.address);
}

const lines = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .sort();

/** What a command says; nothing when it fails, as on a device that is being replaced. */
function said(commandLine: string): string {
  const [command = "", ...args] = commandLine.split(" ");
  return spawnSync(command, args, { encoding: "utf8" }).stdout;
}

/** The kernel's state as far as the overlay goes, in iproute2's words. */
function overlayState(host: Host): Record<string, string[]> {
  return {
    routes: lines(ip(host, "route show")).filter((line) => line.startsWith("10.244.")),
    neighbours: lines(ip(host, "neigh show nud permanent")),
    fdb: lines(said(`bridge -n ${host.name} fdb show dev flannel.1`)),
    addresses: lines(said(`ip -n ${host.name} -o -4 addr show dev flannel.1`)).map((line) =>
      line.replace(/^\d+: /, ""),
    ),
  };
}

function existsDevice(host: Host, name: string): boolean {
  return ipJson(`-n ${host.name} link`).some(({ ifname }) => ifname === name);
}

/** What a host with these peers (subnet number → host) shows. */
function expectedState(own: number, peers: Readonly<Record<number, Host>>): Record<string, string[]> {
  const entries = Object.entries(peers);
  return {
    routes: entries.map(([n]) => `10.244.${n}.0/24 via 10.244.${n}.0 dev flannel.1 proto 85 onlink`).sort(),
    neighbours: entries.map(([n, peer]) => `10.244.${n}.0 dev flannel.1 lladdr ${mac(peer)} PERMANENT`).sort(),
    fdb: entries.map(([, peer]) => `${mac(peer)} dst ${peer.address} self permanent`).sort(),
    addresses: [
      `flannel.1    inet 10.244.${own}.0/32 scope global flannel.1\\       valid_lft forever preferred_lft forever`,
    ],
  };
}

/** Three ready hosts, which know each other. */
async function overlay(t: Test, hosts: readonly Host[], config = VXLAN): Promise<{ place: Place; daemons: Daemon[] }> {
  const place = new Place(t, config);
  const daemons = await place.startAll(t, hosts);
  await until("everybody knows everybody", () =>
    hosts.every((host) => overlayState(host).routes?.length === hosts.length - 1),
  );
  return { place, daemons };
}

withDaemons(t, import.meta.url, async () => {
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  const c = await makeHost("c", "192.168.50.12");
  const all = [a, b, c];

  t.test("device, routes, neighbours and forwarding entries have the expected text, and packets flow", async (t) => {
    const before = all.map(networkState);
    const { place, daemons } = await overlay(t, all);

    await t.test("the kernel's words", async (t) => {
      t.strictSame(overlayState(a), expectedState(1, { 2: b, 3: c }));
      t.strictSame(overlayState(b), expectedState(2, { 1: a, 3: c }));
      const device = ip(a, "-d link show flannel.1");
      t.match(device, /flannel\.1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 /);
      t.match(device, / vxlan id 1 local 192\.168\.50\.10 dev eth0 srcport 0 0 dstport 8472 nolearning .* udpcsum /);
      t.match(device, /alias hopsack flannel0/);
      const setting = "/proc/sys/net/ipv6/conf/flannel.1/accept_ra";
      t.equal(run(`ip netns exec a cat ${setting}`), "0\n", "no peer can become our router");
      const lease = JSON.parse(readFileSync(join(place.store, "subnets", "10.244.1.0-24.json"), "utf8"));
      t.strictSame(lease.BackendData, { VNI: 1, VtepMAC: mac(a) });
      t.match(readFileSync(place.subnetFile(a), "utf8"), "FLANNEL_MTU=1450\n");
      t.match(place.status(a), {
        backend: "vxlan",
        device: { name: "flannel.1", mtuBytes: 1450 },
        warnings: [],
      });
    });

    await t.test(
      "every host pings every other; packets of 1450 bytes pass whole, longer ones are told the MTU",
      async (t) => {
        for (const from of all) {
          for (const n of [1, 2, 3]) t.ok(pings(from, `10.244.${n}.0`), `${from.name} → 10.244.${n}.0`);
        }
        t.ok(pings(a, "10.244.2.0", "-M", "do", "-s", "1422"));
        t.match(ping(a, "10.244.2.0", "-M", "do", "-s", "1423"), /mtu ?= ?1450/);
      },
    );

    await t.test(
      "a stream arrives with the right sha256, on the wire as VXLAN to port 8472 with checksums",
      async (t) => {
        const bytes = randomBytes(STREAM_BYTES);
        const dump = spawn("ip", [
          "netns",
          "exec",
          "a",
          "tcpdump",
          "-ni",
          "eth0",
          "-c",
          "3",
          "-vv",
          "udp dst port 8472 and dst host 192.168.50.11",
        ]);
        let seen = "";
        for (const stream of [dump.stdout, dump.stderr]) stream.on("data", (chunk) => (seen += chunk));
        const dumped = once(dump, "close"); // then all it said is here
        await until("tcpdump listens", () => seen.includes("listening"));
        t.equal(await received(a, b, "10.244.2.0", bytes), sha256(bytes));
        await dumped;
        t.match(
          seen,
          /> 192\.168\.50\.11\.8472: .*VXLAN, flags \[I\] \(0x08\), vni 1|> 192\.168\.50\.11\.8472: .*OTV/s,
        );
        t.notMatch(seen, /no cksum/);
      },
    );

    await t.test("a peer that leaves takes its three entries along", async (t) => {
      await daemons[2]?.stop();
      const expected = expectedState(1, { 2: b });
      const isGone = () => JSON.stringify(overlayState(a)) === JSON.stringify(expected);
      await until("its entries are gone", isGone).catch(() => {});
      t.strictSame(overlayState(a), expected);
    });

    for (const daemon of daemons) await daemon.stop();
    t.strictSame(all.map(networkState), before, "afterwards nothing is left");
  });

  t.test("every kind of damage is healed within a second, and packets flow again", async (t) => {
    const { daemons } = await overlay(t, all);
    const expected = expectedState(1, { 2: b, 3: c });
    const ownMac = mac(a);
    const isWhole = (): boolean => {
      const device = ipJson("-n a -d link show").find(({ ifname }) => ifname === "flannel.1");
      const isSet = device?.address === ownMac && device?.mtu === 1450 && JSON.stringify(device.flags).includes('"UP"');
      return isSet && JSON.stringify(overlayState(a)) === JSON.stringify(expected);
    };
    t.ok(isWhole());
    const damages: (string | readonly string[])[] = [
      "ip -n a link del flannel.1",
      "ip -n a route del 10.244.2.0/24",
      "ip -n a route replace 10.244.2.0/24 via 10.244.3.0 dev flannel.1 onlink",
      "ip -n a route flush dev flannel.1",
      "ip -n a neigh flush dev flannel.1 nud permanent",
      "ip -n a neigh replace 10.244.2.0 lladdr 02:00:00:00:00:99 dev flannel.1 nud permanent",
      "ip -n a neigh add 10.244.77.0 lladdr 02:00:00:00:00:77 dev flannel.1 nud permanent",
      `bridge -n a fdb del ${mac(b)} dev flannel.1`,
      `bridge -n a fdb replace ${mac(b)} dst 192.168.50.12 dev flannel.1`,
      "bridge -n a fdb add 02:00:00:00:00:77 dst 192.168.50.77 dev flannel.1",
      "ip -n a link set flannel.1 address 02:00:00:00:00:99",
      "ip -n a link set flannel.1 mtu 1300",
      "ip -n a link set flannel.1 down",
      "ip -n a link set flannel.1 name foo",
      "ip -n a addr flush dev flannel.1",
      "ip -n a addr add 10.244.99.1/24 dev flannel.1",
      ["ip -n a link set eth0 down", "ip -n a link set eth0 up"],
      ["ip -n a link set eth0 name lan0", "ip -n a link set lan0 name eth0"],
      "ip -n a link set flannel.1 type vxlan learning",
    ];
    for (const damage of damages) {
      for (const command of [damage].flat()) run(command);
      const damagedAt = performance.now();
      await until(`repair after ${damage}`, isWhole);
      const milliseconds = Math.round(performance.now() - damagedAt);
      t.comment(`${[damage].flat().join("; ")}: healed in ${milliseconds} ms`);
      await until("packets flow", () => pings(a, "10.244.2.0")); // of the underlay's bridge the kernel may think a second longer
    }
    t.strictSame(
      daemons[0]?.lines.filter(({ event }) => event === "device_lost"),
      [],
    );
  });

  t.test("an underlay that is renamed for good keeps carrying, also a device that has to be made anew", async (t) => {
    await overlay(t, [a, b]);
    t.teardown(() => {
      ip(a, "link set lan0 name eth0");
    });
    const expected = expectedState(1, { 2: b });
    ip(a, "link set eth0 name lan0");
    ip(a, "link del flannel.1");
    await until("everything is back", () => JSON.stringify(overlayState(a)) === JSON.stringify(expected));
    t.match(ip(a, "-d link show flannel.1"), / dev lan0 /);
    t.ok(pings(a, "10.244.2.0"));
  });

  t.test("a compatible device is taken over without a gap, flannel's leftovers on it are not kept", async (t) => {
    const make = "link add flannel.1 mtu 1400 address 02:00:00:00:00:aa type vxlan id 1 dev eth0";
    ip(a, `${make} local 192.168.50.10 dstport 8472 nolearning`);
    ip(a, "link set flannel.1 up");
    ip(a, "addr add 10.244.1.0/32 dev flannel.1");
    for (const n of [2, 66]) {
      ip(a, `route add 10.244.${n}.0/24 via 10.244.${n}.0 dev flannel.1 onlink`);
      ip(a, `neigh add 10.244.${n}.0 lladdr 02:00:00:00:00:66 dev flannel.1 nud permanent`);
    }
    run("bridge -n a fdb add 02:00:00:00:00:66 dst 192.168.50.66 dev flannel.1 self permanent");
    const index = ipJson("-n a link show flannel.1")[0]?.ifindex;
    await overlay(t, all);
    t.strictSame(overlayState(a), expectedState(1, { 2: b, 3: c }));
    t.equal(ipJson("-n a link show flannel.1")[0]?.ifindex, index, "the same device");
    t.equal(ipJson("-n a link show flannel.1")[0]?.mtu, 1450);
    t.not(mac(a), "02:00:00:00:00:aa");
    t.ok(pings(a, "10.244.2.0"));
  });

  t.test("an incompatible device is replaced, with its peers", async (t) => {
    ip(a, "link add flannel.1 type vxlan id 1 dev eth0 local 192.168.50.10 dstport 4789 group 239.1.1.1");
    ip(a, "link set flannel.1 up");
    await overlay(t, all);
    t.strictSame(overlayState(a), expectedState(1, { 2: b, 3: c }));
    t.match(
      ip(a, "-d link show flannel.1"),
      / vxlan id 1 local 192\.168\.50\.10 dev eth0 srcport 0 0 dstport 8472 nolearning /,
    );
    t.ok(pings(a, "10.244.2.0"));
  });

  t.test("a killed daemon leaves a working overlay, and the next one keeps MAC and device", async (t) => {
    const { place, daemons } = await overlay(t, all);
    const before = overlayState(a);
    const [index, ownMac] = [ipJson("-n a link show flannel.1")[0]?.ifindex, mac(a)];
    daemons[0]?.kill("SIGKILL");
    await daemons[0]?.ended;
    t.ok(pings(a, "10.244.2.0"), "without a daemon");
    ip(a, "route add 10.244.77.0/24 via 192.168.50.12 dev eth0 proto 85");
    await place.start(t, a).logged("ready");
    t.strictSame(overlayState(a), before);
    t.strictSame([ipJson("-n a link show flannel.1")[0]?.ifindex, mac(a)], [index, ownMac]);
  });

  const viaDevice = (device: string) => `10.244.2.0/24 via 10.244.2.0 dev ${device} proto 85 onlink`;
  for (const [from, to, device, route] of [
    [VXLAN, UDP, "flannel0", "10.244.0.0/16 dev flannel0 proto 85 scope link"],
    [HOST_GW, UDP, "flannel0", "10.244.0.0/16 dev flannel0 proto 85 scope link"],
    [HOST_GW, VXLAN, "flannel.1", viaDevice("flannel.1")],
    [VXLAN, HOST_GW, null, "10.244.2.0/24 via 192.168.50.11 dev eth0 proto 85"],
    [VXLAN, VNI_5, "flannel.5", viaDevice("flannel.5")],
  ] as const) {
    t.test(`what a killed run left is gone after another start: ${backendOf(from)} → ${backendOf(to)}`, async (t) => {
      const { place, daemons } = await overlay(t, [a, b], from);
      for (const daemon of daemons) daemon.kill("SIGKILL");
      await Promise.all(daemons.map((daemon) => daemon.ended));
      writeFileSync(join(place.store, "config.json"), to);
      for (const host of [a, b]) place.start(t, host);
      const state = (): unknown => ({
        links: ipJson("-n a link").map(({ ifname }) => ifname),
        routes: lines(ip(a, "route")).filter((line) => line.startsWith("10.244.")),
      });
      const expected = { links: ["lo", "eth0", ...(device === null ? [] : [device])], routes: [route] };
      await until("the new mode's state", () => JSON.stringify(state()) === JSON.stringify(expected));
      t.strictSame(state(), expected);
      await until("packets flow", () => pings(a, to === HOST_GW ? b.address : "10.244.2.0"));
    });
  }

  t.test("leases that cannot be used are left out with a sentence, the others work", async (t) => {
    const { place } = await overlay(t, [a, b]);
    const lease = (n: number, attrs: object): void =>
      writeFileSync(
        join(place.store, "subnets", `10.244.${n}.0-24.json`),
        JSON.stringify({ PublicIP: `192.168.50.${n}`, PublicIPv6: null, Node: `x${n}`, ...attrs }),
      );
    const vxlan = (data: unknown) => ({ BackendType: "vxlan", BackendData: data });
    lease(101, {});
    lease(102, vxlan(null));
    lease(103, vxlan({ VNI: 1, VtepMAC: "nonsense" }));
    lease(104, vxlan({ VNI: 2, VtepMAC: "02:00:00:00:00:04" }));
    lease(105, vxlan({ VNI: 1, VtepMAC: mac(b) }));
    const warnings = () => String(place.status(a).warnings);
    await until("all five are told", () => (warnings().match(/x10[1-5]/g) ?? []).length === 5);
    for (const words of ["x101 is of mode udp, this host's is vxlan", "x102 is not used: it has no VtepMAC"]) {
      t.match(warnings(), words);
    }
    t.match(warnings(), /x103 is not used: it has the VtepMAC "nonsense"/);
    t.match(warnings(), /x104 is not used: it has the VNI 2/);
    t.match(warnings(), /of b and 10\.244\.105\.0-24 of x105 have one VtepMAC/);
    t.strictSame(overlayState(a), expectedState(1, { 2: b }));
    t.ok(pings(a, "10.244.2.0"));
  });

  const badStarts: [string, string, readonly string[], string, RegExp][] = [
    [
      "another device with the VNI",
      VXLAN,
      ["link add other type vxlan id 1 dstport 8472 dev eth0"],
      "DEVICE_BUSY",
      /the VNI 1 on this port; remove it \(see: ip -d link show type vxlan\)/,
    ],
    [
      "a device of another kind and our name",
      VXLAN,
      ["link add flannel.1 type bridge"],
      "DEVICE_BUSY",
      /another device has the name flannel\.1 or/,
    ],
    [
      "a VXLAN device with other settings on the port",
      VXLAN,
      ["link add other type vxlan id 9 dstport 8472 dev eth0 gbp", "link set other up"],
      "PORT_TAKEN",
      /EADDRINUSE.*VXLAN device with other settings.*Backend\.Port/,
    ],
    [
      "a VNI out of range",
      '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan", "VNI": 16777216}}',
      [],
      "BAD_CONFIG",
      /Backend\.VNI 16777216/,
    ],
    [
      "an MTU larger than the underlay's",
      '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan", "MTU": 9000}}',
      [],
      "BAD_CONFIG",
      /Backend\.MTU 9000 is more than eth0 carries \(1500\)/,
    ],
  ];
  for (const [name, config, commands, code, sentence] of badStarts) {
    t.test(`with ${name} the start fails with ${code} and leaves nothing behind`, async (t) => {
      const place = new Place(t, config);
      for (const command of commands) ip(a, command);
      t.teardown(() => {
        for (const device of ["other", "flannel.1"]) if (existsDevice(a, device)) ip(a, `link del ${device}`);
      });
      const before = networkState(a);
      const daemon = place.start(t, a);
      const { status, stderr } = await daemon.ended;
      t.not(status, 0);
      t.match(stderr, code);
      t.match(stderr, sentence);
      t.strictSame(networkState(a), before);
      t.strictSame(place.leases(), []);
    });
  }
});
