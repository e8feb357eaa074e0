import { hostname } from "node:os";
import t from "tap";
import { variableOf } from "../../../src/daemon/flags.js";
import { type DaemonOptions, flagNames, parseInvocation } from "../../../src/daemon/options.js";
import { HopsackError } from "../../../src/errors.js";
import type { EtcdSettings } from "../../../src/store/etcd-settings.js";

const ALL_ON = { tso: true, uso: true, udpGso: true, udpGro: true, tunGro: true };
const ALL_OFF = { tso: false, uso: false, udpGso: false, udpGro: false, tunGro: false };

function options(argv: string[], env: NodeJS.ProcessEnv = {}): DaemonOptions {
  const invocation = parseInvocation(argv, env, "1.2.3");
  if (invocation.kind !== "run") throw new Error("asked for a text");
  return invocation.options;
}

function refusal(argv: string[], env: NodeJS.ProcessEnv = {}): string {
  try {
    options(argv, env);
  } catch (error) {
    if (error instanceof HopsackError && error.code === "BAD_OPTION") return error.message;
    throw error;
  }
  return "accepted";
}

t.test("without flags the daemon runs with flannel's defaults where flannel has them", async (t) => {
  t.same(options([]), {
    store: "file:/var/lib/hopsack",
    etcd: null,
    netConfigPath: null,
    backendType: null,
    iface: null,
    publicIp: null,
    publicIpv6: null,
    subnetFile: "/run/flannel/subnet.env",
    leaseCache: "/var/lib/hopsack/known-leases.json",
    policyFile: "/var/lib/hopsack/policy.json",
    cniDataDir: "/run/hopsack/cni",
    ipMasq: false,
    guard: false,
    ipForward: "if-possible",
    deviceName: "flannel0",
    nodeName: hostname(),
    statusSocket: "/run/hopsack/hopsackd.sock",
    metricsAddress: null,
    metricsPerPeer: 100,
    takeover: null,
    probePeers: true,
    keepLease: false,
    leaseTtlSeconds: 86_400,
    renewMarginMinutes: 60,
    vxlanEngine: "kernel",
    ipipEngine: null,
    ipipDevice: "flannel.ipip",
    engine: "pump",
    naive: false,
    offloads: ALL_ON,
    checkInnerAddresses: true,
    logLevel: "info",
  });
});

function etcd(settings: Partial<EtcdSettings>): Partial<DaemonOptions> {
  const endpoints = ["http://127.0.0.1:2379"];
  const login = { username: null, password: null, passwordFile: null };
  const files = { caFile: null, certFile: null, keyFile: null };
  return { store: "etcd", etcd: { endpoints, prefix: "/coreos.com/network", ...files, ...login, ...settings } };
}

/** These mean nothing alone: test/unit/daemon/store-options.test.ts. */
const COMPANY_FLAGS = ["cafile", "certfile", "keyfile", "username", "password", "password-file"];

