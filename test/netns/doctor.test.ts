// `hopsack doctor` on real hosts with real daemons. Each fault is made, found with its cure, and taken back, before the next one is made:
//
//   a: eth0 192.168.50.10 ──┐
//   b: eth0 192.168.50.11 ──┼── br0
//   c: eth0 192.168.50.12 ──┘  without a daemon
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { Diagnosis } from "../../src/doctor/doctor.js";
import { type Daemon, type Host, makeHost, TOOL, withDaemons } from "../support/hopsackd.js";
import { HOST_GW, VXLAN, VXLAN_USERSPACE } from "../support/modes.js";
import { ipJson, run, until } from "../support/netns.js";
import { Place } from "../support/place.js";
import { startScript } from "../support/traffic.js";

/** A peer that a fault took away is asked again every five seconds. */
const PROBED_LIMIT_MS = 40_000;
/** Ahead of this host by so much is the clock of a lease file from the future; the doctor looks some seconds later. */
const AHEAD_SECONDS = 600;
/** As root of another user namespace, the daemon gets no more than the kernel's usual buffers: the doctor is right to say so. */
const isRealRoot = readFileSync("/proc/self/uid_map", "utf8").includes("4294967295");
const EXPECTED = isRealRoot ? [] : ["socket-buffers"];

interface Verdict extends Diagnosis {
  readonly status: number | null;
}

function doctor(
  host: Host,
  socket: string,
  ...flags: readonly string[]
): { status: number | null; stdout: string; stderr: string } {
  const argv = ["netns", "exec", host.name, process.execPath, TOOL, "doctor", "--socket", socket, ...flags];
  return spawnSync("ip", argv, { encoding: "utf8", env: { PATH: process.env.PATH } });
}

function diagnosis(host: Host, socket: string): Verdict {
  const { status, stdout, stderr } = doctor(host, socket, "--json");
  if (stdout === "") throw new Error(stderr);
  return { ...JSON.parse(stdout), status };
}

/** The checks that found something. */
const found = ({ findings }: Diagnosis): string[] => [...new Set(findings.map(({ check }) => check))];

/** A line for the host's own shell. */
const inside = (host: Host, line: string): string => run(`ip netns exec ${host.name} ${line}`);

interface Site {
  readonly a: Host;
  readonly b: Host;
  readonly c: Host;
  readonly place: Place;
  readonly daemons: readonly Daemon[];
}

interface Fault {
  readonly name: string;
  readonly check: string;
  readonly severity: "problem" | "warning" | "note";
  readonly what: RegExp;
  readonly cure: RegExp;
  /** What else is found, since it follows from the fault. */
  readonly also?: readonly string[];
  readonly skip?: string | false;
  /** Makes the fault; returns what takes it back. */
  make(site: Site): (() => void) | Promise<() => void>;
}

/** A table of its own that drops in one chain. */
function wall(host: Host, hook: string, rule: string, policy = "accept"): () => void {
  inside(host, "nft add table inet wall");
  inside(host, `nft add chain inet wall c { type filter hook ${hook} priority 0; policy ${policy}; }`);
  if (rule !== "") inside(host, `nft add rule inet wall c ${rule}`);
  return () => void inside(host, "nft delete table inet wall");
}

function setting(host: Host, name: string, value: string): () => void {
  const before = inside(host, `sysctl -n ${name}`).trim();
  inside(host, `sysctl -q -w ${name}=${value}`);
  return () => void inside(host, `sysctl -q -w ${name}=${before}`);
}

/** A file as another program keeps it, about the overlay's device of a. */
function stateFile({ a }: Site, folder: string, text: string): () => void {
  const index = String(ipJson(`-n ${a.name} link show flannel0`)[0]?.ifindex);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, index), text);
  return () => rmSync(join(folder, index));
}

