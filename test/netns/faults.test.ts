// Faults of a host that is up: a device that goes or is renamed, a link that flaps, a peer that freezes, a disk that is full. Each
// time the overlay carries again by itself, and the log says what happened once.
//
//   [a 192.168.50.10, 10.244.1.0/24] ── br0 ── [b 192.168.50.11, 10.244.2.0/24]
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Daemon, type Host, ip, makeHost, withDaemons } from "../support/hopsackd.js";
import { run, until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { pings } from "../support/traffic.js";
import { Trials } from "../support/trials.js";

/** A full disk: this is all it holds. */
const DISK_KILOBYTES = 16;
/** Far beyond what a recovery takes, and beyond three probes, five seconds apart. */
const RECOVERY_LIMIT_MS = 40_000;

withDaemons(t, import.meta.url, async () => {
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  const trials = new Trials(import.meta.url, "Faults of hosts and links, UDP mode");

  const start = async (t: Test): Promise<{ place: Place; daemons: Daemon[] }> => {
    const place = new Place(t);
    const daemons = await place.startAll(t, [a, b], () => ["--probe-peers=false"]);
    await carries();
    return { place, daemons };
  };
  const carries = (): Promise<void> =>
    until("the overlay carries", () => pings(a, "10.244.2.0") && pings(b, "10.244.1.0"), RECOVERY_LIMIT_MS);
  /** How often the daemon has said it. */
  const said = (daemon: Daemon | undefined, event: string): number =>
    daemon?.lines.filter((line) => line.event === event).length ?? 0;

  t.test("the TUN device is deleted under the pump", async (t) => {
    const { daemons } = await start(t);
    ip(a, "link del flannel0");
    await daemons[0]?.logged("device_lost");
    await carries();
    t.equal(said(daemons[0], "device_lost"), 1);
    trials.row({
      tried: "the TUN device deleted under the pump",
      happened: "a new one, the overlay carries again; `device_lost`, once",
    });
  });

  t.test("the underlay's link goes down and up ten times", async (t) => {
    const { daemons } = await start(t);
    for (let flap = 0; flap < 10; flap++) {
      ip(a, "link set eth0 down");
      ip(a, "link set eth0 up");
    }
    await carries();
    t.equal(said(daemons[0], "device_lost"), 0);
    trials.row({
      tried: "the underlay's link down and up ten times",
      happened: "the overlay carries again, with the same device",
    });
  });

  t.test("a peer is frozen while it is sent to, and goes on", async (t) => {
    const { place, daemons } = await start(t);
    const frozen = daemonPid(place, b);
    process.kill(frozen, "SIGSTOP");
    for (let n = 0; n < 3; n++) t.notOk(pings(a, "10.244.2.0"), "the peer's pump stands still");
    process.kill(frozen, "SIGCONT");
    await carries();
    t.equal(said(daemons[1], "device_lost"), 0);
    trials.row({
      tried: "a peer frozen (SIGSTOP) while it is sent to",
      happened: "nothing arrives meanwhile; it goes on by itself",
    });
  });

  t.test("a peer is frozen until its probes are overdue, and goes on", async (t) => {
    const place = new Place(t);
    await place.startAll(t, [a, b]);
    const warnings = (): readonly string[] => place.status(a).warnings;
    await until("the peer has answered a probe", () => place.status(a).peers[0]?.reach?.state === "reachable");
    const frozen = daemonPid(place, b);
    process.kill(frozen, "SIGSTOP");
    await until("the status has a warning", () => warnings().length > 0, RECOVERY_LIMIT_MS);
    t.match(warnings(), [/^no longer answers probes: 10\.244\.2\.0-24 of b at 192\.168\.50\.11; /]);
    process.kill(frozen, "SIGCONT");
    await until("and no longer", () => warnings().length === 0, RECOVERY_LIMIT_MS);
    await carries();
    trials.row({
      tried: "a peer frozen for so long that three probes are overdue",
      happened: "the status names it, and no longer once it goes on",
    });
  });

  t.test("a peer is frozen until its lease has run out, and takes it again", async (t) => {
    const place = new Place(t);
    const daemons = await place.startAll(t, [a, b], ({ name }) =>
      name === "b" ? ["--probe-peers=false", "--lease-ttl", "4"] : ["--probe-peers=false"],
    );
    await carries();
    const frozen = daemonPid(place, b);
    process.kill(frozen, "SIGSTOP");
    await until("a has forgotten it", () => place.status(a).peers.length === 0, RECOVERY_LIMIT_MS);
    process.kill(frozen, "SIGCONT");
    await carries();
    t.equal(place.status(b).lease?.subnet, "10.244.2.0/24", "the same subnet");
    t.ok(said(daemons[1], "lease_lost") <= 1, "said once at most");
    t.equal(said(daemons[1], "device_lost"), 0);
    trials.row({
      tried: "a peer frozen until its lease has run out",
      happened: "the others forget it; it takes the same subnet again and the overlay carries",
    });
  });

  t.test("the underlay's interface is renamed", async (t) => {
    await start(t);
    for (const [before, after] of [
      ["eth0", "eth7"],
      ["eth7", "eth0"],
    ] as const) {
      ip(a, `link set ${before} down`);
      ip(a, `link set ${before} name ${after}`);
      ip(a, `link set ${after} up`);
      if (after === "eth7") t.ok(run("ip -n a link show eth7").includes("eth7"));
    }
    await carries();
    trials.row({ tried: "the underlay's interface renamed, and back", happened: "the overlay carries again" });
  });

  t.test("the disk of the subnet file and the kept leases is full", async (t) => {
    const place = new Place(t);
    const disk = join(place.folder, "disk");
    run(`mkdir ${disk}`);
    run(`mount -t tmpfs -o size=${DISK_KILOBYTES}k tmpfs ${disk}`);
    t.teardown(() => run(`umount -l ${disk}`));
    const flags = ["--probe-peers=false", "--subnet-file", join(disk, "subnet.env")];

    fill(disk);
    const refused = new Daemon(a, place.flags(a, ...flags));
    const { status, stderr } = await refused.ended;
    t.equal(status, 1);
    t.match(stderr, /subnet\.env cannot be written \(ENOSPC.*\); /);
    t.strictSame(place.leases(), [], "and the lease is given back");
    t.notMatch(run("ip -n a link show"), "flannel0");
    trials.row({
      tried: "the subnet file's disk full at the start",
      happened: "ends with `FILE_UNWRITABLE`, status 1; device and lease are given back",
    });

    run(`rm ${disk}/filler`);
    const daemon = place.start(t, a, ...flags);
    await daemon.logged("ready");
    fill(disk);
    for (let n = 0; n < 3; n++) {
      place.writeMember(`192.168.50.${20 + n}`, `10.244.${20 + n}.0/24`);
      await until("the new peer is reached", () => place.status(a).peers.length === n + 1);
    }
    await daemon.logged("trouble");
    t.equal(said(daemon, "trouble"), 1, "once, for three changes that could not be kept");
    run(`rm ${disk}/filler`);
    place.writeMember("192.168.50.30", "10.244.30.0/24");
    await daemon.logged("trouble_over");
    trials.row({
      tried: "the disk of the kept leases full while leases change",
      happened: "the new peers are reached; `trouble`, once, and `trouble_over` when there is room",
    });
  });
});

/** Until nothing more can be written; what is there already stays as it is. */
function fill(disk: string): void {
  spawnSync("dd", ["if=/dev/zero", `of=${disk}/filler`, "bs=1k"]);
}

/** Of hopsackd itself: the namespace's first process only waits for it. */
function daemonPid(place: Place, host: Host): number {
  return place.status(host).pid;
}
