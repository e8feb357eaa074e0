// Real daemons, real kernel, real packets:
//
//   a: eth0 192.168.50.10 ──┐
//   b: eth0 192.168.50.11 ──┼── br0
//   c: eth0 192.168.50.12 ──┘
//
// What goes wrong at the start must be one sentence with a code, a non-zero exit, and nothing left behind.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import t, { type Test } from "tap";
import {
  Daemon,
  filesIn,
  type Host,
  hopsack,
  makeHost,
  networkState,
  TOOL,
  UNHOOKED,
  withDaemons,
} from "../support/hopsackd.js";
import { ipJson, run, until, whyIpip, whyNoOtherUsers } from "../support/netns.js";
import { Place } from "../support/place.js";
import { pings } from "../support/traffic.js";
import { residentMegabytes } from "../support/usage.js";

const RESIDENT_LIMIT_MEGABYTES = 90;
/** Less than the five seconds and more that a stop waits for what does not answer; how long it works is the machine's business. */
const STOP_LIMIT_MS = 4500;

/** The host's first pod address on a bridge, so that there is somebody to ping. */
function makePods(place: Place, host: Host): string {
  const address = place.firstAddress(host);
  run(`ip -n ${host.name} link add cni0 type bridge`);
  run(`ip -n ${host.name} addr add ${address}/24 dev cni0`);
  run(`ip -n ${host.name} link set cni0 up`);
  return address;
}

function get(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path }, (response) => resolve(text(response)))
      .on("error", reject)
      .end();
  });
}

function ping(from: Host, source: string, target: string): void {
  run(`ip netns exec ${from.name} ping -q -n -c 1 -W 2 -I ${source} ${target}`);
}

interface BadDay {
  readonly name: string;
  readonly code: string;
  readonly status?: number;
  readonly sentence: RegExp;
  readonly config?: string;
  readonly flags?: readonly string[];
  readonly wrapper?: readonly string[];
  /** Why this cannot be tried here. */
  readonly skip?: string | false;
  /** Makes the day bad; returns what makes it good again. */
  prepare?(host: Host, place: Place): Promise<() => void | Promise<void>>;
}

const TAKE_PORT = {
  udp: 'require("node:dgram").createSocket("udp4").bind',
  tcp: 'require("node:net").createServer().listen',
} as const;

async function inUse(host: Host, protocol: keyof typeof TAKE_PORT, port: number): Promise<() => Promise<void>> {
  const bind = `${TAKE_PORT[protocol]}(${port}, "${host.address}", () => console.log("bound"))`;
  const holder = spawn("ip", ["netns", "exec", host.name, process.execPath, "-e", bind]);
  await once(holder.stdout, "data");
  return async () => {
    holder.kill("SIGKILL");
    await once(holder, "close");
  };
}

async function rawSocket(host: Host): Promise<() => Promise<void>> {
  const open =
    'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 4); print("open", flush=True); input()';
  const holder = spawn("ip", ["netns", "exec", host.name, "python3", "-c", open]);
  await once(holder.stdout, "data");
  return async () => {
    holder.kill("SIGKILL");
    await once(holder, "close");
  };
}

