// Every decoder of bytes from a wire or from the kernel, with the real packets of native/fuzz/corpus bent: a value or
// undefined, never an exception, and nothing outside the bytes.
import fc from "fast-check";
import t from "tap";
import { questionsTo } from "../../src/backend/vtep-answers.js";
import { encodeAddressAdd, parseInterfaceAddressMessage } from "../../src/netlink/addr.js";
import { parseFilter } from "../../src/netlink/filter.js";
import { encodeVethLinkAdd, encodeVxlanLinkAdd, parseLink } from "../../src/netlink/link.js";
import { parseAck, parseAttributes, parseMessage } from "../../src/netlink/message.js";
import {
  encodeFdbSet,
  encodeNeighborSet,
  linkOfNeighborMessage,
  parseFdbEntry,
  parseNeighbor,
} from "../../src/netlink/neigh.js";
import { encodeRouteAdd, parseRoute, parseRouteAnswer } from "../../src/netlink/route.js";
import { parseVxlan } from "../../src/netlink/vxlan.js";
import { decodeArpRequest } from "../../src/wire/arp.js";
import { checkTransportChecksum } from "../../src/wire/checksum.js";
import { dissectFrame, USUAL_PORTS } from "../../src/wire/dissect.js";
import { decodeEthernet } from "../../src/wire/ethernet.js";
import { decodeIcmp } from "../../src/wire/icmp.js";
import { decodeIpv4 } from "../../src/wire/ipv4.js";
import { decodeIpv6 } from "../../src/wire/ipv6.js";
import { decodeNeighborSolicitation } from "../../src/wire/neighbor-discovery.js";
import { parsePcap } from "../../src/wire/pcap.js";
import { answerTo, encodeQuestion, parseProbe } from "../../src/wire/probe.js";
import { decodeTcp } from "../../src/wire/tcp.js";
import { decodeUdp } from "../../src/wire/udp.js";
import { decodeVxlan } from "../../src/wire/vxlan.js";
import { prefix, reservation } from "../contract/lease-store.js";
import { bytesLike, mustParseOrRefuse, realPackets } from "../support/outside-input.js";

const VXLAN_HEADER_BYTES = 8;
const ETHERNET_HEADER_BYTES = 14;
const L4_OFFSETS = [20, 24, 40];

const packets = realPackets("reads", 10);
const tunnelled = [...realPackets("datagrams", 2), ...realPackets("questions", 3)];
const frames = tunnelled.map((datagram) => datagram.subarray(VXLAN_HEADER_BYTES));

/** Whether what a decoder calls a part of the bytes is one. */
function liesIn(part: Uint8Array | undefined, whole: Uint8Array): boolean {
  return part === undefined || (part.byteOffset >= whole.byteOffset && part.byteLength <= whole.byteLength);
}

t.test("IP, ICMP, TCP and UDP", async () => {
  mustParseOrRefuse(bytesLike(...packets), decodeIpv4, [], (packet, bytes) => liesIn(packet?.payload, bytes));
  mustParseOrRefuse(bytesLike(...packets), decodeIpv6, [], (packet, bytes) => liesIn(packet?.payload, bytes));
  mustParseOrRefuse(bytesLike(...packets), checkTransportChecksum, []);
  const transport = packets.flatMap((packet) => L4_OFFSETS.map((offset) => packet.subarray(offset)));
  mustParseOrRefuse(bytesLike(...transport), decodeTcp, []);
  mustParseOrRefuse(bytesLike(...transport), decodeUdp, []);
  for (const family of [4, 6] as const)
    mustParseOrRefuse(bytesLike(...transport), (bytes) => decodeIcmp(bytes, family), []);
});

t.test("VXLAN, Ethernet, ARP and neighbour discovery", async () => {
  mustParseOrRefuse(bytesLike(...tunnelled), decodeVxlan, [], (packet, bytes) => liesIn(packet?.frame, bytes));
  mustParseOrRefuse(bytesLike(...frames), decodeEthernet, [], (frame, bytes) => liesIn(frame?.payload, bytes));
  const payloads = frames.map((frame) => frame.subarray(ETHERNET_HEADER_BYTES));
  mustParseOrRefuse(bytesLike(...payloads), decodeArpRequest, []);
  mustParseOrRefuse(bytesLike(...payloads), decodeNeighborSolicitation, []);
});

