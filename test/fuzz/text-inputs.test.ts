// Every parser of text that comes from outside, with texts like the real ones: a value, or one sentence with a stable code.
// A writer, where there is one, gives what its reader reads back. HOPSACK_FUZZ_RUNS says how many texts for each (1000).
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import t from "tap";
import { parseResults } from "../../src/bench/read-results.js";
import { ReplyParser } from "../../src/bird/control-socket.js";
import { sessionsIn } from "../../src/bird/sessions.js";
import { createdNetwork, parseExec, refusePorts } from "../../src/cni/netavark.js";
import { askedVersion, parseInput, parseRequest, parseVerb } from "../../src/cni/request.js";
import { addressesIn } from "../../src/cni/result.js";
import type { Verb } from "../../src/cni/versions.js";
import { parseStatus } from "../../src/daemon/status-client.js";
import { mergeDockerConfig } from "../../src/lease/docker-options.js";
import { leaseKey } from "../../src/lease/lease.js";
import { formatLeaseAttrs, formatLeaseFile, parseLeaseAttrs, parseLeaseFile } from "../../src/lease/lease-json.js";
import { formatNetworkConfig, parseNetworkConfig } from "../../src/lease/network-config.js";
import { formatSubnetEnv, parseSubnetEnv, subnetEnvWords } from "../../src/lease/subnet-env.js";
import { formatAddress, formatPrefix, parseAddress, parseInterfaceAddress, parsePrefix } from "../../src/net/prefix.js";
import type { BgpPlan } from "../../src/plan/plan.js";
import { labelFault, parseLabelChange } from "../../src/policy/labels.js";
import { parsePolicySet } from "../../src/policy/policy-file.js";
import { readEntry } from "../../src/store/etcd-entries.js";
import { parseLeaseKey } from "../../src/store/keys.js";
import { parseStaticHosts } from "../../src/store/static-hosts.js";
import { prefix } from "../contract/lease-store.js";
import { isSentence, jsonLike, mustParseOrRefuse, objectLike, textLike } from "../support/outside-input.js";

const NETWORK = {
  Network: "10.244.0.0/16",
  SubnetLen: 24,
  SubnetMin: "10.244.10.0",
  SubnetMax: "10.244.99.0",
  EnableIPv6: true,
  IPv6Network: "fd00:10:244::/48",
  IPv6SubnetLen: 64,
  Backend: { Type: "vxlan", VNI: 1, Port: 8472, DirectRouting: true },
};
const LEASE = {
  PublicIP: "192.168.50.10",
  PublicIPv6: "fd00::10",
  BackendType: "vxlan",
  BackendData: { VNI: 1, VtepMAC: "5a:00:00:00:00:01" },
  BackendV6Data: null,
  Node: "h1",
  Expiration: "2030-01-01T00:00:00Z",
};
const HOSTS = {
  Hosts: [
    { Node: "h1", PublicIP: "192.168.50.10", Subnet: "10.244.10.0/24", IPv6Subnet: "fd00:10:244:1::/64" },
    { Node: "h2", PublicIP: "192.168.50.11", Subnet: "10.244.11.0/24", BackendType: "udp" },
  ],
};
const POLICY = {
  groups: {
    app: { pods: { role: ["app", "api"], canary: false } },
    office: { addresses: ["192.0.2.0/24", "fd00::/48"] },
  },
  policies: [
    { name: "db", pods: { role: "db" }, ingress: [{ from: ["app"], allow: ["tcp/5432", "udp/1-9", "icmp"] }] },
  ],
};
const CNI = {
  cniVersion: "1.1.0",
  name: "pods",
  type: "hopsack-cni",
  attach: "routed",
  subnetFile: "/run/flannel/subnet.env",
  mtu: 1400,
  labels: { role: "db" },
  runtimeConfig: { ips: ["10.244.1.9"], mac: "02:00:00:00:00:09", labels: { tier: "a" } },
  prevResult: {
    cniVersion: "1.1.0",
    ips: [{ address: "10.244.1.9/24" }],
    interfaces: [{ name: "eth0", sandbox: "/n" }],
  },
  "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }],
};
const CNI_BRIDGE = {
  cniVersion: "0.4.0",
  name: "pods",
  delegate: { isDefaultGateway: true },
  ipam: { type: "host-local" },
};
const NETAVARK = {
  container_id: "c1",
  network: {
    name: "hs",
    driver: "hopsack",
    options: { config: "/etc/x.conf" },
    subnets: [],
    ipam_options: { driver: "none" },
  },
  network_options: { interface_name: "eth0", static_ips: ["10.244.1.9"], static_mac: "02:00:00:00:00:09" },
  port_mappings: [{ host_port: 80 }],
};
const SUBNET = { subnet: prefix("10.244.30.0/24"), subnetV6: prefix("fd00:10:244:30::/64") };
const CONFIG = parseNetworkConfig(JSON.stringify(NETWORK), "net.json");

