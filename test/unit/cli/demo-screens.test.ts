// The demo's drawings, without colours.
import t from "tap";
import * as screens from "../../../src/cli/demo-screens.js";
import { paintFor } from "../../../src/cli/output.js";
import { TUNNELLED_PING } from "../wire/packets.js";

const paint = paintFor({}, {});

t.test("a bar is as long as its value, and never nothing", async (t) => {
  t.equal(screens.barOf(10, 10), "█".repeat(40));
  t.equal(screens.barOf(5, 10), "█".repeat(20));
  t.equal(screens.barOf(0.0001, 10), "▏");
});

t.test("a dissection shows offset, bytes, field and value, outer headers first", async (t) => {
  const lines = screens.dissection(paint, TUNNELLED_PING, 8285);
  t.ok(lines.includes("   0x0024  20 5d                     destination port  8285"));
  t.ok(lines.includes("   ── IPv4, 20 bytes: from host to host"));
  t.ok(lines.includes("   0x002a  45                        version, header   4, 20 bytes (0x45)"));
  t.match(lines.at(-2), /78 bytes: 42 for the underlay/);
  t.same(
    lines.filter((line) => line.length > 100),
    [],
  );
});

t.test("the podium puts the fastest first and compares with kernel VXLAN", async (t) => {
  const lines = screens.podium(
    paint,
    new Map([
      ["udp-naive", [0.5e9, 0.7e9, 0.6e9]],
      ["vxlan", [12e9, 10e9, 11e9]],
      ["udp", [6e9, 5.5e9, 5e9]],
    ]),
  );
  const rows = lines.filter((line) => /[0-9]\.[0-9]{2} +[0-9]/.test(line));
  t.match(rows[0], /kernel VXLAN +11\.00 +10\.00 +12\.00 +1\.00/);
  t.match(rows[1], /UDP mode +5\.50 +5\.00 +6\.00 +0\.50/);
  t.match(rows[2], /flannel's loop\) +0\.60 +0\.50 +0\.70 +0\.05/);
  t.match(lines.at(-1), /9\.2 times as fast/);
});
