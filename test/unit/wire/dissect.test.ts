// A tunnelled frame taken apart.
import fc from "fast-check";
import t from "tap";
import { dissectFrame } from "../../../src/wire/dissect.js";
import { TUNNELLED_PING } from "./packets.js";

t.test("a tunnelled ping has its six layers at their offsets", async (t) => {
  const layers = dissectFrame(TUNNELLED_PING, 8285);
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
  t.equal(dissectFrame(TUNNELLED_PING, 4789).at(-1)?.title, "UDP");
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
          for (const layer of dissectFrame(frame, 8285)) {
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