t.test("network configuration", async () => {
  mustParseOrRefuse(
    jsonLike(NETWORK),
    (text) => parseNetworkConfig(text, "net.json"),
    ["BAD_CONFIG"],
    (config) => isDeepStrictEqual(parseNetworkConfig(formatNetworkConfig(config), "net.json"), config),
  );
});

t.test("leases in the words of flannel, and lease files", async () => {
  mustParseOrRefuse(
    jsonLike(LEASE),
    (text) => parseLeaseAttrs(text, "f"),
    ["BAD_LEASE"],
    (attrs) =>
      isDeepStrictEqual(parseLeaseAttrs(formatLeaseAttrs(attrs), "f"), { ...attrs, node: null }) || attrs.node !== null,
  );
  mustParseOrRefuse(
    jsonLike(LEASE),
    (text) => parseLeaseFile(text, "f", SUBNET),
    ["BAD_LEASE"],
    (lease) => isDeepStrictEqual(parseLeaseFile(formatLeaseFile(lease), "f", SUBNET), lease),
  );
});

t.test("keys of leases", async () => {
  const keys = textLike("10.244.30.0-24", "10.244.30.0-24&fd00:10:244:30::-64", "0.0.0.0-0", "10.0.0.1-32");
  mustParseOrRefuse(
    keys,
    parseLeaseKey,
    [],
    (pair) => pair === undefined || isDeepStrictEqual(parseLeaseKey(leaseKey(pair)), pair),
  );
});

t.test("entries of etcd: a lease, or what is wrong with it in one sentence", async () => {
  const key = textLike("/coreos.com/network/subnets/10.244.30.0-24", "/coreos.com/network/subnets/x");
  const entry = fc.tuple(key, jsonLike(LEASE), fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map(String));
  mustParseOrRefuse(
    entry,
    ([key, value, leaseId]) =>
      readEntry({ key, value, leaseId, createRevision: 1, modRevision: 1 }, "/coreos.com/network"),
    [],
    ({ lease, fault }) => (lease === null) === (fault !== null) && (fault === null || isSentence(fault)),
  );
});

