// Questions for the tunnel end as they lie in a datagram's payload: VXLAN, Ethernet, then ARP or IPv6.
import fc from "fast-check";
import t from "tap";
import type { HeaderField } from "../../../src/addon.js";
import type { Questions } from "../../../src/backend/backend.js";
import { questionsTo } from "../../../src/backend/vtep-answers.js";
import type { Lease } from "../../../src/lease/lease.js";
import { checkTransportChecksum } from "../../../src/wire/checksum.js";
import { prefix, reservation } from "../../contract/lease-store.js";
import { bytes } from "../wire/packets.js";

const VNI = 0x1234;
const VXLAN = "0800000000123400";
const OWN_MAC = "020000000001";
const PEER_MAC = "020000000002";
const BROADCAST = "ffffffffffff";
/** Holds 10.244.1.0/24 and fd00:0:0:1::/64. */
const OWN: Lease = { ...reservation(1), subnetV6: prefix("fd00:0:0:1::/64") };
const QUESTIONS: Questions = questionsTo({ vni: VNI, mac: bytes(OWN_MAC) });

const ARP_START = "0001080006040001";
const ARP = `${ARP_START}${PEER_MAC}0af40200 000000000000 0af40100`;
/** fe80::2 asks ff02::1:ff00:0 for fd00:0:0:1::, with its MAC. */
const SOLICITATION = `6000000000203aff fe800000000000000000000000000002 ff0200000000000000000001ff000000
  87007c1800000000 fd000000000000010000000000000000 0101020000000002`;

function question(destination: string, etherType: string, payload: string, vxlan = VXLAN): Uint8Array {
  return bytes(`${vxlan} ${destination} ${PEER_MAC} ${etherType} ${payload}`);
}

/** As the pump compares them. */
function isPunted(datagram: Uint8Array): boolean {
  const holds = ({ offset, value, mask }: HeaderField): boolean =>
    offset + 8 <= datagram.length &&
    mask.every((bits, index) => ((datagram[offset + index] ?? 0) & bits) === ((value[index] ?? 0) & bits));
  return QUESTIONS.patterns.some((fields) => fields.every(holds));
}

function answerTo(datagram: Uint8Array, own: Lease = OWN): string | null {
  const answer = QUESTIONS.answer(own, datagram);
  return answer === null ? null : Buffer.from(answer).toString("hex");
}

t.test("an ARP request for the tunnel end is answered to its sender, asked by broadcast or by unicast", async (t) => {
  for (const destination of [BROADCAST, OWN_MAC]) {
    const datagram = question(destination, "0806", ARP);
    t.ok(isPunted(datagram));
    const reply = `0001080006040002${OWN_MAC}0af40100${PEER_MAC}0af40200`;
    t.equal(answerTo(datagram), `${VXLAN}${PEER_MAC}${OWN_MAC}0806${reply}`);
  }
});

t.test("a solicitation for the tunnel end is answered to its sender, asked by multicast or by unicast", async (t) => {
  for (const destination of ["3333ff000000", OWN_MAC]) {
    const datagram = question(destination, "86dd", SOLICITATION);
    t.ok(isPunted(datagram));
    const answer = QUESTIONS.answer(OWN, datagram) ?? new Uint8Array();
    t.match(Buffer.from(answer).toString("hex"), new RegExp(`^${VXLAN}${PEER_MAC}${OWN_MAC}86dd6000000000203aff`));
    t.equal(checkTransportChecksum(answer.subarray(22)), "correct");
  }
});

t.test("questions for other addresses, tunnel ends and networks are not answered", async (t) => {
  const foreign: Readonly<Record<string, Uint8Array>> = {
    "another host's address": question(BROADCAST, "0806", ARP.replace(/0100$/, "0300")),
    "a container of ours": question(BROADCAST, "0806", ARP.replace(/0100$/, "0105")),
    "another tunnel end": question("020000000003", "0806", ARP),
    "another VXLAN network": question(BROADCAST, "0806", ARP, "0800000000123500"),
    "no VXLAN network": question(BROADCAST, "0806", ARP, "0000000000123400"),
    "a request that is cut off": question(OWN_MAC, "0806", ARP.slice(0, -2)),
    "a solicitation for another tunnel end": question("020000000003", "86dd", SOLICITATION),
  };
  for (const [name, datagram] of Object.entries(foreign)) t.equal(answerTo(datagram), null, name);
  t.notOk(isPunted(foreign["another VXLAN network"] ?? bytes("")));
  t.notOk(isPunted(foreign["no VXLAN network"] ?? bytes("")));
  const moved = { ...OWN, subnet: prefix("10.244.9.0/24"), subnetV6: null };
  t.equal(answerTo(question(BROADCAST, "0806", ARP), moved), null, "a subnet that was ours before");
  t.equal(answerTo(question(OWN_MAC, "86dd", SOLICITATION), moved), null, "a host without IPv6");
});

t.test("ordinary packets are no questions, and neither are answers", async (t) => {
  const others: Readonly<Record<string, Uint8Array>> = {
    "an IPv4 packet": question(OWN_MAC, "0800", `4500003c00004000ff06${"00".repeat(50)}`),
    "an IPv6 packet": question(OWN_MAC, "86dd", `60000000001406ff${"00".repeat(60)}`),
    "an echo request": question(OWN_MAC, "86dd", SOLICITATION.replace("8700", "8000")),
    "a neighbour advertisement": question(OWN_MAC, "86dd", SOLICITATION.replace("8700", "8800")),
    "a reply": question(OWN_MAC, "0806", ARP.replace(ARP_START, "0001080006040002")),
  };
  for (const [name, datagram] of Object.entries(others)) t.notOk(isPunted(datagram), name);
});

t.test("whatever comes is answered not at all, or with a whole answer", async () => {
  const starts = [
    question(BROADCAST, "0806", ARP),
    question(BROADCAST, "86dd", SOLICITATION),
    question(BROADCAST, "0806", ""),
    question(BROADCAST, "86dd", ""),
    new Uint8Array(),
  ];
  const change = fc.record({ offset: fc.nat(120), byte: fc.nat(255) });
  fc.assert(
    fc.property(
      fc.constantFrom(...starts),
      fc.array(change, { maxLength: 3 }),
      fc.uint8Array({ maxLength: 80 }),
      fc.nat(130),
      (start, changes, noise, length) => {
        const datagram = Uint8Array.of(...start, ...noise);
        for (const { offset, byte } of changes) if (offset < datagram.length) datagram[offset] = byte;
        const answer = QUESTIONS.answer(OWN, datagram.subarray(0, length));
        return answer === null || answer.length === 50 || answer.length === 94;
      },
    ),
    { numRuns: 2000 },
  );
});