const FAULTS: readonly Fault[] = [
  {
    name: "forwarding switched off",
    check: "ip-forward",
    severity: "problem",
    what: /^net\.ipv4\.ip_forward is 0, so containers on this host reach nobody$/,
    cure: /^sysctl -w net\.ipv4\.ip_forward=1$/,
    make: ({ a }) => setting(a, "net.ipv4.ip_forward", "0"),
  },
  {
    name: "a strict reverse path filter",
    check: "rp-filter",
    severity: "warning",
    what: /^net\.ipv4\.conf\.eth0\.rp_filter is 1: packets that arrive on eth0 are dropped/,
    cure: /^sysctl -w net\.ipv4\.conf\.eth0\.rp_filter=2$/,
    make: ({ a }) => setting(a, "net.ipv4.conf.eth0.rp_filter", "1"),
  },
  {
    name: "the FORWARD policy DROP that Docker sets, made by iptables",
    check: "forward-drop",
    severity: "problem",
    what: /^the policy of ip filter FORWARD is drop, and no rule there accepts 10\.244\.0\.0\/16: /,
    cure: /--ip-forward=false, or: iptables -I FORWARD -s 10\.244\.0\.0\/16 -j ACCEPT/,
    make: ({ a }) => {
      inside(a, "iptables -P FORWARD DROP");
      return () => void inside(a, "iptables -P FORWARD ACCEPT");
    },
  },
  {
    name: "an administrator's own chain that drops what is forwarded",
    check: "forward-drop",
    severity: "warning",
    what: /^the policy of inet wall c is drop/,
    cure: /nft insert rule inet wall c ip saddr 10\.244\.0\.0\/16 accept/,
    make: ({ a }) => wall(a, "forward", "", "drop"),
  },
  {
    name: "a bridge whose packets pass a FORWARD chain that drops",
    check: "br-netfilter",
    severity: "warning",
    what: /^net\.bridge\.bridge-nf-call-iptables is 1 and the FORWARD policy is drop/,
    cure: /sysctl -w net\.bridge\.bridge-nf-call-iptables=0$/,
    also: ["forward-drop"],
    skip: existsSync("/proc/sys/net/bridge") ? false : "the module br_netfilter is not loaded",
    make: ({ a }) => {
      run(`ip -n ${a.name} link add cni0 type bridge`);
      const undo = [setting(a, "net.bridge.bridge-nf-call-iptables", "1"), wall(a, "forward", "", "drop")];
      return () => {
        for (const step of undo) step();
        run(`ip -n ${a.name} link del cni0`);
      };
    },
  },
  {
    name: "the rule that Docker 28 makes for a container's address, without the engine: its own iptables line",
    check: "docker-direct-routing",
    severity: "problem",
    what: /^a rule in ip raw PREROUTING drop what comes from other hosts to 10\.244\.1\.2, as Docker 28 does/,
    cure: /trusted_host_interfaces=flannel0, or set "allow-direct-routing": true/,
    make: ({ a }) => {
      const rule = "PREROUTING -d 10.244.1.2/32 ! -i docker0 -j DROP";
      inside(a, `iptables -t raw -A ${rule}`);
      return () => void inside(a, `iptables -t raw -D ${rule}`);
    },
  },
  {
    name: "a route that host-gw left",
    check: "foreign-routes",
    severity: "problem",
    what: /^the route 10\.244\.2\.0\/24 via 192\.168\.50\.11 dev eth0 is not hopsackd's/,
    cure: /^ip route del 10\.244\.2\.0\/24 via 192\.168\.50\.11 dev eth0$/,
    make: ({ a }) => {
      run(`ip -n ${a.name} route add 10.244.2.0/24 via 192.168.50.11`);
      return () => void run(`ip -n ${a.name} route del 10.244.2.0/24 via 192.168.50.11`);
    },
  },
  {
    name: "a device that flannel left",
    check: "flannel-device",
    severity: "warning",
    what: /^a device of flannel's is here that hopsackd does not use$/,
    cure: /hopsack cleanup --flannel --dry-run$/,
    make: ({ a }) => {
      run(`ip -n ${a.name} link add flannel.1 type vxlan id 1 dstport 8472 dev eth0`);
      return () => void run(`ip -n ${a.name} link del flannel.1`);
    },
  },
  {
    name: "an interface that does not lead to the peers",
    check: "underlay-interface",
    severity: "problem",
    what: /^hopsackd sends from 192\.168\.50\.10 of eth0, but packets to b at 192\.168\.50\.11 leave by eth1, because of the route 192\.168\.50\.11\/32$/,
    cure: /^start hopsackd with --iface eth1, or correct that route$/,
    also: ["tunnel-port"],
    make: ({ a }) => {
      run(`ip -n ${a.name} link add eth1 type veth peer name eth1-end`);
      run(`ip -n ${a.name} link set eth1 up`);
      run(`ip -n ${a.name} route add 192.168.50.11/32 dev eth1`);
      return () => void run(`ip -n ${a.name} link del eth1`);
    },
  },
  {
    name: "a link on the way that carries less than the hosts' interfaces",
    check: "path-mtu",
    severity: "problem",
    what: /^packets of 1500 bytes, as eth0 sends them, do not reach b at 192\.168\.50\.11; the longest that do have 1400$/,
    cure: /^set the MTU of eth0 to 1400 on all hosts, or let the way between them carry 1500$/,
    also: ["overlay-length"],
    make: () => {
      run("ip link set v-b mtu 1400");
      return () => void run("ip link set v-b mtu 1500");
    },
  },
  {
    name: "the tunnel's port dropped by the peer's firewall",
    check: "tunnel-port",
    severity: "problem",
    what: /^UDP 8285 of b at 192\.168\.50\.11 does not answer through the tunnel, and its host answers ping: something drops/,
    cure: /^accept UDP 8285 in the firewalls of both hosts/,
    make: ({ b }) => wall(b, "input", "udp dport 8285 drop"),
  },
  {
    name: "the tunnel's port dropped by the own firewall",
    check: "tunnel-port",
    severity: "problem",
    what: /^this host's own firewall keeps back what goes to UDP 8285 of b at 192\.168\.50\.11$/,
    cure: /output chain: udp dport 8285 accept$/,
    make: ({ a }) => wall(a, "output", "udp dport 8285 drop"),
  },
  {
    name: "another machine with the same address",
    check: "duplicate-public-ip",
    severity: "warning",
    what: /^the machine [0-9a-f:]{17} on the link of eth0 has this host's address 192\.168\.50\.10 too$/,
    cure: /^give one of the two another address$/,
    make: ({ c }) => {
      run(`ip -n ${c.name} addr add 192.168.50.10/32 dev eth0`);
      return () => void run(`ip -n ${c.name} addr del 192.168.50.10/32 dev eth0`);
    },
  },
  {
    name: "systemd-networkd managing the device, by the file that it keeps",
    check: "network-daemon",
    severity: "warning",
    what: /^systemd-networkd manages flannel0/,
    cure: /Unmanaged=yes/,
    make: (site) =>
      stateFile(
        site,
        "/run/systemd/netif/links",
        "# This is private data. Do not parse.\nADMIN_STATE=configured\nOPER_STATE=routable\n",
      ),
  },
  {
    name: "NetworkManager managing the device, by the file that it keeps",
    check: "network-daemon",
    severity: "warning",
    what: /^NetworkManager manages flannel0/,
    cure: /unmanaged-devices=interface-name:flannel0/,
    make: (site) => stateFile(site, "/run/NetworkManager/devices", "[device]\nmanaged=true\nnm-owned=false\n"),
  },
  {
    name: "a store whose clock is ahead, by a lease file from the future",
    check: "clock-skew",
    severity: "warning",
    what: /^the clock of file:.* is (600|5\d\d) seconds ahead of this host's$/,
    cure: /NTP/,
    make: ({ place }) => {
      const path = join(place.store, "subnets", "10.244.2.0-24.json");
      const ahead = Date.now() / 1000 + AHEAD_SECONDS;
      utimesSync(path, ahead, ahead);
      return () => utimesSync(path, new Date(), new Date());
    },
  },
  {
    name: "two leases with one public IP",
    check: "daemon-warnings",
    severity: "warning",
    what: /have one public IP 192\.168\.50\.11; the first, known longer, is used$/,
    cure: /^give one of the hosts another --public-ip$/,
    make: ({ place, a }) => {
      const path = join(place.store, "subnets", "10.244.7.0-24.json");
      writeFileSync(
        path,
        JSON.stringify({ PublicIP: "192.168.50.11", PublicIPv6: null, BackendType: "udp", Node: "twin" }),
      );
      const isTold = (): boolean => place.status(a).warnings.some((text) => text.includes("have one public IP"));
      return until("a tells of it", isTold).then(() => () => rmSync(path));
    },
  },
];

