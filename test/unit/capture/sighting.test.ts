// What is told of a packet that was seen, which packets a user means, and what tcpdump is asked for.
import t from "tap";
import { chooseDevices, overlayFilter } from "../../../src/capture/device-capture.js";
import { tunnelPorts } from "../../../src/capture/host.js";
import { hasAddress, hasPort, isProbe, sight } from "../../../src/capture/sighting.js";
import { packetJson, packetLines, sumLines } from "../../../src/cli/capture-screen.js";
import { paintFor } from "../../../src/cli/output.js";
import { USUAL_PORTS } from "../../../src/wire/dissect.js";
import { encodeQuestion } from "../../../src/wire/probe.js";
import { ARP_QUESTION, bytes, INNER_PING, IPIP_PING, TUNNELLED_PING, VXLAN_PING } from "../wire/packets.js";

const LINKS = [
  { index: 2, name: "eth0", mtuBytes: 1500, alias: null },
  { index: 5, name: "flannel.1", mtuBytes: 1450, alias: "hopsack flannel0" },
  { index: 6, name: "flannel-v6.1", mtuBytes: 1430, alias: "hopsack flannel0" },
];
const byIndex = new Map(LINKS.map((link) => [link.index, link]));
const plainPaint = paintFor({}, {});

function seen(packet: Uint8Array, { protocol = "0800", originalLength = packet.length, link = 2 } = {}) {
  const header = bytes(`${protocol} 0000 0000 000${link} 0001 04 06 0000 0000 0000 0000`);
  const captured = { timeSeconds: 1_700_000_000.5, originalLength: 20 + originalLength };
  return sight({ ...captured, bytes: Uint8Array.from([...header, ...packet]) }, byIndex, USUAL_PORTS);
}

function sighting(...given: Parameters<typeof seen>) {
  const found = seen(...given);
  if (found === undefined) throw new Error("nothing was seen");
  return found;
}

const UDP_PING = TUNNELLED_PING.subarray(14);

t.test("each way of wrapping has its name", async (t) => {
  t.equal(sighting(INNER_PING).kind, "plain");
  t.equal(sighting(UDP_PING).kind, "udp");
  t.equal(sighting(VXLAN_PING).kind, "vxlan");
  t.equal(sighting(IPIP_PING).kind, "ipip");
  t.equal(sighting(ARP_QUESTION, { protocol: "0806" }).kind, "arp");
  t.equal(sighting(Uint8Array.of(1), { protocol: "88cc" }).kind, "other");
  t.equal(seen(INNER_PING, { link: 7 }), undefined, "a device nobody asked for");
});

t.test("an address and a port are found at any depth", async (t) => {
  t.ok(hasAddress(sighting(VXLAN_PING), "10.244.2.2"));
  t.ok(hasAddress(sighting(VXLAN_PING), "192.168.50.11"));
  t.notOk(hasAddress(sighting(VXLAN_PING), "10.244.2.3"));
  t.ok(hasAddress(sighting(ARP_QUESTION, { protocol: "0806" }), "10.244.2.0"));
  t.ok(hasPort(sighting(UDP_PING), 8285));
  t.notOk(hasPort(sighting(INNER_PING), 8285));
});

t.test("a probe is known by what it says, not by its port", async (t) => {
  const probe = encodeQuestion(7n);
  const datagram = (payload: Uint8Array) =>
    Uint8Array.from([
      ...bytes(`4500 00${(28 + payload.length).toString(16)} 0000 4000 4011 0000 0af4 0100 0af4 0200`),
      ...bytes(`2446 2446 00${(8 + payload.length).toString(16)} 0000`),
      ...payload,
    ]);
  t.ok(isProbe(sighting(datagram(probe))));
  t.notOk(isProbe(sighting(datagram(new Uint8Array(16)))));
  t.notOk(isProbe(sighting(INNER_PING)));
});

t.test("what is longer than its device's MTU is a super-packet", async (t) => {
  t.equal(sighting(INNER_PING, { originalLength: 1500 }).isSuperPacket, false);
  t.equal(sighting(INNER_PING, { originalLength: 1501 }).isSuperPacket, true);
});

