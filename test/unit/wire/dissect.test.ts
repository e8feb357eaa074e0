// A tunnelled frame taken apart.
import fc from "fast-check";
import t from "tap";
import { dissectFrame, dissectPacket, USUAL_PORTS } from "../../../src/wire/dissect.js";
import { ETHER_TYPE_ARP, ETHER_TYPE_IPV4 } from "../../../src/wire/ethernet.js";
import { ARP_QUESTION, bytes, INNER_PING, IPIP_PING, TUNNELLED_PING, VXLAN_PING } from "./packets.js";

const titles = (packet: Uint8Array, etherType = ETHER_TYPE_IPV4) =>
  dissectPacket(packet, etherType, USUAL_PORTS).map(({ title, offset }) => [title, offset]);
const fieldsOf = (packet: Uint8Array, layer: number, etherType = ETHER_TYPE_IPV4) =>
  Object.fromEntries(
    (dissectPacket(packet, etherType, USUAL_PORTS)[layer]?.fields ?? []).map(({ label, value }) => [label, value]),
  );

t.test("a tunnelled ping has its six layers at their offsets", async (t) => {
  const layers = dissectFrame(TUNNELLED_PING, USUAL_PORTS);
  t.same(
    layers.map(({ title, offset, length }) => [title, offset, length]),
    [
      ["Ethernet", 0, 14],
      ["IPv4", 14, 20],
      ["UDP", 34, 8],
      ["IPv4", 42, 20],
      ["ICMP", 62, 8],
      ["Payload", 70, 8],
    ],
  );
  const field = (layer: number, label: string) => layers[layer]?.fields.find((entry) => entry.label === label);
  t.match(field(1, "destination"), { offset: 30, length: 4, value: "192.168.50.11" });
  t.match(field(2, "destination port"), { offset: 36, value: "8285" });
  t.match(field(3, "destination"), { offset: 58, value: "10.244.2.2" });
  t.match(field(4, "checksum"), { value: "correct" });
});

t.test("another UDP port is not looked into", async (t) => {
  t.equal(dissectFrame(TUNNELLED_PING, { bare: [4789], vxlan: [] }).at(-2)?.title, "UDP");
});

t.test("IP in IP: the inner packet begins behind twenty bytes", async (t) => {
  t.same(titles(IPIP_PING), [
    ["IPv4", 0],
    ["IPv4", 20],
    ["ICMP", 40],
    ["Payload", 48],
  ]);
  t.match(fieldsOf(IPIP_PING, 0), { protocol: "IP-in-IP (4)", flags: "don't fragment", checksum: "correct" });
  t.match(fieldsOf(IPIP_PING, 1), { source: "10.244.1.2", destination: "10.244.2.2" });
});

t.test("the header of an IP-in-IP packet that a raw socket sent is read field by field", async (t) => {
  const seen = bytes("4500 0068 0000 4000 3f04 562c c0a8 320a c0a8 320b 4500 0054");
  t.match(fieldsOf(seen, 0), {
    "total length": "104 bytes",
    "time to live": "63",
    checksum: "correct",
    source: "192.168.50.10",
    destination: "192.168.50.11",
  });
  t.same(titles(seen), [["IPv4", 0]], "the inner header is cut short");
});

t.test("VXLAN: network number, inner frame, inner packet", async (t) => {
  t.same(titles(VXLAN_PING), [
    ["IPv4", 0],
    ["UDP", 20],
    ["VXLAN", 28],
    ["Ethernet", 36],
    ["IPv4", 50],
    ["ICMP", 70],
    ["Payload", 78],
  ]);
  t.match(fieldsOf(VXLAN_PING, 2), { VNI: "1" });
  const unflagged = VXLAN_PING.slice();
  unflagged[28] = 0;
  t.match(fieldsOf(unflagged, 2), { VNI: /^none/ });
});

t.test("who asks by ARP for whom is told", async (t) => {
  t.match(fieldsOf(ARP_QUESTION, 0, ETHER_TYPE_ARP), {
    operation: "request (1)",
    sender: "10.244.1.0",
    "sender MAC": "0e:77:a1:ad:0e:3b",
    target: "10.244.2.0",
  });
});

t.test("several datagrams that travel as one are counted", async (t) => {
  const headers = TUNNELLED_PING.slice(14, 42);
  const view = new DataView(headers.buffer);
  view.setUint16(2, 28 + 3 * INNER_PING.length);
  view.setUint16(24, 8 + 3 * INNER_PING.length);
  const packet = Uint8Array.from([...headers, ...INNER_PING, ...INNER_PING, ...INNER_PING]);
  t.equal(titles(packet).at(-1)?.[0], "More datagrams");
  t.match(fieldsOf(packet, 5), { count: "2" });
});

t.test("an ICMP error names the packet it is about", async (t) => {
  const error = Uint8Array.from([
    ...bytes("4500 0040 0000 0000 4001 0000 0af4 0202 0af4 0102 0300 0000 0000 0000"),
    ...INNER_PING,
  ]);
  t.match(fieldsOf(error, 1), { about: "10.244.1.2 → 10.244.2.2" });
});

t.test("a tunnel in a tunnel in a tunnel ends somewhere", async (t) => {
  const depth = 3000;
  const packet = new Uint8Array(20 * depth);
  for (let level = 0; level < depth; level++) {
    packet.set([0x45, 0, (packet.length - 20 * level) >> 8, (packet.length - 20 * level) & 0xff], 20 * level);
    packet[20 * level + 9] = 4;
  }
  t.equal(titles(packet).length, 32);
});

t.test("a frame cut anywhere, or with any byte changed, is taken apart as far as it goes", async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(
        fc.nat({ max: TUNNELLED_PING.length }),
        fc.nat({ max: TUNNELLED_PING.length - 1 }),
        fc.nat({ max: 255 }),
        (length, position, value) => {
          const frame = TUNNELLED_PING.slice(0, length);
          if (position < length) frame[position] = value;
          for (const layer of dissectFrame(frame, USUAL_PORTS)) {
            for (const field of layer.fields) {
              if (field.offset + field.length > frame.length)
                throw new Error(`${field.label} reaches beyond the frame`);
            }
          }
        },
      ),
    ),
  );
});