/** The doctor asks the other host through the tunnel, and to a host that does not know ours we are a stranger. */
async function knowEachOther(place: Place, hosts: readonly Host[]): Promise<void> {
  await until("they know each other", () =>
    hosts.every((host) => place.status(host).peers.length === hosts.length - 1),
  );
}

async function testFault(t: Test, site: Site, fault: Fault): Promise<void> {
  const { a, place } = site;
  const socket = place.socket(a);
  const undo = await fault.make(site);
  try {
    const verdict = diagnosis(a, socket);
    const ofCheck = verdict.findings.filter(({ check }) => check === fault.check);
    const finding = ofCheck.find(({ what }) => fault.what.test(what)) ?? ofCheck[0]; // the daemon may warn of more
    t.match(finding, { severity: fault.severity, what: fault.what, cure: fault.cure });
    // A fault that lasts is seen by the probes as well, sooner or later.
    const others = found(verdict).filter((check) => ![fault.check, "daemon-warnings", ...EXPECTED].includes(check));
    t.strictSame(
      others.toSorted(),
      (fault.also ?? []).toSorted(),
      "and nothing else, nor anything of the fault before",
    );
    t.equal(verdict.status, { note: 0, warning: 3, problem: 4 }[verdict.worst ?? "note"], "exit status");
  } finally {
    undo();
  }
}

