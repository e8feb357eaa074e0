// VXLAN in user space beside kernel tunnel ends that know nobody: no static neighbours, no forwarding entries but the one that
// floods, learning on. They ask by ARP and neighbour discovery. Subnets 10.244.<n>.0/24 and fd00:0:0:<n>::/64 (a 1, k 2, x 3):
//
//   a: userspace, eth0 192.168.50.10 ───────────────────────┐
//   k: a kernel device made by iproute2, eth0 192.168.50.11 ├── br0
//   x: the same, but with no lease, eth0 192.168.50.12 ─────┘
import { randomBytes } from "node:crypto";
import t from "tap";
import { foldSum, sumWords } from "../../src/wire/checksum.js";
import { EBPF, sendBare, VXLAN } from "../support/accelerated.js";
import { type Host, makeHost, withDaemons } from "../support/hopsackd.js";
import { allowIpv6, macOf, makeKernelEnd, startDaemon } from "../support/kernel-end.js";
import { ipJson, run, until } from "../support/netns.js";
import type { Place } from "../support/place.js";
import { pings, received, sha256, startScript } from "../support/traffic.js";

const STREAM_BYTES = 30_000_000;
const OWN_ADDRESSES = ["10.244.1.0", "fd00:0:0:1::"];

function neighborState(host: Host, address: string): string {
  return String(ipJson(`-n ${host.name} neigh show ${address} dev flannel.1`)[0]?.state);
}

function questions(place: Place, host: Host): { readonly received: number; readonly answered: number } {
  return place.status(host).traffic?.questions ?? { received: Number.NaN, answered: Number.NaN };
}

function drops(place: Place, host: Host, reason: string): number {
  return place.status(host).drops.find((drop) => drop.reason === reason)?.packets ?? 0;
}

