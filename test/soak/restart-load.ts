// `npm run soak -- --restarts`: what a change of daemons costs under load. The modes of the kernel must lose nothing; what user space
// loses at such a rate, and how long nothing arrived, is a matter of the machine as well, and printed: test/netns/restart.test.ts
// judges it at a rate that every machine carries.
//
//   a: eth0 192.168.50.10 ──┐
//                           ├── br0        50,000 UDP packets a second and a TCP stream from a to b; it is a's daemon that is replaced
//   b: eth0 192.168.50.11 ──┘
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { FLOW_PORT, flowReceiver, passed, quiet, Script } from "../support/flow.js";
import { type Daemon, type Host, makeHost, withDaemons } from "../support/hopsackd.js";
import { run, until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { ServiceManagerStandIn } from "../support/service-manager.js";

const FLOW = fileURLToPath(new URL("../support/paced-flow.py", import.meta.url));
const STREAM = fileURLToPath(new URL("../support/tcp-stream.mjs", import.meta.url));
const STREAM_PORT = FLOW_PORT + 1;
const PER_MILLISECOND = 50;
/** Beside it, a stream that leaves the processors something: what is measured is not the machine. */
const STREAM_MBIT = 100;
/** On the underlay, where one is up to sixty-four of the flow's. */
const SETTLED_PACKETS = 1000;

interface Hosts {
  readonly a: Host;
  readonly b: Host;
  readonly place: Place;
  readonly target: string;
}

const MODES = [
  { name: "udp", backend: { Type: "udp" }, flags: [], isKernels: false },
  { name: "vxlan in user space", backend: { Type: "vxlan" }, flags: ["--vxlan-engine", "userspace"], isKernels: false },
  { name: "vxlan", backend: { Type: "vxlan" }, flags: [], isKernels: true },
  { name: "host-gw", backend: { Type: "host-gw" }, flags: [], isKernels: true },
] as const;

let pairs = 0;

/** Both hosts are new, so that no test finds what another one left in the kernel. */
async function twoHosts(t: Test, backend: object, flags: readonly string[]): Promise<Hosts> {
  const place = new Place(t, JSON.stringify({ Network: "10.244.0.0/16", Backend: backend }));
  const number = ++pairs;
  const a = await makeHost(`a${number}`, "192.168.50.10");
  const b = await makeHost(`b${number}`, "192.168.50.11");
  t.teardown(() => [a, b].map((host) => run(`ip netns del ${host.name}`)));
  await place.start(t, b, ...flags).logged("ready");
  const target = place.firstAddress(b);
  run(`ip -n ${b.name} addr add ${target}/32 dev lo`);
  return { a, b, place, target };
}

async function peerKnown(daemon: Daemon): Promise<void> {
  const isTold = (): boolean => daemon.lines.some(({ peers }) => peers === 1);
  await until("a peer is known", isTold, 10_000);
}

/** A stream and a flow from a to b while `deed` is done. */
async function lostDuring(t: Test, what: string, hosts: Hosts, deed: () => Promise<void>): Promise<number> {
  const { a, b, target } = hosts;
  const sink = new Script(t, b, process.execPath, STREAM, "receive", `${STREAM_PORT}`);
  const receiver = flowReceiver(t, b);
  await Promise.all([sink.ready(), receiver.ready()]);
  const stream = new Script(t, a, process.execPath, STREAM, "send", target, `${STREAM_PORT}`, `${STREAM_MBIT}`);
  await stream.ready();
  const sender = new Script(t, a, "python3", FLOW, "send", target, `${FLOW_PORT}`, `${PER_MILLISECOND}`);
  await sender.ready();
  await passed(b, SETTLED_PACKETS);
  receiver.signal("SIGUSR1");
  await deed();
  await passed(b, SETTLED_PACKETS);
  const { sent = 0, perSecond = 0 } = await sender.end();
  const { blocks = 0 } = await stream.end();
  await sink.ended;
  await quiet(b);
  const { received = 0, twice, gapBefore, gapAfter } = await receiver.end();
  const lost = sent - received;
  t.equal(twice, 0, "nothing came twice");
  t.ok(blocks > 1, "the stream went on");
  const gaps = `longest time without one ${gapBefore} ms before, ${gapAfter} ms meanwhile`;
  t.comment(`${what}: ${lost} of ${sent} lost, ${perSecond} a second; ${gaps}; stream of ${blocks} MB whole`);
  return lost;
}

withDaemons(t, import.meta.url, async () => {
  t.jobs = 1;
  for (const { name, backend, flags, isKernels } of MODES) {
    t.test(`${name}: a takeover`, async (t) => {
      const hosts = await twoHosts(t, backend, flags);
      const old = hosts.place.start(t, hosts.a, ...flags);
      await peerKnown(old);
      const lost = await lostDuring(t, `${name}, takeover`, hosts, async () => {
        await hosts.place.start(t, hosts.a, ...flags, "--takeover", hosts.place.socket(hosts.a)).logged("ready");
        t.match(await old.ended, { status: 0 });
      });
      if (isKernels) t.equal(lost, 0);
    });

    for (const signal of ["SIGUSR2", "SIGKILL"] as const) {
      t.test(`${name}: a daemon that ends by ${signal} and is started again`, async (t) => {
        const hosts = await twoHosts(t, backend, flags);
        const manager = new ServiceManagerStandIn(t, hosts.place);
        const words = hosts.place.flags(hosts.a, "--keep-lease", ...flags);
        const old = manager.start(t, hosts.a, words);
        await peerKnown(old);
        await until("what is to be kept is", () => isKernels || manager.kept.size === 2);
        const lost = await lostDuring(t, `${name}, ${signal}`, hosts, async () => {
          old.kill(signal);
          await old.ended;
          manager.start(t, hosts.a, words);
          await manager.hears("READY=1", 2);
        });
        if (isKernels) t.equal(lost, 0);
      });
    }
  }
});
