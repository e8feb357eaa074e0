// VXLAN in user space beside the kernel's own device, with real daemons: a host sees no difference. Subnets 10.244.1-3.0/24:
//
//   a: userspace, eth0 192.168.50.10 ──┐
//   b: kernel,    eth0 192.168.50.11 ──┼── br0
//   c: userspace, eth0 192.168.50.12 ──┘
import { randomBytes } from "node:crypto";
import t, { type Test } from "tap";
import { capture } from "../../src/lab/capture.js";
import { type Host, makeHost, withDaemons } from "../support/hopsackd.js";
import { run, until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { pings, received, sendDatagram, sha256 } from "../support/traffic.js";

const VXLAN = '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}';
const USERSPACE = ["--vxlan-engine", "userspace"];
const STREAM_BYTES = 30_000_000;
/** Bytes of the underlay's headers in front of the VXLAN header: Ethernet, IPv4, UDP. */
const OUTER_BYTES = 42;

function drops(place: Place, host: Host): Record<string, number> {
  return Object.fromEntries(place.status(host).drops.map(({ reason, packets }) => [reason, packets]));
}

/** Ready daemons that reach each other, each with its own flags. */
async function overlay(t: Test, hosts: readonly (readonly [Host, readonly string[]])[]): Promise<Place> {
  const place = new Place(t, VXLAN);
  const flagsOf = new Map(hosts);
  await place.startAll(t, [...flagsOf.keys()], (host) => flagsOf.get(host) ?? []);
  for (const [from] of hosts) {
    for (const n of hosts.keys()) await until(`${from.name} reaches ${n + 1}`, () => pings(from, `10.244.${n + 1}.0`));
  }
  return place;
}

/** The VXLAN payload that carries one such datagram from a to b, IP ID and checksums blanked. */
async function vxlanPayload(a: Host): Promise<string> {
  const underlay = { netns: "a", link: "eth0" };
  const send = async () => sendDatagram(a, "10.244.2.0", 6000, Buffer.from("the same bytes"));
  const [packet] = await capture(
    underlay,
    "udp dst port 8472 and udp[50:2]=5000",
    1,
    send,
    AbortSignal.timeout(60_000),
  );
  const payload = Buffer.from(packet?.bytes ?? []).subarray(OUTER_BYTES);
  const inner = 8 + 14;
  payload.fill(0, inner + 4, inner + 6); // IP ID
  payload.fill(0, inner + 10, inner + 12); // IP checksum
  payload.fill(0, inner + 26, inner + 28); // UDP checksum, which the kernel leaves unfinished here
  return payload.toString("hex");
}

withDaemons(t, import.meta.url, async () => {
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  const c = await makeHost("c", "192.168.50.12");

  t.test(
    "userspace and kernel hosts in one network: pings, path MTU, streams both ways, offloads on and off",
    async (t) => {
      for (const [name, flags, ethtool] of [
        ["as it comes", [], ""],
        ["no offloads in the pump", ["--offload", "none"], ""],
        [
          "a plain NIC",
          [],
          "tso off gso off tx-udp-segmentation off tx-udp_tnl-segmentation off tx-udp_tnl-csum-segmentation off",
        ],
      ] as const) {
        await t.test(name, async (t) => {
          if (ethtool !== "")
            for (const host of [a, b, c]) run(`ip netns exec ${host.name} ethtool -K eth0 ${ethtool}`);
          const userspace = [...USERSPACE, ...flags];
          const place = await overlay(t, [
            [a, userspace],
            [b, []],
            [c, userspace],
          ]);
          for (const [from, to] of [
            [a, 2],
            [b, 1],
            [a, 3],
          ] as const) {
            t.ok(pings(from, `10.244.${to}.0`, "-M", "do", "-s", "1422"), "1450 bytes pass whole");
            t.notOk(pings(from, `10.244.${to}.0`, "-M", "do", "-s", "1423"), "1451 do not");
          }
          const bytes = randomBytes(STREAM_BYTES);
          const hash = sha256(bytes);
          t.equal(await received(a, b, "10.244.2.0", bytes), hash, "userspace to kernel");
          t.equal(await received(b, a, "10.244.1.0", bytes), hash, "kernel to userspace");
          t.equal(await received(a, c, "10.244.3.0", bytes), hash, "userspace to userspace");
          t.equal(drops(place, a).bad_inner_packet, 0);
        });
      }
    },
  );

  t.test("what we send is what the kernel sends, byte for byte", async (t) => {
    const frames: string[] = [];
    for (const [carrier, flags] of [
      ["kernel", []],
      ["userspace", USERSPACE],
      ["eBPF", [...USERSPACE, "--engine", "ebpf"]],
    ] as const) {
      await t.test(carrier, async (t) => {
        await overlay(t, [
          [a, flags],
          [b, []],
        ]);
        frames.push(await vxlanPayload(a));
      });
    }
    t.equal(frames[1], frames[0]);
    t.equal(frames[2], frames[0]);
    t.match(frames[0], /^0800000000000100/);
  });

  t.test("what is not for this host is dropped, each by its reason", async (t) => {
    const place = await overlay(t, [
      [a, USERSPACE],
      [b, []],
    ]);
    const mac =
      /link\/ether (\S+)/.exec(
        run("ip -n b neigh show 10.244.1.0 dev flannel.1").replace("lladdr", "link/ether"),
      )?.[1] ?? "";
    const own = mac.replaceAll(":", "");
    const inner = `020000000099${"0800"}45000014000040004001000000000000`.padEnd(80, "0");
    const frames: [string, string][] = [
      ["no_vni_flag", `0000000000000100${own}${inner}`],
      ["wrong_vni", `0800000000000200${own}${inner}`],
      ["inner_multicast", `0800000000000100ffffffffffff${inner}`],
      ["wrong_inner_mac", `0800000000000100020000000077${inner}`],
      ["wrong_ether_type", `0800000000000100${own}${inner.replace("0800", "86dd")}`],
      ["truncated", "08000000"],
    ];
    for (const [reason, hex] of frames) {
      const before = drops(place, a)[reason] ?? 0;
      sendDatagram(b, a.address, 8472, Buffer.from(hex, "hex"));
      await until(`${reason} is counted`, () => (drops(place, a)[reason] ?? 0) > before);
      t.equal(drops(place, a)[reason], before + 1, reason);
    }
    t.ok(pings(b, "10.244.1.0"), "and what is for it still arrives");
  });
});