t.test("a tunnel end's answer is never longer than an advertisement, whatever is asked", async () => {
  const { answer } = questionsTo({ vni: 1, mac: Uint8Array.of(2, 0x11, 0x22, 0x33, 0x44, 0x55) });
  const own = { ...reservation(1), subnet: prefix("10.244.2.2/32"), subnetV6: prefix("fd00:10:244:2::2/128") };
  mustParseOrRefuse(
    bytesLike(...tunnelled),
    (bytes) => answer(own, bytes),
    [],
    (bytes) => bytes === null || bytes.length <= 94,
  );
});

t.test("a frame is taken apart without a field that lies outside it", async () => {
  mustParseOrRefuse(
    bytesLike(...frames),
    (frame) => dissectFrame(frame, USUAL_PORTS),
    [],
    (layers, frame) => layers.every(({ offset, length }) => offset >= 0 && offset + length <= frame.length),
  );
});

t.test("captures and probes", async () => {
  const header = Uint8Array.of(0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, ...new Uint8Array(8), 0, 0, 4, 0, 1, 0, 0, 0);
  const record = (frame: Uint8Array) =>
    Uint8Array.of(...new Uint8Array(8), frame.length, 0, 0, 0, frame.length, 0, 0, 0, ...frame);
  const capture = Uint8Array.of(
    ...header,
    ...frames
      .filter(({ length }) => length < 256)
      .slice(0, 3)
      .flatMap((frame) => [...record(frame)]),
  );
  mustParseOrRefuse(bytesLike(capture), parsePcap, []);
  const question = encodeQuestion(7n);
  mustParseOrRefuse(bytesLike(question, answerTo(question)), parseProbe, []);
});

t.test("netlink messages", async () => {
  const macAddress = "02:00:00:00:00:02";
  const underlay = { localAddress: "192.168.50.10", underlayIndex: 2 };
  const vxlan = { vni: 1, port: 8472, ...underlay, isLearning: true, hasUdpChecksum: true, isGroupPolicy: false };
  const written: Uint8Array[] = [
    encodeAddressAdd(1, 3, "10.244.1.0/32"),
    encodeVethLinkAdd(1, { linkName: "a", peerName: "b", mtuBytes: 1450, peerNetnsFd: 3, queues: 2 }),
    encodeNeighborSet(1, { linkIndex: 3, address: "10.244.2.0", macAddress }),
    encodeFdbSet(1, { linkIndex: 3, macAddress, endpoint: "192.168.50.11" }),
    encodeRouteAdd(1, { prefix: "10.244.2.0/24", linkIndex: 3, gateway: "10.0.0.1", isOnLink: true, metric: null }),
    encodeVxlanLinkAdd(1, { linkName: "flannel.1", mtuBytes: 1450, hardwareAddress: macAddress, vxlan }),
  ];
  const payloads = written.map((message) => message.subarray(16));
  const parsers = [
    parseInterfaceAddressMessage,
    parseLink,
    parseNeighbor,
    parseFdbEntry,
    linkOfNeighborMessage,
    parseFilter,
    parseRoute,
    parseRouteAnswer,
    parseVxlan,
  ];
  mustParseOrRefuse(
    bytesLike(...written),
    (bytes) => {
      const message = parseMessage(bytes);
      return message === undefined ? undefined : parseAck(message);
    },
    [],
  );
  for (const parse of parsers) mustParseOrRefuse<Uint8Array, unknown>(bytesLike(...payloads), parse, []);
  const attributes = payloads.flatMap((payload) => [8, 12, 16].map((offset) => payload.subarray(offset)));
  mustParseOrRefuse(bytesLike(...attributes), parseAttributes, []);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 3 }), (bytes) => parseMessage(bytes) === undefined));
});
