import { endianness } from "node:os";
import fc from "fast-check";
import t from "tap";
import {
  encodeClsactAdd,
  encodeFilterAdd,
  encodeFilterRemoval,
  type Filter,
  parseFilter,
} from "../../../src/netlink/filter.js";
import { parseMessage } from "../../../src/netlink/message.js";

const golden = { skip: endianness() === "BE" ? "the bytes are of a little-endian machine" : false };
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const payloadOf = (message: Uint8Array): Uint8Array => parseMessage(message)?.payload ?? new Uint8Array();
const FILTER = { linkIndex: 7, direction: "ingress", priority: 50_000, name: "hopsack flannel0" } as const;

t.test("a clsact is asked for as tc asks for it", golden, async (t) => {
  t.equal(
    hexOf(encodeClsactAdd(9, 7)),
    "30000000240005060900000000000000" + "00000000070000000000fffff1ffffff00000000" + "0b000100636c736163740000",
  );
});

t.test("a filter that was asked for is read back", async (t) => {
  for (const direction of ["ingress", "egress"] as const) {
    const asked = { ...FILTER, direction, programFd: 12 };
    t.strictSame(parseFilter(payloadOf(encodeFilterAdd(1, asked))), { ...FILTER, direction, handle: 0 });
  }
});

t.test("a filter is removed by its handle, and not without", golden, async (t) => {
  const payload = payloadOf(encodeFilterRemoval(1, { ...FILTER, handle: 3 } satisfies Filter));
  t.equal(hexOf(payload).slice(16, 24), "03000000");
});

t.test("bytes that are no filter are none, whatever they are", async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      parseFilter(bytes);
    }),
  );
  t.equal(parseFilter(new Uint8Array(19)), undefined);
});
