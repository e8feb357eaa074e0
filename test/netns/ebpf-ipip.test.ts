// The eBPF programs as IP-in-IP (RFC 2003), loaded by themselves: a device with a table, and no pump that runs, so whatever arrives they
// have carried. The wire is judged by what tcpdump shows.
//
//   [a 192.168.50.10, 10.244.1.0/24] ── br0 ── [b 192.168.50.11, 10.244.2.0/24]
import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import t, { type Test } from "tap";
import type { AcceleratorCounts } from "../../src/addon.js";
import { capture } from "../../src/lab/capture.js";
import { foldSum, sumWords } from "../../src/wire/checksum.js";
import { forge } from "../support/accelerated.js";
import { type Host, makeHost, withDaemons } from "../support/hopsackd.js";
import { ipJson, run, until } from "../support/netns.js";
import { pings, received, sha256, startScript } from "../support/traffic.js";

const MTU_BYTES = 1480;
const STREAM_BYTES = 20_000_000;
const CONGESTION_EXPERIENCED = 3;
/** For a packet that the kernel has yet to take out of a queue; each takes some milliseconds. */
const LOOKS_LIMIT = 1000;
/** What of the inner type of service b, and a, put into the outer header. */
const [ALL, ECN] = [0xff, 0x03];
const DIST = "/media/dist";

interface Setup {
  /** Of the peer. */
  readonly subnet: string;
  readonly ownSubnet: string;
  readonly tosMask: number;
  /** Its link's index. */
  readonly underlay: number;
}

/** Loads the programs, and prints what they counted for each line that it is sent. */
const carrier = (own: Host, peer: Host, { subnet, ownSubnet, tosMask, underlay }: Setup): string => `
(async () => {
  const { loadAddon } = await import("${DIST}/addon.js");
  const { encodeFib, encodePaths, encodeSubnets } = await import("${DIST}/dataplane/fib-records.js");
  const { parsePrefix } = await import("${DIST}/net/prefix.js");
  const addon = loadAddon();
  const wordsFor = (count) => new BigUint64Array(new SharedArrayBuffer(8 * count));
  const pump = new addon.Pump({
    tunName: "tun0", bindAddress: "${own.address}", bindPort: 8285, sourcePorts: 0, headerBytes: 0, headerChecks: [],
    overheadBytes: 20, innerMtuBytes: ${MTU_BYTES}, naive: false, checkInnerAddresses: true, punts: [], onPunt: () => null,
    offloads: { tso: true, uso: true, udpGso: true, udpGro: true, tunGro: true },
    counters: wordsFor(addon.counterNames.length), peerBytes: wordsFor(64), handedOver: null,
  });
  globalThis.device = pump; // or it goes with the next garbage collection
  const nothing = { value: new Uint8Array(), mask: new Uint8Array() };
  const accelerator = new addon.Accelerator({
    bindAddress: "${own.address}", bindPort: 0, underlayIfIndex: ${underlay}, tunIfIndex: pump.tunIfIndex, mergingIfIndex: 0, mergedIfIndex: 0,
    protocol: 4, tosMask: ${tosMask}, sourcePorts: [], peerSlots: 1, headerBytes: 0, endsInEthernet: false, expectedV4: nothing, expectedV6: nothing,
  });
  accelerator.attach();
  const endpoint = { address: "${peer.address}", port: 0 };
  const route = { prefix: "${subnet}", endpoint, header: new Uint8Array() };
  const { nextHops, headers, routes } = encodeFib([route], () => 0);
  const paths = encodePaths([{ neighbor: "${peer.address}", mtuBytes: 1500 }]);
  accelerator.publish(nextHops, headers, routes, encodeSubnets([parsePrefix("${ownSubnet}")]), paths);
  console.log("ready");
  process.stdin.on("data", () => console.log(JSON.stringify(accelerator.counts())));
})();`;

/** The programs of one host. */
class Carrier {
  readonly #child: ChildProcess;
  #lines: string[] = [];

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.on("data", (chunk: Buffer) => this.#lines.push(...`${chunk}`.trim().split("\n")));
  }

