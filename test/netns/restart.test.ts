// Daemons that are replaced while packets flow. What waits in the kernel's buffers meanwhile must arrive.
//
//   a: eth0 192.168.50.10 ──┐
//                           ├── br0        numbered UDP packets and a TCP stream from a to b; it is a's daemon that is replaced
//   b: eth0 192.168.50.11 ──┘
import { existsSync, openSync } from "node:fs";
import t, { type Test } from "tap";
import { carried, EBPF } from "../support/accelerated.js";
import { arrivesDuring, lostDuring } from "../support/flow.js";
import { type Daemon, type Host, makeHost, withDaemons } from "../support/hopsackd.js";
import { ipJson, run, until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { ServiceManagerStandIn } from "../support/service-manager.js";

/** The TUN's queue holds a thousand: more than are sent while a daemon takes over, however slow the machine. */
const PER_MILLISECOND = 5;
/** While a process starts from nothing, which may take ten seconds: beyond its thousand the TUN's queue drops, and nobody is held up. */
const PER_MILLISECOND_AT_RESTART = 0.1;

interface Hosts {
  readonly a: Host;
  readonly b: Host;
  readonly place: Place;
  /** b's address in the overlay. */
  readonly target: string;
}

/** b runs, and has an address of its subnet in every mode; a is the caller's to start. */
async function twoHosts(t: Test, name: string, config?: string): Promise<Hosts> {
  const place = new Place(t, config);
  const a = await makeHost(`${name}-a`, "192.168.50.10");
  const b = await makeHost(`${name}-b`, "192.168.50.11");
  t.teardown(() => [a, b].map((host) => run(`ip netns del ${host.name}`)));
  const daemon = place.start(t, b);
  await daemon.logged("ready");
  const target = place.firstAddress(b);
  run(`ip -n ${b.name} addr add ${target}/32 dev lo`);
  return { a, b, place, target };
}

/** The caller's daemon knows b, and b, to which it would be a stranger else, knows a. */
async function peersKnown({ b, place }: Hosts, daemon: Daemon): Promise<void> {
  const isTold = (): boolean =>
    daemon.lines.some(({ event, peers }) => peers === 1 && (event === "ready" || event === "forwarding_updated"));
  await until("a knows b", isTold);
  await until("b knows a", () => place.status(b).peers.length === 1);
}

async function takenOver(t: Test, hosts: Hosts, old: Daemon): Promise<Daemon> {
  const next = hosts.place.start(t, hosts.a, "--takeover", hosts.place.socket(hosts.a));
  await next.logged("ready");
  t.match(await old.ended, { status: 0 });
  return next;
}

function device(host: Host, name: string): unknown {
  return ipJson(`-n ${host.name} link show ${name}`)[0]?.ifindex;
}

/** What a packet thread may have read from the device, and not yet sent, when it is killed: one round of it (Outbound::RunOnce). */
const IN_HAND_LIMIT = 64;
const KERNEL_MODES = [
  ["vxlan", '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}'],
  ["host-gw", '{"Network": "10.244.0.0/16", "Backend": {"Type": "host-gw"}}'],
] as const;

withDaemons(t, import.meta.url, async () => {
  t.test("a takeover loses no packet, and keeps device, address and lease", async (t) => {
    const hosts = await twoHosts(t, "t");
    const old = hosts.place.start(t, hosts.a);
    await peersKnown(hosts, old);
    const before = { device: device(hosts.a, "flannel0"), leases: hosts.place.leases() };
    let next = old;
    const lost = await lostDuring(t, hosts, PER_MILLISECOND, async () => {
      next = await takenOver(t, hosts, old);
    });
    t.equal(lost, 0);
    t.same({ device: device(hosts.a, "flannel0"), leases: hosts.place.leases() }, before);
    t.match(await next.logged("handover_used"), { device: "flannel0" });
    t.notOk(old.lines.some(({ event }) => event === "lease_released"));
    t.notOk(existsSync(`${hosts.place.socket(hosts.a)}.next`));
    t.match(await next.stop(), { status: 0 });
    t.equal(ipJson(`-n ${hosts.a.name} link`).length, 2, "flannel0 is gone");
    t.equal(hosts.place.leases().length, 1, "and so is the lease");
  });

  t.test("a TCP stream does not notice a takeover", async (t) => {
    const hosts = await twoHosts(t, "s");
    const old = hosts.place.start(t, hosts.a);
    await peersKnown(hosts, old);
    await arrivesDuring(t, hosts, async () => void (await takenOver(t, hosts, old)));
  });

  t.test(
    "a killed daemon is replaced by a service manager that kept device and socket: no packet is lost but those in its hands",
    async (t) => {
      const hosts = await twoHosts(t, "k");
      const manager = new ServiceManagerStandIn(t, hosts.place);
      const flags = hosts.place.flags(hosts.a, "--keep-lease");
      const killed = manager.start(t, hosts.a, flags);
      await peersKnown(hosts, killed);
      await manager.hears("READY=1");
      await until("both are kept", () => manager.kept.size === 2);
      const before = device(hosts.a, "flannel0");
      const lost = await lostDuring(t, hosts, PER_MILLISECOND_AT_RESTART, async () => {
        killed.kill("SIGKILL");
        await killed.ended;
        const next = manager.start(t, hosts.a, flags);
        await manager.hears("READY=1", 2);
        t.match(await next.logged("handover_used"), { device: "flannel0" });
      });
      t.ok(lost <= IN_HAND_LIMIT, `${lost} lost`);
      t.equal(device(hosts.a, "flannel0"), before);
    },
  );

  t.test(
    "a restart that a service manager asks for (SIGUSR2) loses no packet; a stop takes everything back",
    async (t) => {
      const hosts = await twoHosts(t, "r");
      const manager = new ServiceManagerStandIn(t, hosts.place);
      const flags = hosts.place.flags(hosts.a);
      const old = manager.start(t, hosts.a, flags);
      await peersKnown(hosts, old);
      await manager.hears("WATCHDOG=1");
      let next = old;
      const lost = await lostDuring(t, hosts, PER_MILLISECOND_AT_RESTART, async () => {
        old.kill("SIGUSR2");
        t.match(await old.ended, { status: 0 });
        next = manager.start(t, hosts.a, flags);
        await manager.hears("READY=1", 2);
      });
      t.equal(lost, 0);
      t.equal(manager.heard[0], "READY=1");
      t.ok(manager.heard.includes("STOPPING=1"));
      t.ok(manager.heard.includes("STATUS=udp, 1 peer"), manager.heard.join(" "));
      await next.stop();
      await until("nothing is kept", () => manager.kept.size === 0);
      t.equal(ipJson(`-n ${hosts.a.name} link`).length, 2, "flannel0 is gone");
      t.equal(hosts.place.leases().length, 1, "and so is the lease");
    },
  );

  t.test("with the eBPF engine neither a takeover, nor a restart, nor a kill loses a packet", async (t) => {
    const hosts = await twoHosts(t, "e");
    const manager = new ServiceManagerStandIn(t, hosts.place);
    const flags = hosts.place.flags(hosts.a, "--keep-lease", ...EBPF);
    const old = manager.start(t, hosts.a, flags);
    await peersKnown(hosts, old);
    await until("both are kept", () => manager.kept.size === 2);
    const byPrograms = (): number => carried(hosts.place, hosts.a).sent;
    let starts = 1;
    let running = old;
    const lost = await lostDuring(t, hosts, PER_MILLISECOND_AT_RESTART, async () => {
      for (const signal of ["SIGUSR2", "SIGKILL"] as const) {
        t.ok(byPrograms() > 0, "the programs carry the flow");
        running.kill(signal);
        await running.ended;
        running = manager.start(t, hosts.a, flags);
        await manager.hears("READY=1", ++starts);
        await until("the programs carry again", () => byPrograms() > 0);
      }
      const next = hosts.place.start(t, hosts.a, ...EBPF, "--takeover", hosts.place.socket(hosts.a));
      await next.logged("ready");
      t.match(await running.ended, { status: 0 });
      await until("the programs carry after a takeover", () => byPrograms() > 0);
    });
    t.equal(lost, 0);
  });

  for (const [mode, config] of KERNEL_MODES) {
    t.test(`${mode}: neither a takeover nor a restart (SIGUSR2) loses a packet`, async (t) => {
      const hosts = await twoHosts(t, mode.slice(0, 1), config);
      const old = hosts.place.start(t, hosts.a);
      await peersKnown(hosts, old);
      const lost = await lostDuring(t, hosts, PER_MILLISECOND, async () => {
        const second = await takenOver(t, hosts, old);
        second.kill("SIGUSR2");
        t.match(await second.ended, { status: 0 });
        await hosts.place.start(t, hosts.a).logged("ready");
      });
      t.equal(lost, 0);
    });
  }

  t.test("descriptors that cannot be used cost one sentence, and the start is a normal one", async (t) => {
    const hosts = await twoHosts(t, "d");
    const manager = new ServiceManagerStandIn(t, hosts.place);
    for (const name of ["hopsack-tun", "hopsack-udp"]) manager.kept.set(name, openSync("/dev/null", "r"));
    const first = manager.start(t, hosts.a, hosts.place.flags(hosts.a));
    await peersKnown(hosts, first);
    t.match(await first.logged("handover_unused"), {
      code: "HANDOVER_FAILED",
      reason: "device and socket that were handed over are not used: it is no UDP socket",
    });
    first.kill("SIGKILL");
    await first.ended;

    const naive = manager.start(t, hosts.a, hosts.place.flags(hosts.a, "--naive"));
    await peersKnown(hosts, naive);
    t.match(await naive.logged("handover_unused"), { reason: /flannel0 was opened for another way .*--naive/ });
    run(`ip netns exec ${hosts.a.name} ping -q -n -c 1 -W 2 ${hosts.target}`);
  });

  t.test(
    "a takeover by a daemon that cannot use the other one's device begins when that one has closed it",
    async (t) => {
      const hosts = await twoHosts(t, "o");
      const old = hosts.place.start(t, hosts.a);
      await peersKnown(hosts, old);
      const next = hosts.place.start(t, hosts.a, "--naive", "--takeover", hosts.place.socket(hosts.a));
      await next.logged("ready");
      t.match(await old.ended, { status: 0 });
      t.match(await next.logged("handover_unused"), { reason: /--naive/ });
      await peersKnown(hosts, next);
      run(`ip netns exec ${hosts.a.name} ping -q -n -c 1 -W 2 ${hosts.target}`);
    },
  );

  t.test("a takeover from nobody is refused in one sentence and leaves nothing behind", async (t) => {
    const hosts = await twoHosts(t, "n");
    const daemon = hosts.place.start(t, hosts.a, "--takeover", "/run/nobody.sock");
    const { status, stderr } = await daemon.ended;
    t.not(status, 0);
    t.match(stderr, /no hopsackd answers on \/run\/nobody\.sock .*start without --takeover \[NOT_RUNNING\]/);
    t.equal(ipJson(`-n ${hosts.a.name} link`).length, 2);
    t.notOk(existsSync("/run/nobody.sock.next"));
  });
});