t.test("subnet.env", async () => {
  const env = (words: object) =>
    Object.entries(words)
      .map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}\n`)
      .join("");
  const good = {
    FLANNEL_NETWORK: "10.244.0.0/16",
    FLANNEL_SUBNET: "10.244.30.1/24",
    FLANNEL_IPV6_NETWORK: "fd00:10:244::/48",
    FLANNEL_IPV6_SUBNET: "fd00:10:244:30::1/64",
    FLANNEL_MTU: "1450",
    FLANNEL_IPMASQ: "true",
  };
  const texts = fc.oneof(textLike(env(good)), objectLike(good).map(env));
  mustParseOrRefuse(
    texts,
    (text) => parseSubnetEnv(text, "s"),
    [],
    ({ previous, fault }) => {
      if (previous === null) return fault !== null && isSentence(fault);
      const values = {
        ...previous,
        network: CONFIG.network,
        networkV6: CONFIG.networkV6,
        mtuBytes: 1450,
        ipMasq: true,
      };
      return fault === null && isDeepStrictEqual(parseSubnetEnv(formatSubnetEnv(values), "s").previous, previous);
    },
  );
  const docker = jsonLike({ bip: "10.0.0.1/24", dns: ["1.1.1.1"], "log-driver": "journald" }, { bridge: "br0" });
  mustParseOrRefuse(docker, (text) => mergeDockerConfig(text, subnetEnvWords(env(good)), "daemon.json"), [
    "BAD_CONFIG",
  ]);
});

t.test("the file of static hosts", async () => {
  mustParseOrRefuse(jsonLike(HOSTS), (text) => parseStaticHosts(text, "hosts.json", CONFIG), [
    "BAD_CONFIG",
    "BAD_LEASE",
  ]);
});

t.test("policy files and labels", async () => {
  mustParseOrRefuse(jsonLike(POLICY), (text) => parsePolicySet(text, "p.json"), ["BAD_POLICY"]);
  mustParseOrRefuse(
    textLike("role=web", "role-", "shop.example/tier=a=b"),
    (word) => {
      const change = parseLabelChange(word);
      return change === undefined ? null : labelFault(change.key, change.value);
    },
    [],
    (fault) => fault === null || isSentence(fault),
  );
});

t.test("what a container runtime says: configuration, environment, Podman's network", async () => {
  const environment = fc.record(
    {
      CNI_COMMAND: textLike("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"),
      CNI_CONTAINERID: textLike("c1", "../x"),
      CNI_IFNAME: textLike("eth0", "a/b", ".."),
      CNI_NETNS: textLike("/var/run/netns/n"),
      CNI_ARGS: textLike("IgnoreUnknown=1;IP=10.244.1.9", "K8S_POD_NAME=p;K8S_POD_NAMESPACE=n"),
    },
    { requiredKeys: [] },
  );
  mustParseOrRefuse(environment, parseVerb, ["CNI"]);
  mustParseOrRefuse(jsonLike(CNI, CNI_BRIDGE), parseInput, ["CNI"]);
  const input = objectLike(CNI, CNI_BRIDGE);
  mustParseOrRefuse(input, askedVersion, ["CNI"]);
  const verbs = fc.constantFrom<Exclude<Verb, "VERSION">>("ADD", "DEL", "CHECK", "GC", "STATUS");
  const request = fc.tuple(verbs, environment, input);
  mustParseOrRefuse(request, ([verb, environment, input]) => parseRequest(verb, environment, input), ["CNI"]);
  mustParseOrRefuse(objectLike(CNI.prevResult), (result) => addressesIn(result, "eth0"), ["CNI"]);
  mustParseOrRefuse(objectLike(NETAVARK), parseExec, ["CNI"]);
  mustParseOrRefuse(objectLike(NETAVARK), refusePorts, ["CNI"]);
  mustParseOrRefuse(objectLike(NETAVARK.network), createdNetwork, ["CNI"]);
});

t.test("BIRD's replies", async () => {
  const plan: BgpPlan = {
    localAddress: "192.168.50.10",
    asNumber: 64512,
    underlay: "eth0",
    network: "10.244.0.0/16",
    subnet: "10.244.1.0/24",
    blackholeMetric: 4096,
    bfd: "off",
    sessions: [],
    tunnel: null,
  };
  const line = textLike(
    "0001 BIRD 2.0.12 ready.",
    "2002-Name       Proto      Table      State  Since         Info",
    "1002-mesh_192_168_50_11 BGP        ---        up     2026-11-21 20:00:00  Established",
    " device1    Device     ---        up     20:00:00.000",
    "8001 syntax error",
    "0000 ",
    "+async",
  );
  mustParseOrRefuse(
    fc.array(line, { maxLength: 8 }),
    (lines) => {
      const parser = new ReplyParser();
      return sessionsIn(
        lines.map((line) => parser.parse(line)).filter((reply) => reply !== undefined),
        plan,
        0,
      );
    },
    [],
  );
});

t.test("a daemon's status, and a benchmark's results", async () => {
  mustParseOrRefuse(jsonLike({ version: "1", peers: [] }), (text) => parseStatus(text, "/run/s"), ["NOT_RUNNING"]);
  mustParseOrRefuse(
    jsonLike({ startedAt: "2026-11-21", modes: ["udp"], cells: [{}] }),
    (text) => parseResults(text, "r"),
    ["BAD_RESULTS"],
  );
});

t.test("addresses and prefixes", async () => {
  const text = textLike(
    "10.244.1.9",
    "10.244.0.0/16",
    "fd00:10:244::/48",
    "::ffff:1.2.3.4",
    "fe80::1/128",
    "0.0.0.0/0",
  );
  mustParseOrRefuse(
    text,
    parseAddress,
    [],
    (address) =>
      address === undefined || isDeepStrictEqual(parseAddress(formatAddress(address.family, address.bits)), address),
  );
  mustParseOrRefuse(
    text,
    parsePrefix,
    [],
    (prefix) => prefix === undefined || isDeepStrictEqual(parsePrefix(formatPrefix(prefix)), prefix),
  );
  mustParseOrRefuse(text, parseInterfaceAddress, []);
});
