// The eBPF programs beside forwarding, byte for byte: to pods behind a bridge, through NAT, and out of a link that has packets cut before (no
// TSO), where stale marks of the tunnel would show. Super-packets that go on from here are received by the pump.
//
//   pod-a 10.244.1.2 ── cni0 [a 192.168.50.10] ── br0 ── [b 192.168.50.11] cni0 ── pod-b 10.244.2.2
//                                                          └── out0 172.20.0.1, no TSO ── lan 172.20.0.2
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import type { Test } from "tap";
import {
  BEFORE_TCX,
  carried,
  cutSuperPackets,
  datagramsReceived,
  EBPF,
  SEGMENT_BYTES,
  SEGMENTS,
  startPair,
  type Wire,
} from "./accelerated.js";
import { type Host, makeHost, withDaemons } from "./hopsackd.js";
import { run, until } from "./netns.js";
import { pings, received, sha256 } from "./traffic.js";

const STREAM_BYTES = 20_000_000;
const hasNft = spawnSync("nft", ["--version"]).status === 0;
const OFFLOADS = "tso off gso off tx-udp-segmentation off";

/** A namespace behind a bridge of the host. */
function makePod(host: Host, subnet: string): Host {
  const pod = { name: `pod-${host.name}`, address: subnet.replace("0/24", "2") };
  const gateway = subnet.replace("0/24", "1");
  run(`ip netns add ${pod.name}`);
  run(`ip -n ${host.name} link add cni0 type bridge`);
  run(`ip -n ${host.name} addr add ${gateway}/24 dev cni0`);
  run(`ip -n ${host.name} link set cni0 up`);
  run(`ip -n ${host.name} link add pod0 type veth peer name eth0 netns ${pod.name}`);
  run(`ip -n ${host.name} link set pod0 master cni0 up`);
  run(`ip -n ${pod.name} addr add ${pod.address}/24 dev eth0`);
  run(`ip -n ${pod.name} link set eth0 up`);
  run(`ip -n ${pod.name} route add default via ${gateway}`);
  return pod;
}

/** Declares them all. */
export function testForwarding(t: Test, fileUrl: string, wire: Wire): void {
  withDaemons(t, fileUrl, async () => declare(t, wire, await makeWorld()));
}

type World = Readonly<Record<"a" | "b" | "podA" | "podB" | "lan", Host>>;

async function makeWorld(): Promise<World> {
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  const podA = makePod(a, "10.244.1.0/24");
  const podB = makePod(b, "10.244.2.0/24");
  const lan = { name: "lan", address: "172.20.0.2" };
  run("ip netns add lan");
  run("ip -n b link add out0 type veth peer name eth0 netns lan");
  run("ip -n b addr add 172.20.0.1/24 dev out0");
  run("ip -n b link set out0 up");
  run("ip -n lan addr add 172.20.0.2/24 dev eth0");
  run("ip -n lan link set eth0 up");
  run("ip -n lan route add 10.244.0.0/16 via 172.20.0.1");
  run(`ip netns exec b ethtool -K out0 ${OFFLOADS}`);

  return { a, b, podA, podB, lan };
}

function declare(t: Test, wire: Wire, { a, b, podA, podB, lan }: World): void {
  for (const pod of [podA, podB]) run(`ip -n ${pod.name} link set eth0 mtu ${wire.mtuBytes}`);
  /** Of a stream those that are no super-packets. */
  const fewPackets = STREAM_BYTES / wire.mtuBytes / 2;
  const flagsOf = () => [...EBPF, ...(hasNft ? ["--ip-masq"] : [])];
  const startBoth = async (t: Test, wrapper: readonly string[] = []) => {
    const { place } = await startPair(t, wire, [a, b], { flagsOf, wrapper });
    await until("the pods reach each other", () => pings(podA, podB.address));
    return place;
  };

  for (const [way, wrapper] of [
    ["tcx", []],
    ["tc filters", BEFORE_TCX],
  ] as const) {
    t.test(`pods behind bridges, by ${way}: streams both ways, and a UDP super-packet`, async (t) => {
      const place = await startBoth(t, wrapper);
      const bytes = randomBytes(STREAM_BYTES);
      const before = { a: carried(place, a), b: carried(place, b) };
      t.equal(await received(podA, podB, podB.address, bytes), sha256(bytes));
      t.ok(carried(place, a).sent >= before.a.sent + STREAM_BYTES / wire.mtuBytes, "sent by the programs");
      t.ok(carried(place, b).received < before.b.received + fewPackets, "received by the pump");
      t.equal(await received(podB, podA, podA.address, bytes), sha256(bytes));
      const payload = randomBytes(SEGMENT_BYTES * SEGMENTS);
      t.equal(await datagramsReceived(podA, podB, podB.address, payload), sha256(payload));
    });
  }

  t.test("to pods from links that cut super-packets: merged by the pair, both ways", async (t) => {
    cutSuperPackets(t, [a, b], "off");
    const place = await startBoth(t);
    const bytes = randomBytes(STREAM_BYTES);
    const before = place.status(b).traffic?.received;
    t.equal(await received(podA, podB, podB.address, bytes), sha256(bytes));
    const after = place.status(b).traffic?.received;
    t.equal(after?.tunCalls, before?.tunCalls, "not one by the pump");
    t.ok((after?.superPackets ?? 0) > (before?.superPackets ?? 0));
    t.equal(await received(podB, podA, podA.address, bytes), sha256(bytes));
  });

  t.test(
    "through NAT and out of a link without TSO, both ways",
    { skip: hasNft ? false : "nft is not installed" },
    async (t) => {
      const place = await startBoth(t);
      run("ip netns exec b nft add table ip nat");
      t.teardown(() => run("ip netns exec b nft delete table ip nat"));
      run("ip netns exec b nft add chain ip nat pre { type nat hook prerouting priority dstnat ; }");
      run(
        `ip netns exec b nft add rule ip nat pre iif ${wire.tunName} meta l4proto { tcp, udp } th dport { 7000, 7001 } dnat to 172.20.0.2`,
      );
      run("ip netns exec b nft add chain ip nat post { type nat hook postrouting priority srcnat ; }");
      run("ip netns exec b nft add rule ip nat post oif out0 masquerade");
      const bytes = randomBytes(STREAM_BYTES);
      const before = carried(place, b);
      t.equal(await received(podA, lan, "10.244.2.0", bytes), sha256(bytes));
      t.ok(carried(place, b).received < before.received + fewPackets, "received by the pump");
      const payload = randomBytes(SEGMENT_BYTES * SEGMENTS);
      t.equal(await datagramsReceived(podA, lan, "10.244.2.0", payload), sha256(payload));
      t.equal(await received(lan, podA, podA.address, bytes), sha256(bytes));
      t.ok(carried(place, b).sent >= before.sent + STREAM_BYTES / wire.mtuBytes, "sent by the programs");
    },
  );
}