async function declareTests(): Promise<void> {
  const a = await makeHost("a", "192.168.50.10");
  const b = await makeHost("b", "192.168.50.11");
  const c = await makeHost("c", "192.168.50.12");

  for (const mode of [VXLAN, VXLAN_USERSPACE, HOST_GW]) {
    t.test(`${mode.name}: nothing is found on healthy hosts`, async (t) => {
      const place = new Place(t, JSON.stringify({ Network: "10.244.0.0/16", Backend: mode.backend }));
      await place.startAll(t, [a, b], (host) => mode.flags(host));
      await knowEachOther(place, [a, b]);
      for (const host of [a, b]) {
        const verdict = diagnosis(host, place.socket(host));
        t.strictSame(found(verdict), mode === VXLAN_USERSPACE ? EXPECTED : []);
        t.ok(verdict.checks > 15 && verdict.notChecked.length <= 1);
      }
    });
  }

  t.test("udp, and one fault after the other", async (t) => {
    const place = new Place(t);
    const daemons = await place.startAll(t, [a, b], () => ["--ip-forward=false"]);
    await knowEachOther(place, [a, b]);
    const site = { a, b, c, place, daemons };
    t.strictSame(found(diagnosis(a, place.socket(a))), EXPECTED, "nothing is found on a healthy host");
    for (const fault of FAULTS) {
      await t.test(fault.name, { skip: fault.skip ?? false }, (t) => testFault(t, site, fault));
    }

    await until("a warns of nothing any more", () => place.status(a).warnings.length === 0, PROBED_LIMIT_MS);
    t.strictSame(found(diagnosis(a, place.socket(a))), EXPECTED, "nothing is left of all faults");

    await t.test("a host with flannel is a note, and one with nothing on the port a problem", async (t) => {
      const lease = join(place.store, "subnets", "10.244.3.0-24.json");
      const flanneld = startScript(c, `require("dgram").createSocket("udp4").bind(8285, () => console.log("bound"))`);
      t.teardown(() => flanneld.kill("SIGKILL"));
      if (flanneld.stdout !== null) await once(flanneld.stdout, "data");
      writeFileSync(lease, JSON.stringify({ PublicIP: c.address, PublicIPv6: null, BackendType: "udp" }));
      await until("a knows c", () => place.status(a).peers.length === 2);
      const [aboutFlannel] = diagnosis(a, place.socket(a)).findings;
      t.match(aboutFlannel, {
        check: "tunnel-port",
        severity: "note",
        what: /^10\.244\.3\.0\/24 at 192\.168\.50\.12 does not answer probes: it runs flannel or/,
      });
      if (isRealRoot) t.equal(doctor(a, place.socket(a)).status, 0);
      flanneld.kill("SIGKILL");
      await once(flanneld, "close");
      t.match(diagnosis(a, place.socket(a)), {
        status: 4,
        findings: [
          {
            check: "tunnel-port",
            severity: "problem",
            what: /^nobody listens on UDP 8285 of 10\.244\.3\.0\/24 at 192\.168\.50\.12/,
          },
        ],
      });
      rmSync(lease);
      await until("a has forgotten c", () => place.status(a).peers.length === 1);
    });

    await t.test("the doctor changes nothing, and says for people what it says for programs", async (t) => {
      const undo = setting(a, "net.ipv4.ip_forward", "0");
      const before = ipJson(`-n ${a.name} addr`);
      const { stdout } = doctor(a, place.socket(a));
      undo();
      t.match(
        stdout,
        /^problem net\.ipv4\.ip_forward is 0.* \(ip-forward\)\n {2}→ sysctl -w net\.ipv4\.ip_forward=1\n/,
      );
      t.match(stdout, /\n\d+ checks, \d found\n$/);
      t.notMatch(stdout, "\x1b");
      t.same(ipJson(`-n ${a.name} addr`), before);
    });

    await t.test("from another network namespace it is refused with the way there", async (t) => {
      const { status, stderr } = doctor(c, place.socket(a));
      t.equal(status, 1);
      t.match(
        stderr,
        /^hopsack: hopsackd \(process \d+\) runs in another network namespace; .*nsenter --net --target \d+ hopsack doctor \[NOT_RUNNING\]\n$/,
      );
    });
  });

  t.test("without a daemon that is the problem, and the host is looked at all the same", async (t) => {
    const undo = setting(c, "net.ipv4.ip_forward", "0");
    const verdict = diagnosis(c, "/run/none.sock");
    undo();
    t.equal(verdict.status, 4);
    t.strictSame(found(verdict), ["daemon-running", "ip-forward"]);
    t.match(verdict.findings[0], {
      what: /^no hopsackd answers on \/run\/none\.sock/,
      cure: /^start it, or name its socket with --socket$/,
    });
  });
}

withDaemons(t, import.meta.url, declareTests);
