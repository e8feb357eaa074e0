// wire/vxlan and the Ethernet header behind it, beside bytes that the kernel's own device sent (VNI 1 and VNI 0x123456).
import fc from "fast-check";
import t from "tap";
import { decodeEthernet, encodeEthernetHeader } from "../../../src/wire/ethernet.js";
import { decodeVxlan, encodeVxlanHeader } from "../../../src/wire/vxlan.js";
import { bytes } from "./packets.js";

t.test("a header is the kernel's to the byte", async (t) => {
  t.same(encodeVxlanHeader(1), bytes("08000000 00000100"));
  t.same(encodeVxlanHeader(0x123456), bytes("08000000 12345600"));
  t.throws(() => encodeVxlanHeader(1 << 24), RangeError);
  t.throws(() => encodeVxlanHeader(-1), RangeError);
});

t.test("what was written is read back, whatever the reserved bits and the frame", async () => {
  const vni = fc.integer({ min: 0, max: 0xffffff });
  fc.assert(
    fc.property(
      vni,
      fc.uint8Array({ maxLength: 64 }),
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      (vni, frame, noise) => {
        const packet = Uint8Array.of(...encodeVxlanHeader(vni), ...frame);
        packet[0] = (packet[0] ?? 0) | ((noise[0] ?? 0) & 0xf7);
        packet.set(noise.subarray(1), 1);
        packet[7] = noise[0] ?? 0;
        const read = decodeVxlan(packet);
        return read?.vni === vni && Buffer.from(read.frame).equals(frame);
      },
    ),
  );
});

t.test("a header without the I flag names no network; one that is cut off is none", async (t) => {
  t.equal(decodeVxlan(bytes("00000000 00000100"))?.vni, null);
  t.equal(decodeVxlan(bytes("08000000 000001")), undefined);
});

t.test("an Ethernet header is destination, source, type", async (t) => {
  const header = encodeEthernetHeader(bytes("020000000002"), bytes("020000000001"), 0x86dd);
  t.same(header, bytes("020000000002 020000000001 86dd"));
  t.match(decodeEthernet(header), { destination: "02:00:00:00:00:02", source: "02:00:00:00:00:01", etherType: 0x86dd });
});