const BAD_DAYS: readonly BadDay[] = [
  {
    name: "without CAP_NET_ADMIN",
    wrapper: ["setpriv", "--bounding-set", "-net_admin"],
    code: "NOT_PERMITTED",
    sentence: /run it as root or with the capability CAP_NET_ADMIN/,
  },
  {
    name: "as another user than root",
    skip: whyNoOtherUsers(),
    wrapper: ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"],
    code: "NOT_PERMITTED",
    sentence: /run it as root/,
  },
  {
    name: "without /dev/net/tun",
    wrapper: ["unshare", "-m", "sh", "-c", 'mount -t tmpfs tmpfs /dev/net && exec "$@"', "sh"],
    code: "NO_TUN",
    sentence: /\/dev\/net\/tun is not there; .*modprobe tun/,
  },
  {
    name: "with the port taken",
    code: "PORT_TAKEN",
    sentence: /UDP port 8285 on 192\.168\.50\.10 is in use; .*ss -lunp/,
    prepare: (host) => inUse(host, "udp", 8285),
  },
  {
    name: "without CAP_NET_RAW, which IP-in-IP needs",
    flags: ["--backend", "ipip", "--ipip-engine", "userspace"],
    wrapper: ["setpriv", "--bounding-set", "-net_raw"],
    code: "NOT_PERMITTED",
    sentence: /opening a raw socket .*CAP_NET_RAW/,
  },
  {
    name: "with another program that takes IP-in-IP packets",
    flags: ["--backend", "ipip", "--ipip-engine", "userspace"],
    code: "PORT_TAKEN",
    sentence: /another program takes IP-in-IP packets on 0\.0\.0\.0 .*ss -awnp/,
    prepare: rawSocket,
  },
  {
    name: "with IP-in-IP and flannel's UDP loop",
    flags: ["--backend", "ipip", "--ipip-engine", "userspace", "--naive"],
    code: "BAD_OPTION",
    status: 2,
    sentence: /--naive is flannel's loop for UDP/,
  },
  {
    name: "with IP-in-IP by a kernel that has none",
    skip: whyIpip(),
    flags: ["--backend", "ipip", "--ipip-engine", "kernel"],
    code: "KERNEL_REFUSED",
    sentence: /this kernel has no ipip; load it with: modprobe ipip, or start without --ipip-engine kernel/,
  },
  {
    name: "with the port for metrics taken",
    flags: ["--metrics-address", "9285"],
    code: "PORT_TAKEN",
    sentence: /TCP port 9285 on 192\.168\.50\.10 is in use; .*ss -ltnp .*--metrics-address/,
    prepare: (host) => inUse(host, "tcp", 9285),
  },
  {
    name: "with metrics on an address that no interface has",
    flags: ["--metrics-address", "192.168.99.9:9285"],
    code: "NO_ADDRESS",
    sentence: /no interface has the address 192\.168\.99\.9; .*--metrics-address/,
  },
  {
    name: "with an interface that is not there",
    flags: ["--iface", "eth9"],
    code: "NO_INTERFACE",
    sentence: /eth9/,
  },
  {
    name: "with an address that no interface has",
    flags: ["--iface", "192.168.99.9"],
    code: "NO_INTERFACE",
    sentence: /192\.168\.99\.9/,
  },
  {
    name: "with an interface that has no address",
    flags: ["--iface", "bare0"],
    code: "NO_ADDRESS",
    sentence: /bare0/,
    prepare: async (host) => {
      run(`ip -n ${host.name} link add bare0 type veth peer name bare1`);
      run(`ip -n ${host.name} link set bare0 up`);
      return () => void run(`ip -n ${host.name} link del bare0`);
    },
  },
  {
    name: "with an empty interface name",
    flags: ["--iface="],
    code: "BAD_OPTION",
    status: 2,
    sentence: /--iface "" is not accepted/,
  },
  {
    name: "with a Network that covers an address of the host",
    code: "NETWORK_OVERLAP",
    sentence: /Network 10\.244\.0\.0\/16 .*10\.244\.7\.1\/32 dev lo/,
    prepare: async (host) => {
      run(`ip -n ${host.name} addr add 10.244.7.1/32 dev lo`);
      return () => void run(`ip -n ${host.name} addr del 10.244.7.1/32 dev lo`);
    },
  },
  {
    name: "with a Network that covers the underlay",
    config: '{"Network": "192.168.0.0/16"}',
    code: "NETWORK_OVERLAP",
    sentence: /Network 192\.168\.0\.0\/16 .*192\.168\.50\.10/,
  },
  {
    name: "with a Network that is too small",
    config: '{"Network": "10.244.0.0/29"}',
    code: "BAD_CONFIG",
    sentence: /config\.json: Network "10\.244\.0\.0\/29": too small/,
  },
  {
    name: "without a network configuration",
    flags: ["--net-config", "/run/no-such-file.json"],
    code: "BAD_CONFIG",
    sentence: /no network configuration at \/run\/no-such-file\.json/,
  },
  {
    name: "with a backend that nobody knows",
    flags: ["--backend", "carrier-pigeon"],
    code: "BAD_CONFIG",
    sentence: /"carrier-pigeon" is not known; use one of: .*udp/,
  },
  {
    name: "with a store that nobody knows",
    flags: ["--store", "tape:/dev/st0"],
    code: "BAD_OPTION",
    status: 2,
    sentence: /"tape:\/dev\/st0" names no store; use file:DIR, static:FILE or etcd/,
  },
  {
    name: "with a subnet file that cannot be written",
    flags: ["--subnet-file", "/dev/null/subnet.env"],
    code: "FILE_UNWRITABLE",
    sentence: /\/dev\/null\/subnet\.env cannot be written .*--subnet-file/,
  },
  {
    name: "with a status socket that cannot be opened",
    flags: ["--status-socket", "/dev/null/hopsackd.sock"],
    code: "FILE_UNWRITABLE",
    sentence: /\/dev\/null\/hopsackd\.sock cannot be opened .*--status-socket/,
  },
  {
    name: "with --ip-masq where nft is missing",
    wrapper: ["unshare", "-m", "sh", "-c", 'mount -t tmpfs tmpfs /usr/sbin && exec "$@"', "sh"],
    flags: ["--ip-masq"],
    code: "TOOL_MISSING",
    sentence: /nft/,
  },
  {
    name: "with a device of that name that is no TUN device",
    flags: ["--device", "other0"],
    code: "DEVICE_BUSY",
    sentence: /other0 .*--device/,
    prepare: async (host) => {
      run(`ip -n ${host.name} link add other0 type veth peer name other1`);
      return () => void run(`ip -n ${host.name} link del other0`);
    },
  },
];