  static async start(
    t: Test,
    own: Host,
    peer: Host,
    { address, ...setup }: Omit<Setup, "underlay"> & { address: string },
  ): Promise<Carrier> {
    const underlay = Number(ipJson(`-n ${own.name} link show eth0`)[0]?.ifindex);
    const child = startScript(own, carrier(own, peer, { ...setup, underlay }));
    t.teardown(() => child.kill());
    const started = new Carrier(child);
    await until("the programs are there", () => started.#lines.includes("ready"));
    run(`ip -n ${own.name} addr add ${address}/32 dev tun0`);
    run(`ip -n ${own.name} link set tun0 mtu ${MTU_BYTES} up`);
    run(`ip -n ${own.name} route add 10.244.0.0/16 dev tun0`);
    return started;
  }

  async counts(): Promise<AcceleratorCounts> {
    const before = this.#lines.length;
    this.#child.stdin?.write("\n");
    await until("the counts", () => this.#lines.length > before);
    return JSON.parse(this.#lines.at(-1) ?? "{}");
  }
}

withDaemons(t, import.meta.url, async () => {
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  const ofA = await Carrier.start(t, a, b, {
    address: "10.244.1.0",
    subnet: "10.244.2.0/24",
    ownSubnet: "10.244.1.0/24",
    tosMask: ECN,
  });
  const ofB = await Carrier.start(t, b, a, {
    address: "10.244.2.0",
    subnet: "10.244.1.0/24",
    ownSubnet: "10.244.2.0/24",
    tosMask: ALL,
  });
  t.jobs = 1;

  t.test("streams arrive byte for byte", async (t) => {
    t.ok(pings(a, "10.244.2.0"));
    const bytes = randomBytes(STREAM_BYTES);
    t.equal(await received(a, b, "10.244.2.0", bytes), sha256(bytes));
    t.equal(await received(b, a, "10.244.1.0", bytes), sha256(bytes));
    const { tx_packets, tx_super_packets } = await ofA.counts();
    t.ok(tx_packets >= STREAM_BYTES / MTU_BYTES, `${tx_packets} packets`);
    t.ok(tx_super_packets > 0 && tx_super_packets < tx_packets / 2, `${tx_super_packets} of them whole`);
    t.ok((await ofB.counts()).rx_packets >= tx_packets * 0.99);
  });

  t.test("packets of 1480 bytes pass whole, and longer ones are left alone", async (t) => {
    t.ok(pings(a, "10.244.2.0", "-M", "do", "-s", `${MTU_BYTES - 28}`));
    const { tx_packets } = await ofA.counts();
    run(`ip -n a link set tun0 mtu ${MTU_BYTES + 1}`);
    t.notOk(pings(a, "10.244.2.0", "-M", "do", "-s", `${MTU_BYTES - 27}`));
    t.equal((await ofA.counts()).tx_packets, tx_packets);
    run(`ip -n a link set tun0 mtu ${MTU_BYTES}`);
  });

  t.test(
    "the outer header: TTL and DF are the inner packet's, and what is wanted of the type of service",
    async (t) => {
      for (const [from, to, words, expected] of [
        [a, "10.244.2.0", ["-t", "7", "-Q", "0xb9", "-M", "do"], { tos: 0x01, ttl: 7, flags: 0x40 }],
        [a, "10.244.2.0", ["-t", "63", "-Q", "0xb8", "-M", "dont"], { tos: 0, ttl: 63, flags: 0 }],
        [b, "10.244.1.0", ["-t", "63", "-Q", "0xba", "-M", "do"], { tos: 0xba, ttl: 63, flags: 0x40 }],
      ] as const) {
        const send = async () => pings(from, to, ...words);
        const filter = `ip proto 4 and src host ${from.address}`;
        const [packet] = await capture(
          { netns: from.name, link: "eth0" },
          filter,
          1,
          send,
          AbortSignal.timeout(60_000),
        );
        const outer = Buffer.from(packet?.bytes ?? []).subarray(14);
        const inner = outer.subarray(20);
        t.match({ tos: outer[1], ttl: outer[8], flags: outer[6] }, expected);
        t.equal(outer.readUInt16BE(2), 20 + inner.readUInt16BE(2), "its length");
        t.equal(foldSum(sumWords(outer.subarray(0, 20))), 0xffff, "its checksum");
        t.equal(inner[0], 0x45);
        t.equal(inner[8], expected.ttl, "the inner one is left alone");
      }
    },
  );

  t.test("what is not from the host that it should be from, and what is odd, is not taken", async (t) => {
    run("ip -n a addr add 192.168.50.66/24 dev eth0");
    const good = { port: null, header: Buffer.alloc(0), outerSource: a.address, innerSource: "10.244.1.0" };
    const { rx_packets } = await ofB.counts();
    forge(a, { ...good, outerSource: "192.168.50.66" });
    forge(a, { ...good, innerSource: "10.244.2.0" });
    forge(a, { ...good, header: Buffer.alloc(4) });
    forge(a, { ...good, tos: CONGESTION_EXPERIENCED });
    forge(a, { ...good, payloadBytes: 3000 });
    forge(a, good);
    let after = rx_packets;
    for (let look = 0; look < LOOKS_LIMIT && after === rx_packets; look++) after = (await ofB.counts()).rx_packets;
    t.equal(after, rx_packets + 1, "only the last one, which is right: all go by one queue");
  });
});
