// The eBPF engine on kernels before Linux 6.6: filters of tc in a link's `clsact`, beside what others have there, and what is left of
// them. The daemons are refused tcx; `tc` is the oracle.
//
//   [a 192.168.50.10, 10.244.1.0/24] ── br0 ── [b 192.168.50.11, 10.244.2.0/24]
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import t, { type Test } from "tap";
import { BEFORE_TCX, carried, cutSuperPackets, EBPF, startPair, UDP } from "../support/accelerated.js";
import { Daemon, type Host, makeHost, withDaemons } from "../support/hopsackd.js";
import { run, until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { pings, received, sha256 } from "../support/traffic.js";

const STREAM_BYTES = 20_000_000;

withDaemons(t, import.meta.url, async () => {
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");

  const tc = (host: Host, words: string): string => run(`ip netns exec ${host.name} tc ${words}`);
  /** All that `tc` shows of a host's links, without what differs from one look to the next. */
  const controls = (host: Host): string =>
    [tc(host, "qdisc show"), tc(host, "filter show dev eth0 ingress"), tc(host, "filter show dev eth0 egress")].join(
      "",
    );
  const startBoth = (t: Test) => startPair(t, UDP, [a, b], { wrapper: BEFORE_TCX });

  t.test("a stream goes by the programs, and a clean stop takes filters and clsact away", async (t) => {
    const before = controls(a);
    const { place, daemons } = await startBoth(t);
    t.match(place.status(a).engine, { name: "ebpf", reason: "asked for by --engine ebpf; by tc filters" });
    t.match(tc(a, "filter show dev eth0 ingress"), /pref 50000 .*hopsack flannel0 .*direct-action/);
    t.match(tc(a, "filter show dev flannel0 egress"), /pref 50000 .*hopsack flannel0 .*direct-action/);
    const bytes = randomBytes(STREAM_BYTES);
    const calls = place.status(a).traffic?.sent.tunCalls;
    t.equal(await received(a, b, "10.244.2.0", bytes), sha256(bytes));
    t.equal(place.status(a).traffic?.sent.tunCalls, calls, "not one packet by the pump");
    t.ok(carried(place, b).received > 0);
    t.match(await daemons[0].stop(), { status: 0 });
    t.equal(controls(a), before);
  });

  t.test("what arrives in pieces is merged behind a filter, too", async (t) => {
    cutSuperPackets(t, [a, b], "off");
    const { place, daemons } = await startBoth(t);
    t.match(place.status(b).engine?.reason, /by tc filters; hopgro\d+b merges /);
    const bytes = randomBytes(STREAM_BYTES);
    const before = place.status(b).traffic?.received;
    t.equal(await received(a, b, "10.244.2.0", bytes), sha256(bytes));
    const after = place.status(b).traffic?.received;
    t.equal(after?.tunCalls, before?.tunCalls, "not one by the pump");
    t.ok((after?.superPackets ?? 0) > (before?.superPackets ?? 0));
    t.match(await daemons[1].stop(), { status: 0 });
    t.notMatch(run("ip -n b link"), "hopgro");
  });

  t.test("a clsact and a filter that were there before stay, and who decides first is obeyed", async (t) => {
    tc(a, "qdisc add dev eth0 clsact");
    t.teardown(() => tc(a, "qdisc del dev eth0 clsact"));
    tc(a, "filter add dev eth0 ingress protocol ip pref 7 u32 match ip protocol 253 0xff flowid 1:1");
    const before = controls(a);
    const { place, daemons } = await startBoth(t);
    await until("the programs receive", () => pings(a, "10.244.2.0") && carried(place, a).received > 0);
    tc(a, "filter add dev eth0 ingress protocol ip pref 8 u32 match ip protocol 17 0xff flowid 1:1");
    const { received } = carried(place, a);
    t.ok(pings(a, "10.244.2.0"));
    t.equal(carried(place, a).received, received, "what the other filter takes goes to the pump");
    tc(a, "filter del dev eth0 ingress pref 8");
    await daemons[0].stop();
    t.equal(controls(a), before);
  });

  t.test("what a killed daemon left does nothing; cleanup or the next start takes it away", async (t) => {
    const before = controls(a);
    const first = await startBoth(t);
    const ids = programsOf(first.daemons[0].pid);
    t.equal(ids.length, 4, "two programs and their doors");
    first.daemons[0].kill("SIGKILL");
    await first.daemons[0].ended;
    t.match(tc(a, "filter show dev eth0 ingress"), "hopsack flannel0");
    await first.daemons[1].stop();
    await until("only the door is left", () => ids.filter(isLoaded).length === 1);

    const second = await startBoth(t);
    t.equal(tc(a, "filter show dev eth0 ingress").match(/hopsack flannel0/g)?.length, 1, "in the place of the old one");
    second.daemons[0].kill("SIGKILL");
    await second.daemons[0].ended;
    t.match(
      second.place.cleanUp(a),
      /removed tc filter "hopsack flannel0.*" dev eth0 ingress\nremoved qdisc clsact dev eth0\n/,
    );
    t.equal(controls(a), before);
  });

  t.test("two hopsackds on one link leave nothing, whoever ends last", async (t) => {
    const before = controls(a);
    const { daemons } = await startBoth(t);
    const place = new Place(t, '{"Network": "10.99.0.0/16", "Backend": {"Type": "udp", "Port": 8290}}');
    const other = new Daemon(a, place.flags(a, "--device", "hop7", ...EBPF), BEFORE_TCX);
    t.teardown(() => other.stop());
    await other.logged("ready");
    t.equal(tc(a, "filter show dev eth0 ingress").match(/hopsack /g)?.length, 2);
    await daemons[0].stop();
    t.equal(tc(a, "filter show dev eth0 ingress").match(/hopsack /g)?.length, 1);
    await other.stop();
    t.equal(controls(a), before);
  });
});

/** Numbers of the eBPF programs that a process has open. */
function programsOf(pid: number): string[] {
  const folder = `/proc/${pid}/fdinfo`;
  const texts = readdirSync(folder).map((fd) => readFileSync(`${folder}/${fd}`, "utf8"));
  return [...texts.join("").matchAll(/^prog_id:\s*(\d+)$/gm)].map(([, id = ""]) => id);
}

function isLoaded(id: string): boolean {
  return spawnSync("bpftool", ["prog", "show", "id", id]).status === 0;
}