t.test("a wrapped packet is a few lines, what is carried further in, within 80 columns", async (t) => {
  const lines = packetLines(sighting(VXLAN_PING), 9, plainPaint);
  t.same(lines.slice(1), [
    "    IPv4     192.168.50.10 → 192.168.50.11, TTL 64",
    "    UDP      52896 → 8472",
    "    VXLAN    VNI 1",
    "      Ethernet 0e:77:a1:ad:0e:3b → 6a:ba:e3:53:80:46",
    "      IPv4     10.244.1.2 → 10.244.2.2, TTL 64, don't fragment",
    "      ICMP     Echo request (8, 0), id 4660, sequence 1, 8 bytes",
  ]);
  t.match(lines[0], /^\d\d:\d\d:20\.500000 {2}eth0 {6}out {2}VXLAN, 86 bytes$/);
  t.ok(lines.every((line) => line.length <= 80));
  t.match(packetLines(sighting(ARP_QUESTION, { protocol: "0806" }), 4, plainPaint)[1], /who has 10\.244\.2\.0\? tell/);
});

t.test("as JSON it is one line with every field", async (t) => {
  const text = packetJson(sighting(UDP_PING), "h1");
  t.notMatch(text, "\n");
  t.match(JSON.parse(text), {
    time: "2023-11-14T22:13:20.500000Z",
    host: "h1",
    device: "eth0",
    direction: "out",
    kind: "udp",
    layers: [{ title: "IPv4" }, { title: "UDP", fields: { "destination port": "8285" } }, {}, {}, {}],
  });
});

t.test("the sum says what was seen, hidden, lost and what a super-packet is", async (t) => {
  const nothing = { seconds: 3, kinds: new Map(), hiddenProbes: 0, superPackets: 0, dropped: 0, lost: [] };
  t.same(sumLines(nothing), ["0 packets in 3 s; the kernel dropped none"]);
  const lines = sumLines({
    ...nothing,
    kinds: new Map([["vxlan" as const, 1]]),
    hiddenProbes: 4,
    superPackets: 1,
    dropped: 1200,
    lost: ["flannel0"],
  }).join("\n");
  t.match(lines, /^1 packet in 3 s: 1 VXLAN; the kernel dropped 1,200\n/);
  for (const words of ["4 probes", "super-packet: ", "flannel0 went away"]) t.match(lines, words);
});

const report = (fields: object) =>
  ({ underlay: { link: "eth0" }, device: null, network: "10.244.0.0/16", backend: "host-gw", ...fields }) as never;

t.test("without other wishes underlay and tunnel are looked at, in mode vxlan that of IPv6 too", async (t) => {
  const names = (...given: Parameters<typeof chooseDevices>) => chooseDevices(...given).map(({ name }) => name);
  t.same(names(LINKS, report({}), []), ["eth0"]);
  const vxlan = report({ backend: "vxlan", device: { name: "flannel.1", udpPort: 8472 } });
  t.same(names(LINKS, vxlan, []), ["eth0", "flannel.1", "flannel-v6.1"]);
  t.same(names(LINKS, vxlan, ["flannel.1"]), ["flannel.1"]);
  t.throws(() => chooseDevices(LINKS, vxlan, ["eth9"]), {
    code: "NO_INTERFACE",
    message: "there is no device eth9 here; there are: eth0, flannel.1, flannel-v6.1",
  });
  t.throws(() => chooseDevices(LINKS, report({ underlay: null }), []), { code: "NO_INTERFACE", message: /--device/ });
});

t.test("on the underlay tunnels and the Network are asked for, on the tunnel everything", async (t) => {
  const udp = report({ backend: "udp", device: { name: "flannel.1", udpPort: 7777 } });
  const ports = tunnelPorts(udp);
  t.same(ports, { bare: [7777, 8285], vxlan: [8472, 4789] });
  t.equal(
    overlayFilter(LINKS.slice(0, 2), udp, ports),
    "ifindex 5 or (ifindex 2 and (udp port 7777 or udp port 8285 or udp port 8472 or udp port 4789 or ip proto 4 or net 10.244.0.0/16))",
  );
  t.equal(overlayFilter(LINKS.slice(0, 1), null, USUAL_PORTS), "ifindex 2");
  t.same(tunnelPorts(report({ backend: "vxlan", device: { name: "x", udpPort: 8285 } })), {
    bare: [],
    vxlan: [8285, 8472, 4789],
  });
});