/** Flag, a value it takes, and the option it becomes. */
const CASES: readonly [flag: string, value: string, option: Partial<DaemonOptions>][] = [
  ["store", "static:/etc/hosts.json", { store: "static:/etc/hosts.json" }],
  ["etcd-endpoints", "http://h1:2379,http://h2:2379", etcd({ endpoints: ["http://h1:2379", "http://h2:2379"] })],
  ["etcd-prefix", "/lab", etcd({ prefix: "/lab" })],
  ["net-config", "/etc/net.json", { netConfigPath: "/etc/net.json" }],
  ["backend", "udp", { backendType: "udp" }],
  ["iface", "eth0", { iface: "eth0" }],
  ["public-ip", "192.168.50.10", { publicIp: "192.168.50.10" }],
  ["public-ipv6", "2001:DB8:0::10", { publicIpv6: "2001:db8::10" }],
  [
    "subnet-file",
    "/tmp/subnet.env",
    {
      subnetFile: "/tmp/subnet.env",
      leaseCache: "/tmp/known-leases.json",
      policyFile: "/tmp/policy.json",
      cniDataDir: "/tmp/cni",
    },
  ],
  ["policy-file", "/tmp/p.json", { policyFile: "/tmp/p.json" }],
  ["cni-data-dir", "/tmp/pods", { cniDataDir: "/tmp/pods" }],
  ["lease-cache", "/tmp/leases.json", { leaseCache: "/tmp/leases.json" }],
  ["ip-masq", "true", { ipMasq: true }],
  ["guard", "true", { guard: true }],
  ["ip-forward", "true", { ipForward: "required" }],
  ["device", "hop0", { deviceName: "hop0" }],
  ["node-name", "host-a.lab", { nodeName: "host-a.lab" }],
  ["status-socket", "/tmp/h.sock", { statusSocket: "/tmp/h.sock" }],
  ["metrics-address", "9285", { metricsAddress: { address: null, port: 9285 } }],
  ["metrics-per-peer", "0", { metricsPerPeer: 0 }],
  ["takeover", "/tmp/old.sock", { takeover: "/tmp/old.sock" }],
  ["probe-peers", "false", { probePeers: false }],
  ["keep-lease", "true", { keepLease: true }],
  ["lease-ttl", "60", { leaseTtlSeconds: 60 }],
  ["subnet-lease-renew-margin", "1439", { renewMarginMinutes: 1439 }],
  ["vxlan-engine", "userspace", { vxlanEngine: "userspace" }],
  ["ipip-engine", "kernel", { ipipEngine: "kernel" }],
  ["ipip-device", "tunl0", { ipipDevice: "tunl0" }],
  ["engine", "ebpf", { engine: "ebpf" }],
  ["naive", "true", { naive: true }],
  ["offload", "tso,udp-gso", { offloads: { ...ALL_OFF, tso: true, udpGso: true } }],
  ["allow-any-inner-source", "true", { checkInnerAddresses: false }],
  ["log-level", "debug", { logLevel: "debug" }],
];

t.test("every flag works in each way of writing it", async (t) => {
  const known = [...CASES.map(([flag]) => flag), ...COMPANY_FLAGS.map((name) => `etcd-${name}`)];
  t.same(known.sort(), flagNames().sort(), "the table knows every flag");
  for (const [flag, value, option] of CASES) {
    t.match(options([`--${flag}`, value]), option, `--${flag} ${value}`);
    t.match(options([`--${flag}=${value}`]), option, `--${flag}=${value}`);
    t.match(options([`-${flag}=${value}`]), option, `-${flag}=${value}, as flanneld's users write`);
    t.match(options([`-${flag}`, value]), option, `-${flag} ${value}`);
    t.match(options([], { [variableOf(flag)]: value }), option, `${variableOf(flag)}=${value}`);
  }
});

t.test("a switch needs no value and can be switched off", async (t) => {
  t.equal(options(["--ip-masq"]).ipMasq, true);
  t.equal(options(["--ip-masq", "--naive"]).ipMasq, true);
  t.equal(options(["-ip-masq"]).ipMasq, true);
  t.equal(options(["--ip-masq=false"]).ipMasq, false);
  t.equal(options([]).ipForward, "if-possible");
  t.equal(options(["--ip-forward=false"]).ipForward, "off");
  t.equal(options(["--ip-masq=false"], { HOPSACKD_IP_MASQ: "true" }).ipMasq, false);
});

t.test("a flag beats its variable", async (t) => {
  t.equal(options(["--iface", "eth1"], { HOPSACKD_IFACE: "eth0" }).iface, "eth1");
});

t.test("offloads are named one by one, all or none", async (t) => {
  t.same(options(["--offload", "none"]).offloads, ALL_OFF);
  t.same(options(["--offload", "all"]).offloads, ALL_ON);
  t.same(options(["--offload", "uso,udp-gro,tun-gro"]).offloads, { ...ALL_OFF, uso: true, udpGro: true, tunGro: true });
});