async function checkBadDay(t: Test, host: Host, day: BadDay): Promise<void> {
  const place = new Place(t, day.config);
  const makeGood = (await day.prepare?.(host, place)) ?? (() => {});
  const network = networkState(host);
  const files = filesIn("/run").filter((path) => !path.endsWith("/store/lock"));
  const { status, stderr } = await new Daemon(host, place.flags(host, ...(day.flags ?? [])), day.wrapper).ended;
  t.match(stderr, new RegExp(`^hopsackd: .+ \\[${day.code}\\]\n$`), "one sentence with its code");
  t.match(stderr, day.sentence);
  t.equal(status, day.status ?? 1, "exit status");
  t.same(networkState(host), network, "no device, address, route or rule is left");
  t.same(
    filesIn("/run").filter((path) => !path.endsWith("/store/lock")),
    files,
    "no file is left",
  );
  await makeGood();
}

withDaemons(t, import.meta.url, async () => {
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  const c = await makeHost("c", "192.168.50.12");

  for (const day of BAD_DAYS) {
    t.test(`a start ${day.name} ends with ${day.code}`, { skip: day.skip ?? false }, (t) => checkBadDay(t, a, day));
  }

  t.test("SIGTERM takes everything back without waiting for anybody, and leaves subnet.env", async (t) => {
    const place = new Place(t);
    const network = networkState(a);
    const daemon = place.start(t, a);
    await daemon.logged("ready");
    t.equal(place.leases().length, 1);
    const begin = performance.now();
    t.same(await daemon.stop(), { status: 0, signal: null, stderr: "" });
    const milliseconds = Math.round(performance.now() - begin);
    t.comment(`stopped in ${milliseconds} ms`);
    t.ok(milliseconds < STOP_LIMIT_MS, `${milliseconds} ms`);
    t.same(networkState(a), network);
    t.same(place.leases(), []);
    t.same(filesIn(join(place.folder, a.name)), [place.subnetFile(a)]);
  });

  t.test("--keep-lease keeps the lease over a stop, and the next start has the same subnet", async (t) => {
    const place = new Place(t);
    const first = place.start(t, a, "--keep-lease");
    await first.logged("ready");
    const leases = place.leases();
    await first.stop();
    t.same(place.leases(), leases);
    rmSync(place.subnetFile(a));
    await place.start(t, a).logged("ready");
    t.same(place.leases(), leases);
  });

  t.test("after SIGKILL the next start takes over what is left", async (t) => {
    const place = new Place(t);
    const first = place.start(t, a);
    await first.logged("ready");
    const leases = place.leases();
    first.kill("SIGKILL");
    await first.ended;
    t.ok(existsSync(place.socket(a)), "a socket without a process is left");
    await place.start(t, a).logged("ready");
    t.same(place.leases(), leases);
    t.match(JSON.parse(hopsack(a, `status --json --socket ${place.socket(a)}`)), { state: "ready" });
  });

  t.test("a second daemon on the same socket, device or public IP is refused and disturbs nobody", async (t) => {
    const place = new Place(t);
    const daemon = place.start(t, a);
    await daemon.logged("ready");
    const network = networkState(a);
    const other = [
      "--status-socket",
      join(place.folder, "other.sock"),
      "--subnet-file",
      join(place.folder, "other.env"),
    ];
    t.match(await new Daemon(a, place.flags(a)).ended, { status: 1, stderr: /\[ALREADY_RUNNING\]/ });
    t.match(await new Daemon(a, place.flags(a, ...other)).ended, { status: 1, stderr: /\[PORT_TAKEN\]/ });
    const otherPort = join(place.folder, "other-port.json");
    writeFileSync(otherPort, '{"Network": "10.244.0.0/16", "Backend": {"Type": "udp", "Port": 8286}}');
    const onOtherPort = await new Daemon(a, place.flags(a, ...other, "--net-config", otherPort)).ended;
    t.match(onOtherPort, { status: 1, stderr: /flannel0 is open in another process.* \[DEVICE_BUSY\]\n$/ });
    const twin = await new Daemon(b, place.flags(b, "--public-ip", a.address)).ended;
    t.match(twin, { status: 1, stderr: /public IP 192\.168\.50\.10 belongs to host a, .* \[PUBLIC_IP_TAKEN\]\n$/ });
    t.same(networkState(a), network);
    t.equal(place.leases().length, 1);
    t.same(
      daemon.lines.filter((line) => line.level !== "info"),
      [],
    );
  });

  t.test("packets flow in both directions as soon as both daemons are ready", async (t) => {
    const place = new Place(t);
    await place.start(t, a).logged("ready");
    const daemonB = place.start(t, b);
    await daemonB.logged("ready");
    const [podA, podB] = [makePods(place, a), makePods(place, b)];
    t.teardown(() => [a, b].forEach((host) => void run(`ip -n ${host.name} link del cni0`)));
    const peersOfA = () => JSON.parse(hopsack(a, `status --json --socket ${place.socket(a)}`)).peers.length;
    await until("a knows b", () => peersOfA() === 1);
    ping(b, podB, podA);
    ping(a, podA, podB);
    const report = JSON.parse(hopsack(b, `status --json --socket ${place.socket(b)}`));
    t.match(report, { peers: [{ node: "a", publicIp: a.address }], warnings: [] });
    t.ok(report.traffic.sent.packets >= 2 && report.traffic.received.packets >= 2);
    t.match(hopsack(b, `status --socket ${place.socket(b)}`), /^b: ready, udp mode/);
  });

  t.test("a TUN device that somebody deletes comes back with address, route and traffic", async (t) => {
    const place = new Place(t);
    await place.start(t, a).logged("ready");
    const daemonB = place.start(t, b);
    await daemonB.logged("ready");
    const [podA, podB] = [makePods(place, a), makePods(place, b)];
    t.teardown(() => [a, b].forEach((host) => void run(`ip -n ${host.name} link del cni0`)));
    await until("a lets b in", () => pings(b, podA, "-I", podB));
    run("ip -n b link del flannel0");
    await daemonB.logged("device_lost");
    await daemonB.logged("device_open", 2);
    const hasRoute = () => ipJson("-n b route show 10.244.0.0/16").length === 1;
    await until("the route is back", hasRoute);
    await until("packets flow again", () => pings(b, podA, "-I", podB));
  });

  t.test("a corrupted lease file is said once and keeps nobody from working", async (t) => {
    const place = new Place(t);
    mkdirSync(join(place.store, "subnets"));
    writeFileSync(join(place.store, "subnets", "10.244.9.0-24.json"), "{ not json");
    const daemon = place.start(t, a);
    await daemon.logged("ready");
    t.match(await daemon.logged("store_warning"), { level: "warn", reason: /10\.244\.9\.0-24/ });
    t.match(await daemon.stop(), { status: 0 });
  });

  t.test("a second signal ends a daemon at once whose store does not answer", async (t) => {
    const place = new Place(t);
    const daemon = place.start(t, a);
    await daemon.logged("ready");
    const holder = spawn("flock", ["--no-fork", join(place.store, "lock"), "sh", "-c", "echo held; exec sleep 60"]);
    await once(holder.stdout, "data");
    daemon.kill("SIGTERM");
    await daemon.logged("stopping");
    daemon.kill("SIGTERM");
    t.match(await daemon.ended, { status: 143 });
    holder.kill("SIGKILL");
    await once(holder, "close");
  });

  t.test("the status socket has metrics and readiness", async (t) => {
    const place = new Place(t);
    await place.start(t, a).logged("ready");
    t.match(await get(place.socket(a), "/metrics"), /^hopsack_ready 1$/m);
    t.equal(await get(place.socket(a), "/readyz"), "hopsackd is ready\n");
  });

  t.test("hopsack status says NOT_PERMITTED to other users", { skip: whyNoOtherUsers() }, async (t) => {
    const place = new Place(t);
    await place.start(t, a).logged("ready");
    chmodSync(place.folder, 0o755);
    const asNobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups", ...UNHOOKED, process.execPath];
    const status = [TOOL, "status", "--socket", place.socket(a)];
    t.throws(() => execFileSync("setpriv", [...asNobody, ...status], { stdio: "pipe" }), {
      status: 1,
      message: /may not be opened by this user; .* \[NOT_PERMITTED\]/,
    });
  });

  t.test("with two peers known when it is ready, it takes less than 90 MB of memory", async (t) => {
    const place = new Place(t);
    await place.start(t, b).logged("ready");
    await place.start(t, c).logged("ready");
    const times: number[] = [];
    for (let round = 0; round < 5; round++) {
      const daemon = place.start(t, a);
      const { peers, millisecondsToReady } = await daemon.logged("ready");
      t.equal(peers, 2);
      times.push(Number(millisecondsToReady));
      const resident = residentMegabytes(daemon.pid);
      t.ok(resident < RESIDENT_LIMIT_MEGABYTES, `${resident.toFixed(1)} MB`);
      await daemon.stop();
    }
    t.comment(`from cold to forwarding: ${times.join(", ")} ms`); // a benchmark's business, not a test's
  });
});
