// cni/request and cni/network-config: what a runtime may say, and the code and sentence for what it may not.
import t from "tap";
import { askedVersion, parseInput, parseRequest, parseVerb } from "../../../src/cni/request.js";
import type { Verb } from "../../../src/cni/versions.js";

const ENVIRONMENT = { CNI_CONTAINERID: "c1", CNI_IFNAME: "eth0", CNI_NETNS: "/run/netns/c1", CNI_PATH: "/usr/lib/cni" };
const INPUT = { cniVersion: "1.1.0", name: "lab", type: "hopsack" };

type Refusal = readonly [
  verb: Exclude<Verb, "VERSION">,
  environment: object,
  input: object,
  code: number,
  words: RegExp,
];

const REFUSALS: readonly Refusal[] = [
  [
    "ADD",
    {},
    { cniVersion: "0.2.0" },
    1,
    /cniVersion "0\.2\.0"; this plugin speaks 0\.3\.1, 0\.4\.0, 1\.0\.0, 1\.1\.0$/,
  ],
  ["ADD", {}, { cniVersion: undefined }, 1, /has no cniVersion; /],
  ["CHECK", {}, { cniVersion: "0.3.1" }, 1, /^CNI 0\.3\.1 has no CHECK; set cniVersion to 0\.4\.0 or later$/],
  ["GC", {}, { cniVersion: "1.0.0" }, 1, /^CNI 1\.0\.0 has no GC; /],
  ["STATUS", {}, { cniVersion: "0.4.0" }, 1, /^CNI 0\.4\.0 has no STATUS; /],
  ["ADD", {}, { attach: "routed", delegate: { type: "ptp" } }, 2, /^delegate \{"type":"ptp"\} has no meaning with/],
  ["ADD", {}, { attach: "routed", ipam: { type: "dhcp" } }, 2, /^ipam /],
  ["ADD", {}, { delegate: { name: "x" } }, 2, /^delegate\.name "x" is not for a delegate/],
  ["ADD", {}, { delegate: { ipam: {} } }, 2, /^delegate\.ipam \{\} is not for a delegate/],
  ["ADD", { CNI_CONTAINERID: "" }, {}, 4, /^CNI_CONTAINERID is not set/],
  ["ADD", { CNI_CONTAINERID: "../x" }, {}, 4, /^CNI_CONTAINERID "\.\.\/x" is not accepted/],
  ["ADD", { CNI_CONTAINERID: "x".repeat(129) }, {}, 4, /at most 128/],
  ["ADD", { CNI_IFNAME: undefined }, {}, 4, /^CNI_IFNAME is not set/],
  ["DEL", { CNI_IFNAME: "a/b" }, {}, 4, /^CNI_IFNAME "a\/b" cannot name an interface/],
  ["CHECK", { CNI_IFNAME: ".." }, {}, 4, /^CNI_IFNAME "\.\."/],
  ["ADD", { CNI_IFNAME: "sixteencharacter" }, {}, 4, /at most 15 characters/],
  ["ADD", { CNI_NETNS: "" }, {}, 4, /^CNI_NETNS is not set/],
  ["ADD", {}, { name: undefined }, 7, /^name in the network configuration is missing; /],
  ["ADD", {}, { name: "a/b" }, 7, /^name in the network configuration is "a\/b"/],
  ["ADD", {}, { attach: "vlan" }, 7, /^attach .* is "vlan"; give bridge or routed$/],
  ["ADD", {}, { mtu: -1 }, 7, /^mtu .* is -1; give a whole number up to 65535$/],
  ["ADD", {}, { dataDir: "here" }, 7, /^dataDir .* is "here"; give an absolute path$/],
  ["ADD", {}, { subnetFile: 5 }, 7, /^subnetFile /],
  ["ADD", {}, { isDefaultGateway: "no" }, 7, /^isDefaultGateway .* give true or false$/],
  ["ADD", {}, { prevResult: [] }, 7, /^prevResult .* give an object$/],
  ["ADD", {}, { runtimeConfig: { ips: "10.0.0.1" } }, 7, /^runtimeConfig\.ips /],
  ["GC", {}, {}, 7, /^cni\.dev\/valid-attachments is missing; GC needs a list/],
  ["GC", {}, { "cni.dev/valid-attachments": [{ containerID: "x" }] }, 7, /^cni\.dev\/valid-attachments is \[\{/],
];

t.test("what cannot be used is refused with the specification's code and one sentence", async (t) => {
  for (const [verb, environment, input, code, words] of REFUSALS) {
    const refused = () => parseRequest(verb, { ...ENVIRONMENT, ...environment }, { ...INPUT, ...input });
    t.throws(refused, { cniCode: code, message: words }, `${verb} ${words}`);
  }
});

t.test("a missing or unknown verb, and input that is no object, are refused", async (t) => {
  t.throws(() => parseVerb({}), { cniCode: 4, message: /^CNI_COMMAND is not set; / });
  t.throws(() => parseVerb({ CNI_COMMAND: "add" }), { cniCode: 4, message: /^CNI_COMMAND "add" is not known; / });
  for (const text of ["", "{", "[]", "1"])
    t.throws(() => parseInput(text), { cniCode: 6, message: /^standard input is no JSON/ }, text);
});

t.test("every version is spoken in which a verb exists, and VERSION is answered without one", async (t) => {
  for (const cniVersion of ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]) {
    t.match(parseRequest("ADD", ENVIRONMENT, { ...INPUT, cniVersion }), { verb: "ADD", cniVersion });
    t.equal(askedVersion({ cniVersion }), cniVersion);
  }
  t.equal(askedVersion({}), "1.1.0");
  t.match(parseRequest("STATUS", {}, INPUT), { verb: "STATUS" }, "needs no container");
});

t.test("the defaults are flannel's, and DEL goes without a namespace", async (t) => {
  const request = parseRequest("DEL", { ...ENVIRONMENT, CNI_NETNS: "" }, INPUT);
  t.match(request, { netns: null, attachment: { containerId: "c1", ifName: "eth0" } });
  t.match(request.config, { attach: "bridge", subnetFile: "/run/flannel/subnet.env", mtuBytes: null, wantedIps: [] });
});
