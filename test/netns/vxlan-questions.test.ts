// VXLAN in user space beside kernel tunnel ends that know nobody: no static neighbours, no forwarding entries but the one that
// floods, learning on. They ask by ARP and neighbour discovery. Subnets 10.244.<n>.0/24 and fd00:0:0:<n>::/64 (a 1, k 2, x 3):
//
//   a: userspace, eth0 192.168.50.10 ───────────────────────┐
//   k: a kernel device made by iproute2, eth0 192.168.50.11 ├── br0
//   x: the same, but with no lease, eth0 192.168.50.12 ─────┘
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import t, { type Test } from "tap";
import { type Daemon, type Host, ip, makeHost, withDaemons } from "../support/hopsackd.js";
import { ipJson, run, until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { pings, received, sha256, startScript } from "../support/traffic.js";

const LIST = "/run/hosts.json";
const STREAM_BYTES = 30_000_000;
const NUMBERS: Readonly<Record<string, number>> = { a: 1, k: 2, x: 3 };
const OWN_ADDRESSES = ["10.244.1.0", "fd00:0:0:1::"];
const macOf = (host: Host): string => `02:00:00:00:00:0${NUMBERS[host.name]}`;

/** A ready daemon on a; the static list names a and k. */
async function startDaemon(
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
  const daemon = place.start(t, a, "--vxlan-engine", "userspace", ...flags);
  await daemon.logged("ready");
  return { place, daemon };
}

/** What an administrator without flannel would type, to reach a. */
function makeKernelEnd(t: Test, host: Host, a: Host): void {
  const n = NUMBERS[host.name];
  const device = `flannel.1 address ${macOf(host)} mtu 1450 type vxlan id 1 dev eth0 local ${host.address}`;
  ip(host, `link add ${device} dstport 8472 learning`);
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
  for (const host of [a, k, x]) {
    const settings = "for name in all default; do echo 0 >/proc/sys/net/ipv6/conf/$name/disable_ipv6; done";
    execFileSync("ip", ["netns", "exec", host.name, "sh", "-c", settings]);
  }

  for (const flags of [[], ["--naive"]]) {
    const name = flags.length === 0 ? "the pump" : "the naive loop";
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

  t.test("a kernel that asks again, by unicast, whether the address is still there gets its answer", async (t) => {
    const { place } = await startDaemon(t, a, k);
    makeKernelEnd(t, k, a);
    for (const address of OWN_ADDRESSES) {
      t.ok(pings(k, address));
      const mac = String(ipJson(`-n k neigh show ${address} dev flannel.1`)[0]?.lladdr);
      const before = questions(place, a).answered;
      run(`ip -n k neigh replace ${address} lladdr ${mac} dev flannel.1 nud probe`);
      await until(`${address} was found again`, () => neighborState(k, address) === "REACHABLE");
      t.ok(questions(place, a).answered > before, "by an answer, not by traffic");
    }
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
