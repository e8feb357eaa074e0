// Mode bgp on good and bad days; every host's subnet is 10.244.<n>.0/24 (a 1, b 2, c 3):
//
//   a: eth0 192.168.50.10 ──┐
//   b: eth0 192.168.50.11 ──┼── br0
//   c: eth0 192.168.50.12 ──┘          (and for a while d: 192.168.50.13)
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { recordProcess } from "../../src/lab/process-record.js";
import { replaceFile } from "../../src/lease/replace-file.js";
import { arrivesDuring, lostDuring } from "../support/flow.js";
import { type Daemon, filesIn, type Host, ip, makeHost, networkState, withDaemons } from "../support/hopsackd.js";
import { run, until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { RouteWatch } from "../support/route-watch.js";
import { pings, startScript } from "../support/traffic.js";

const HOLD_MS = 9000;
const LEASE_CHANGES = 5;
/** A session in trouble is told after ten seconds. */
const TOLD_MS = 40_000;

const configOf = (backend: object = {}, more: object = {}): string =>
  JSON.stringify({ Network: "10.244.0.0/16", ...more, Backend: { Type: "bgp", ...backend } });

/** From now on 10.244.<n>.0/24 is the lease of a host that is not there. */
function giveToGhost(place: Place, n: number): void {
  const Expiration = new Date(Date.now() + 3_600_000).toISOString();
  const lease = { PublicIP: "192.168.50.99", PublicIPv6: null, BackendType: "bgp", Node: "ghost", Expiration };
  writeFileSync(join(place.store, "subnets", `10.244.${n}.0-24.json`), JSON.stringify(lease));
}

/** Routes into the overlay, in iproute2's words. */
function routes(host: Host): string[] {
  return ip(host, "route show")
    .split("\n")
    .map((line) => line.trim().replace(/ linkdown$/, "")) // an empty bridge
    .filter((line) => line.includes("10.244."))
    .sort();
}

async function becomes(t: Test, host: Host, expected: readonly string[], limitMs?: number): Promise<void> {
  const wanted = JSON.stringify(expected.toSorted());
  await until(`routes of ${host.name}`, () => JSON.stringify(routes(host)) === wanted, limitMs).catch(() => {});
  t.strictSame(routes(host), expected.toSorted());
}

const blackhole = (n: number): string => `blackhole 10.244.${n}.0/24 proto bird`;
const to = (subnet: string, { address }: Host): string => `${subnet} via ${address} dev eth0 proto bird`;
const via = (n: number, host: Host): string => to(`10.244.${n}.0/24`, host);
const warnings = (place: Place, host: Host): string => String(place.status(host).warnings);

/** The host's own, of its lease. */
const subnetOf = (place: Place, host: Host): string => place.status(host).lease?.subnet ?? "none";

/** The process that hopsackd's BIRD is on this host. */
function birdOf(place: Place, host: Host): number {
  return place.status(host).bgp?.pid ?? 0;
}

const isAllUp = (place: Place, host: Host): boolean =>
  place.status(host).bgp?.sessions.every(({ state }) => state === "up") === true;

/** Silently: its own link stays up, and nobody hears it any more. */
const cut = (host: Host): string => run(`ip link set v-${host.name} nomaster`);
const rejoin = (host: Host): string => run(`ip link set v-${host.name} master br0`);

withDaemons(t, import.meta.url, async () => {
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  const c = await makeHost("c", "192.168.50.12");

  async function site(t: Test, backend: object = {}): Promise<{ place: Place; daemons: readonly Daemon[] }> {
    const place = new Place(t, configOf(backend));
    const daemons = await place.startAll(t, [a, b, c]);
    await becomes(t, a, [blackhole(1), via(2, b), via(3, c)]);
    await becomes(t, b, [blackhole(2), via(1, a), via(3, c)]);
    await becomes(t, c, [blackhole(3), via(1, a), via(2, b)]);
    return { place, daemons };
  }

  t.test("a clean stop leaves kernel and files as they were, and no BIRD", async (t) => {
    const before = [a, b, c].map(networkState);
    const { place, daemons } = await site(t);
    const pids = [a, b, c].map((host) => birdOf(place, host));
    for (const daemon of daemons) t.equal((await daemon.stop()).status, 0);
    t.strictSame([a, b, c].map(networkState), before);
    t.strictSame(
      filesIn(place.folder).filter((path) => path.includes("bird")),
      [],
    );
    // hopsackd may have ended before it was told of BIRD's end: then it is nobody's, and dead all the same.
    await until("no BIRD runs", () => pids.every((pid) => recordProcess(pid) === null)).catch(() => {});
    t.strictSame(pids.map(recordProcess), [null, null, null], "no BIRD runs");
  });

  t.test("the blackhole makes way for a bridge that has the subnet, and comes back when it goes", async (t) => {
    const place = new Place(t, configOf());
    await place.startAll(t, [a]);
    await becomes(t, a, [blackhole(1)]);
    ip(a, "link add cni0 type bridge");
    ip(a, "link set cni0 up");
    ip(a, "addr add 10.244.1.1/24 dev cni0");
    await becomes(t, a, ["10.244.1.0/24 dev cni0 proto kernel scope link src 10.244.1.1", `${blackhole(1)} metric 32`]);
    ip(a, "link del cni0");
    await becomes(t, a, [blackhole(1)]);
  });

  t.test("a lease that changes is in the others' kernels at once, and the old one is gone", async (t) => {
    const { place, daemons } = await site(t);
    const watch = await RouteWatch.open(t, b);
    const milliseconds: number[] = [];
    for (let change = 1; change <= LEASE_CHANGES; change++) {
      const range = { SubnetMin: `10.244.${change}0.0`, SubnetMax: `10.244.${change}9.0` };
      await replaceFile(join(place.store, "config.json"), configOf({}, range), 0o644);
      for (const daemon of daemons) await daemon.logged("lease_acquired", change + 1);
      const line = await daemons[0]?.logged("lease_acquired", change + 1);
      const subnet = String(line?.lease).replace("-", "/");
      const seenAt = await watch.heard(`${subnet} via ${a.address} dev eth0 proto bird`);
      milliseconds.push(seenAt - Date.parse(String(line?.time)));
      const [ofA = "", ofB = "", ofC = ""] = [a, b, c].map((host) => subnetOf(place, host));
      t.equal(ofA, subnet);
      await becomes(t, b, [`blackhole ${ofB} proto bird`, to(ofA, a), to(ofC, c)]);
      await becomes(t, a, [`blackhole ${ofA} proto bird`, to(ofB, b), to(ofC, c)]);
    }
    t.comment(`from a new lease on a to the route in the kernel of b: ${milliseconds.join(", ")} ms`);
    t.notMatch(readFileSync(join(place.folder, "b", "hopsackd-bird.log"), "utf8"), "Mesh", "no session began anew");
  });

  t.test("a BIRD that is killed costs no packet and no route; hopsackd that is killed neither", async (t) => {
    const { place, daemons } = await site(t);
    for (const [n, host] of [a, b].entries()) {
      ip(host, `addr add 10.244.${n + 1}.1/32 dev lo`);
      t.teardown(() => ip(host, `addr del 10.244.${n + 1}.1/32 dev lo`));
    }
    const watches = [await RouteWatch.open(t, a), await RouteWatch.open(t, b)];
    const before = birdOf(place, b);
    const ends = { a, b, target: "10.244.2.1" };
    const isAnother = (pid: number) => ![0, pid].includes(birdOf(place, b));
    const lost = await lostDuring(t, ends, 2, async () => {
      process.kill(before, "SIGKILL");
      await daemons[1]?.logged("bird_ended");
      await until("BIRD runs again", () => isAnother(before));
      await until("its sessions stand", () => isAllUp(place, b));
    });
    t.equal(lost, 0);
    // RFC 4724 4.2: one that fails again before it has told everything is withdrawn.
    for (const host of [a, c]) await until("the restart is over for its peers", () => !isRestarting(place, host, b));
    const second = birdOf(place, b);
    await arrivesDuring(t, ends, async () => {
      process.kill(second, "SIGKILL");
      await until("BIRD runs again", () => isAnother(second));
      await until("its sessions stand", () => isAllUp(place, b));
    });
    for (const watch of watches) t.strictSame(watch.deletions(), []);

    const kept = birdOf(place, b);
    daemons[1]?.kill("SIGKILL");
    await daemons[1]?.ended;
    t.ok(pings(a, "10.244.2.1"));
    const again = place.start(t, b);
    await again.logged("ready");
    t.equal(birdOf(place, b), kept, "the next hopsackd goes on with the BIRD that runs");
    for (const watch of watches) t.strictSame(watch.deletions(), []);
  });

  t.test("a host that dies silently is noticed within the hold time, and at once with BFD", async (t) => {
    const { place } = await site(t);
    t.teardown(() => rejoin(c));
    const watch = await RouteWatch.open(t, a);
    for (const [BFD, limitMs] of [
      ["off", HOLD_MS + 3000],
      ["on", 2500],
    ] as const) {
      writeFileSync(join(place.store, "config.json"), configOf({ BFD }));
      const config = join(place.folder, "a", "hopsackd-bird.conf");
      await until("BIRD is told", () => readFileSync(config, "utf8").includes(`bfd ${BFD};`));
      await becomes(t, a, [blackhole(1), via(2, b), via(3, c)]);
      await until("all sessions stand", () => isAllUp(place, a));
      if (BFD === "on") await until("BFD has begun", () => isBfdUp(config, c));
      watch.events.length = 0;
      const cutAt = Date.now();
      cut(c);
      const milliseconds = (await watch.heard("Deleted 10.244.3.0/24", limitMs + 5000)) - cutAt;
      t.comment(`BFD ${BFD}: withdrawn ${milliseconds} ms after the cable was cut`);
      t.ok(milliseconds < limitMs, `${milliseconds} ms`);
      await becomes(t, a, [blackhole(1), via(2, b)]);
      if (BFD === "off") {
        const unannounced = /no BGP neighbour announces: 10\.244\.3\.0-24 of c at 192\.168\.50\.12/;
        await until("the lease is named", () => unannounced.test(warnings(place, a)), TOLD_MS).catch(() => {});
        t.match(warnings(place, a), unannounced);
        await until("the session is named", () => warnings(place, a).includes("no BGP session"), TOLD_MS).catch(
          () => {},
        );
        t.match(
          warnings(place, a),
          /no BGP session with 192\.168\.50\.12 \(.*\): (it does not answer|that host cannot)/,
        );
      }
      rejoin(c);
      await becomes(t, a, [blackhole(1), via(2, b), via(3, c)]);
    }
  });

  t.test("a password and an AS number that are not the others' are said in words", async (t) => {
    const place = new Place(t, configOf({ Password: "right" }));
    const netConfig = join(place.folder, "other.json");
    writeFileSync(netConfig, configOf({ Password: "wrong" }));
    for (const [index, host] of [a, b].entries()) place.reserve(host, `10.244.${index + 1}.0/24`);
    await place.start(t, a).logged("ready");
    const other = place.start(t, b, "--net-config", netConfig);
    await other.logged("ready");
    for (const host of [a, b]) {
      await until("it is said", () => warnings(place, host).includes("no BGP session"), TOLD_MS).catch(() => {});
      t.match(warnings(place, host), /no BGP session with 192\.168\.50\.1[01] \(.*\): .* has the same Password/);
    }
    t.notMatch(readFileSync(join(place.folder, "a", "hopsackd-bird.log"), "utf8"), "right", "no password in a log");
    await other.stop();
    writeFileSync(netConfig, configOf({ Password: "right", ASNumber: 64_513 }));
    await place.start(t, b, "--net-config", netConfig).logged("ready");
    for (const host of [a, b]) {
      await until("it is said", () => warnings(place, host).includes("AS numbers"), TOLD_MS).catch(() => {});
      t.match(warnings(place, host), /the AS numbers disagree \(this host has 6451\d, and takes that one for 6451\d\)/);
    }
  });

  t.test("a lost reflector and a lease that nobody announces are said", async (t) => {
    const { place } = await site(t, { RouteReflectors: [a.address] });
    t.teardown(() => rejoin(a));
    giveToGhost(place, 9);
    await until("it is said", () => warnings(place, b).includes("10.244.9.0-24"), TOLD_MS).catch(() => {});
    t.match(
      warnings(place, b),
      /no BGP neighbour announces: .*10\.244\.9\.0-24.* at 192\.168\.50\.99; see whether hopsackd runs/,
    );
    t.notMatch(warnings(place, b), "10.244.3.0-24");
    cut(a);
    await becomes(t, b, [blackhole(2)]);
    await until("it is said", () => warnings(place, b).includes("no BGP session"), TOLD_MS).catch(() => {});
    t.match(warnings(place, b), /no BGP session with 192\.168\.50\.10 \(/);
    t.match(warnings(place, b), /no BGP neighbour announces: .*10\.244\.3\.0-24 of c at 192\.168\.50\.12/);
  });

  t.test("with two reflectors, the loss of one costs no route of the others and no packet", async (t) => {
    const d = await makeHost("d", "192.168.50.13");
    const place = new Place(t, configOf({ RouteReflectors: [a.address, b.address] }));
    t.teardown(() => rejoin(a));
    await place.startAll(t, [a, b, c, d]);
    await becomes(t, c, [blackhole(3), via(1, a), via(2, b), via(4, d)]);
    await becomes(t, d, [blackhole(4), via(1, a), via(2, b), via(3, c)]);
    for (const host of [a, b, c, d]) await until("all sessions stand", () => isAllUp(place, host));
    for (const [n, host] of [
      [3, c],
      [4, d],
    ] as const) {
      ip(host, `addr add 10.244.${n}.1/32 dev lo`);
      t.teardown(() => ip(host, `addr del 10.244.${n}.1/32 dev lo`));
    }
    const watches = [await RouteWatch.open(t, c), await RouteWatch.open(t, d)];
    const lost = await lostDuring(t, { a: c, b: d, target: "10.244.4.1" }, 2, async () => {
      cut(a);
      for (const watch of watches) await watch.heard("Deleted 10.244.1.0/24");
    });
    t.equal(lost, 0);
    for (const watch of watches) t.strictSame(watch.deletions(), [`Deleted ${via(1, a)}`]);
    await becomes(t, c, [blackhole(3), via(2, b), via(4, d)]);
  });

  t.test("where port 179 is taken, or no BIRD of use is there, the start is refused and leaves nothing", async (t) => {
    const place = new Place(t, configOf());
    const before = networkState(a);
    const refused = async (code: string, words: RegExp): Promise<void> => {
      const daemon = place.start(t, a);
      const { status, stderr } = await daemon.ended;
      t.equal(status, 1);
      t.match(stderr, words);
      t.match(stderr, `[${code}]`);
      t.strictSame(place.leases(), [], "no lease is taken");
      t.strictSame(networkState(a), before);
    };
    const holder = startScript(a, "require('net').createServer().listen(179, '0.0.0.0', () => console.log('listens'))");
    await once(holder.stdout ?? holder, "data");
    await refused("PORT_TAKEN", /another program listens on TCP port 179 of 192\.168\.50\.10, .*; stop it/);
    holder.kill();
    await once(holder, "close");

    const old = join(place.folder, "bird");
    writeFileSync(old, "#!/bin/sh\necho 'BIRD version 2.0.7' >&2\n", { mode: 0o755 });
    const path = execFileSync("sh", ["-c", "command -v bird || echo /usr/sbin/bird"], { encoding: "utf8" }).trim();
    run(`mount --bind ${old} ${path}`);
    await refused(
      "TOOL_MISSING",
      /BIRD version 2\.0\.7 cannot be used, the mode bgp needs 2\.0\.12 or newer of version 2/,
    );
    run(`umount ${path}`);
    run(`mount --bind /dev/null ${path}`);
    await refused("TOOL_MISSING", /BIRD is not installed, and the mode bgp needs it; install: apt-get install bird2/);
    run(`umount ${path}`);
  });
});

/** Whether BIRD's BFD, whose control socket is beside this configuration, has a session with the peer that is up. */
function isBfdUp(config: string, peer: Host): boolean {
  const sessions = run(`birdc -s ${config.replace(/conf$/, "ctl")} show bfd sessions`).split("\n");
  return sessions.some((line) => line.startsWith(`${peer.address} `) && line.includes(" Up "));
}

/** Whether the BIRD of a host keeps the routes of a peer that has not told them again. */
function isRestarting(place: Place, host: Host, peer: Host): boolean {
  const control = join(place.folder, host.name, "hopsackd-bird.ctl");
  const session = `Mesh_${peer.address.replaceAll(".", "_")}`;
  return run(`birdc -s ${control} show protocols all ${session}`).includes("Neighbor graceful restart active");
}
