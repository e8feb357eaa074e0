// Checksums of captured packets, against a slow sum and known packets.
import fc from "fast-check";
import t from "tap";
import { checkTransportChecksum, foldSum, sumWords } from "../../../src/wire/checksum.js";
import { bytes, INNER_PING } from "./packets.js";

t.test("the folded sum equals one made word by word with end-around carry", async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (data) => {
        let slow = 0;
        for (let index = 0; index < data.length; index += 2) {
          slow += (data[index] ?? 0) * 256 + (data[index + 1] ?? 0);
          if (slow > 0xffff) slow = (slow & 0xffff) + 1;
        }
        return foldSum(sumWords(data)) === slow;
      }),
    ),
  );
});

t.test("a correct ICMP checksum is told from a wrong one", async (t) => {
  t.equal(checkTransportChecksum(INNER_PING), "correct");
  const damaged = INNER_PING.slice();
  damaged[35] = 0x22;
  t.equal(checkTransportChecksum(damaged), "wrong");
});

t.test("UDP over IPv4 without checksum is told from UDP with one", async (t) => {
  const header = "4500 001e 0000 4000 4011 0000 7f00 0001 7f00 0001";
  t.equal(checkTransportChecksum(bytes(`${header} 1000 2000 000a 0000 6869`)), "none");
  t.equal(checkTransportChecksum(bytes(`${header} 1000 2000 000a 6968 6869`)), "wrong");
  // 7f00+0001+7f00+0001+0011+000a + 1000+2000+000a+6869 = 19690 → 9691; complement 696e
  t.equal(checkTransportChecksum(bytes(`${header} 1000 2000 000a 696e 6869`)), "correct");
});

t.test("TCP over IPv6 is checked with the pseudo-header of RFC 8200", async (t) => {
  const packet = bytes(`6000 0000 0014 0640 ${"0000".repeat(7)}0001 ${"0000".repeat(7)}0001
    0050 0051 0000 0000 0000 0000 5000 0000 af42 0000`);
  t.equal(checkTransportChecksum(packet), "correct"); // 1+1+6+14 + 50+51+5000 = 50bd; complement af42
  packet[41] = 0x51;
  t.equal(checkTransportChecksum(packet), "wrong");
});

t.test("fragments, cut packets and other protocols are left undecided", async (t) => {
  const fragment = INNER_PING.slice();
  fragment[6] = 0x20;
  t.equal(checkTransportChecksum(fragment), "unknown");
  t.equal(checkTransportChecksum(INNER_PING.subarray(0, 30)), "unknown");
  const sctp = INNER_PING.slice();
  sctp[9] = 132;
  t.equal(checkTransportChecksum(sctp), "unknown");
  t.equal(checkTransportChecksum(new Uint8Array(0)), "unknown");
});

t.test("random bytes are judged without throwing", async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (data) => {
        if (data.length > 0) data[0] = (data[0] ?? 0) & 1 ? 0x45 : 0x60;
        checkTransportChecksum(data);
      }),
    ),
  );
});
