// The eBPF engine in VXLAN beside what is not ours: devices of the kernel's, with and without outer checksums, and frames for others.
//
//   a: userspace, eBPF, eth0 192.168.50.10 ──────────────────────────────┐
//   k: a kernel device made by iproute2, or as a, eth0 192.168.50.11 ──┴── br0
import { randomBytes } from "node:crypto";
import t from "tap";
import { capture } from "../../src/lab/capture.js";
import {
  carried,
  datagramsReceived,
  EBPF,
  forge,
  SEGMENT_BYTES,
  SEGMENTS,
  startPair,
  VXLAN,
} from "../support/accelerated.js";
import { makeHost, withDaemons } from "../support/hopsackd.js";
import { allowIpv6, makeKernelEnd, startDaemon } from "../support/kernel-end.js";
import { run, until } from "../support/netns.js";
import { pings, received, sendDatagram, sha256 } from "../support/traffic.js";

const STREAM_BYTES = 20_000_000;
const STREAM_PACKETS = STREAM_BYTES / VXLAN.mtuBytes;
const FLOWS = 40;
/** A process each sends them. */
const FLOWS_LIMIT_MS = 120_000;
/** Where Ethernet and IPv4 end, and UDP's source port is. */
const SOURCE_PORT_OFFSET = 34;

withDaemons(t, import.meta.url, async () => {
  const a = await makeHost("a", "192.168.50.10");
  const k = await makeHost("k", "192.168.50.11");
  for (const host of [a, k]) allowIpv6(host);

  for (const [checksum, isByPrograms] of [
    ["noudpcsum", true],
    ["udpcsum", false],
  ] as const) {
    t.test(`a kernel device with ${checksum}: streams and UDP super-packets both ways`, async (t) => {
      const { place } = await startDaemon(t, a, k, ...EBPF);
      makeKernelEnd(t, k, a, checksum);
      await until("they reach each other", () => pings(a, "10.244.2.0"));
      const bytes = randomBytes(STREAM_BYTES);
      t.equal(await received(a, k, "10.244.2.0", bytes), sha256(bytes), "to k");
      t.ok(carried(place, a).sent >= STREAM_PACKETS, "sent by the programs");
      const before = carried(place, a).received;
      t.equal(await received(k, a, "10.244.1.0", bytes), sha256(bytes), "from k");
      const byPrograms = carried(place, a).received - before;
      if (isByPrograms) t.ok(byPrograms >= STREAM_PACKETS * 0.99, `${byPrograms} received by the programs`);
      else t.equal(carried(place, a).received, 0, "what has a checksum is received by the pump");
      const payload = randomBytes(SEGMENT_BYTES * SEGMENTS);
      t.equal(await datagramsReceived(a, k, "10.244.2.0", payload), sha256(payload), "a UDP super-packet to k");
      t.equal(await datagramsReceived(k, a, "10.244.1.0", payload), sha256(payload), "and one from k");
    });
  }

  t.test(
    "a frame that is not for this host is dropped by the pump, by its reason, whatever the programs think",
    async (t) => {
      const { place } = await startPair(t, VXLAN, [a, k]);
      const header = VXLAN.header(place);
      const changed = (at: number, byte: number): Buffer => Buffer.from(header).fill(byte, at, at + 1);
      const before = carried(place, k).received;
      const dropsOf = (reason: string): number =>
        place.status(k).drops.find((drop) => drop.reason === reason)?.packets ?? 0;
      const packet = { port: VXLAN.port, outerSource: a.address, innerSource: "10.244.1.0" };
      for (const [reason, wrong] of [
        ["no_vni_flag", changed(0, 0)],
        ["wrong_vni", changed(6, 2)],
        ["inner_multicast", changed(8, 3)],
        ["wrong_inner_mac", changed(13, (header[13] ?? 0) ^ 1)],
        ["wrong_ether_type", changed(20, 0x86)],
      ] as const) {
        forge(a, { ...packet, header: wrong });
        await until(`${reason} is counted`, () => dropsOf(reason) === 1);
      }
      t.equal(carried(place, k).received, before);
      for (const reserved of [1, 7]) forge(a, { ...packet, header: changed(reserved, 0xff) });
      await until("what the reserved bits are does not matter", () => carried(place, k).received === before + 2);
    },
  );

  t.test("inner flows leave from ports of their own, which are the pump's", async (t) => {
    const { place } = await startPair(t, VXLAN, [a, k]);
    const before = carried(place, a).sent;
    const send = async () => {
      for (let flow = 0; flow < FLOWS; flow++) sendDatagram(a, "10.244.2.0", 6000 + flow, Buffer.from("one of a flow"));
    };
    const packets = await capture(
      { netns: "a", link: "eth0" },
      "udp dst port 8472",
      FLOWS,
      send,
      AbortSignal.timeout(FLOWS_LIMIT_MS),
    );
    t.ok(carried(place, a).sent >= before + FLOWS, "sent by the programs");
    const ports = new Set(packets.map(({ bytes }) => Buffer.from(bytes).readUInt16BE(SOURCE_PORT_OFFSET)));
    const ofPump = new Set(
      [...run("ip netns exec a ss -H -aun").matchAll(/192\.168\.50\.10:(6[1-5]\d+)/g)].map(([, port]) => Number(port)),
    );
    t.equal(ofPump.size, 16);
    t.ok(ports.size >= 8, `${ports.size} ports`);
    t.ok([...ports].every((port) => ofPump.has(port)));
  });
});