t.test("a value that cannot be used is refused in one sentence with flag, value and what is accepted", async (t) => {
  const table: readonly [argv: string[], sentence: string][] = [
    ...["0", "65536", "eth0:9285", "300.1.1.1:9285", ":9285", "127.0.0.1:"].map((value): [string[], string] => [
      ["--metrics-address", value],
      `--metrics-address ${value} is not accepted; give PORT or ADDRESS:PORT, e.g. 9285 or 127.0.0.1:9285`,
    ]),
    [["--lease-ttl", "soon"], "--lease-ttl soon is not accepted; give whole seconds from 1 to 31536000"],
    [
      ["--public-ipv6", "fe80::1"],
      "--public-ipv6 fe80::1 is not accepted; give an IPv6 address of a host, e.g. 2001:db8::10",
    ],
    [["--lease-ttl", "0"], "--lease-ttl 0 is not accepted; give whole seconds from 1 to 31536000"],
    [["--lease-ttl", "1e3"], "--lease-ttl 1e3 is not accepted; give whole seconds from 1 to 31536000"],
    [
      ["--subnet-lease-renew-margin", "1440"],
      "--subnet-lease-renew-margin 1440 is not accepted; give whole minutes from 1 to 1439",
    ],
    [
      ["--public-ip", "192.168.050.10"],
      "--public-ip 192.168.050.10 is not accepted; give an IPv4 address of a host, e.g. 192.168.50.10",
    ],
    [
      ["--public-ip", "239.1.1.1"],
      "--public-ip 239.1.1.1 is not accepted; give an IPv4 address of a host, e.g. 192.168.50.10",
    ],
    [
      ["--device", "flannel-much-too-long"],
      '--device flannel-much-too-long is not accepted; give an interface name of at most 15 bytes without blanks, "/", ":" and "%"',
    ],
    [
      ["--offload", "tso,gro"],
      "--offload tso,gro is not accepted; give all, none, or a list of tso,uso,udp-gso,udp-gro,tun-gro",
    ],
    [["--log-level", "loud"], "--log-level loud is not accepted; give trace, debug, info, warn, error, fatal"],
    [["--ip-masq=maybe"], "--ip-masq maybe is not accepted; give true or false"],
    [["--iface", ""], '--iface "" is not accepted; give a text that is not empty'],
    [
      ["--node-name", "host a"],
      '--node-name host a is not accepted; give a name of at most 253 letters, digits, ".", "_" and "-"',
    ],
    [
      ["--status-socket", `/${"s".repeat(107)}`],
      `--status-socket /${"s".repeat(107)} is not accepted; give a path of at most 107 bytes`,
    ],
  ];
  for (const [argv, sentence] of table) t.equal(refusal(argv), sentence, argv.join(" "));
  t.equal(
    refusal([], { HOPSACKD_LEASE_TTL: "soon" }),
    "HOPSACKD_LEASE_TTL=soon is not accepted; give whole seconds from 1 to 31536000",
  );
});

t.test("an unknown flag is refused with the flag that may be meant", async (t) => {
  t.equal(
    refusal(["--subnet-fil", "/x"]),
    "unknown option '--subnet-fil' (Did you mean --subnet-file?); hopsackd --help lists the options",
  );
  t.match(refusal(["-subnet-fil=/x"]), "Did you mean --subnet-file?");
  t.match(refusal(["--iface"]), "option '--iface <NAME|IP>' argument missing");
  const slip = "unknown option '--etcd-passwort'; hopsackd --help lists the options";
  t.equal(refusal(["--etcd-passwort=secret's"]), slip, "a value is not repeated: it may be a password");
  t.match(refusal(["up"]), 'hopsackd takes no argument "up", only options');
});

t.test("help and version are texts, and name every flag", async (t) => {
  const help = parseInvocation(["--help"], {}, "1.2.3");
  t.equal(help.kind, "print");
  for (const flag of flagNames()) t.match(help.kind === "print" && help.text, `--${flag}`);
  t.same(parseInvocation(["--version"], {}, "1.2.3"), { kind: "print", text: "hopsackd 1.2.3\n" });
});