withDaemons(t, import.meta.url, async () => {
  const a = await makeHost("a", "192.168.50.10");
  const k = await makeHost("k", "192.168.50.11");
  const x = await makeHost("x", "192.168.50.12");
  for (const host of [a, k, x]) allowIpv6(host);

  for (const [name, flags] of [
    ["the pump", []],
    ["the naive loop", ["--naive"]],
    ["the eBPF engine", EBPF],
  ] as const) {
    t.test(`${name}: a kernel tunnel end without any entry pings and streams both ways, IPv4 and IPv6`, async (t) => {
      const { place } = await startDaemon(t, a, k, ...flags);
      makeKernelEnd(t, k, a);
      const bytes = randomBytes(STREAM_BYTES);
      for (const [own, peer] of [
        ["10.244.1.0", "10.244.2.0"],
        ["fd00:0:0:1::", "fd00:0:0:2::"],
      ] as const) {
        t.equal(neighborState(k, own), "undefined", "not known yet");
        t.ok(pings(k, own), `k → ${own}`);
        t.ok(pings(a, peer), `a → ${peer}`);
        t.equal(await received(k, a, own, bytes), sha256(bytes), "a stream to a");
        t.equal(await received(a, k, peer, bytes), sha256(bytes), "a stream to k");
      }
      t.equal(run("ip -n k neigh show dev flannel.1 nud permanent"), "", "nobody helped");
      const { received: asked, answered } = questions(place, a);
      t.ok(answered >= 2, "both addresses were asked for and answered");
      t.ok(asked >= answered);
    });
  }

  for (const [name, flags] of [
    ["the pump", []],
    ["the eBPF engine", EBPF],
  ] as const) {
    t.test(
      `${name}: a kernel that asks again, by unicast, whether the address is still there gets its answer`,
      async (t) => {
        const { place } = await startDaemon(t, a, k, ...flags);
        makeKernelEnd(t, k, a);
        for (const address of OWN_ADDRESSES) {
          t.ok(pings(k, address));
          const mac = String(ipJson(`-n k neigh show ${address} dev flannel.1`)[0]?.lladdr);
          const before = questions(place, a).answered;
          run(`ip -n k neigh replace ${address} lladdr ${mac} dev flannel.1 nud probe`);
          await until(`${address} was found again`, () => neighborState(k, address) === "REACHABLE");
          t.ok(questions(place, a).answered > before, "by an answer, not by traffic");
        }
      },
    );
  }

  t.test("the eBPF engine leaves a solicitation to the pump, whoever it is from", async (t) => {
    const { place } = await startDaemon(t, a, k, ...EBPF);
    makeKernelEnd(t, k, a);
    t.ok(pings(k, "10.244.1.0"));
    const before = questions(place, a).answered;
    const toA = String(ipJson("-n k neigh show 10.244.1.0 dev flannel.1")[0]?.lladdr).replaceAll(":", "");
    const [ofK, target] = [macOf(k).replaceAll(":", ""), "fd000000000000010000000000000000"];
    const addresses = `fd000000000000020000000000000000${target}`;
    const solicitation = Buffer.from(`8700000000000000${target}0101${ofK}`, "hex");
    const pseudoHeader = Buffer.from(`${addresses}000000200000003a`, "hex");
    const sum = foldSum(sumWords(Buffer.concat([pseudoHeader, solicitation])));
    solicitation.writeUInt16BE(0xffff - sum, 2);
    const headers = Buffer.from(`0800000000000100${toA}${ofK}86dd6000000000203aff${addresses}`, "hex");
    sendBare(k, a, VXLAN, Buffer.concat([headers, solicitation]));
    await until("it is answered", () => questions(place, a).answered === before + 1);
  });

  t.test("a host that has no lease gets no answer", async (t) => {
    const { place } = await startDaemon(t, a, k);
    makeKernelEnd(t, x, a);
    for (const address of OWN_ADDRESSES) {
      const before = drops(place, a, "unknown_sender");
      t.notOk(pings(x, address), address);
      t.match(neighborState(x, address), /FAILED|INCOMPLETE/);
      t.ok(drops(place, a, "unknown_sender") > before);
    }
    t.strictSame(questions(place, a), { received: 0, answered: 0 });
  });

  t.test("a flood of questions is answered at its rate, and streams, status and a stop go on meanwhile", async (t) => {
    const { place, daemon } = await startDaemon(t, a, k);
    makeKernelEnd(t, k, a);
    t.ok(pings(k, "10.244.1.0"));
    const ethernet = `ffffffffffff${macOf(k).replaceAll(":", "")}0806`;
    const arp = `0001080006040001${macOf(k).replaceAll(":", "")}0af402000000000000000af40100`;
    const begunAt = performance.now();
    const flood = startScript(
      k,
      `const socket = require("dgram").createSocket("udp4");
      const question = Buffer.from("0800000000000100${ethernet}${arp}", "hex");
      setInterval(() => {
        for (let i = 0; i < 100; i++) socket.send(question, 8472, "${a.address}");
      }, 1);`,
    );
    t.teardown(() => flood.kill());
    const refused = () => drops(place, a, "punt_rate_limited") + drops(place, a, "punt_queue_full");
    await until("the flood is refused", () => refused() > 1000);
    const bytes = randomBytes(STREAM_BYTES);
    t.equal(await received(k, a, "10.244.1.0", bytes), sha256(bytes), "a stream to a");
    t.equal(await received(a, k, "10.244.2.0", bytes), sha256(bytes), "a stream to k");
    const { answered } = questions(place, a);
    const seconds = (performance.now() - begunAt) / 1000;
    t.comment(`${answered} answers and ${refused()} refusals in ${seconds.toFixed(1)} s`);
    t.ok(answered > 32, "it is answered");
    t.ok(answered <= 33 + 200 * (seconds + 0.1), "but not faster than 200 a second");
    t.match(await daemon.stop(), { status: 0, stderr: "" });
  });
});
