// Figures are short and carry their unit.
import t from "tap";
import { formatFigure, formatRange, formatRatio } from "../../../src/bench/units.js";

t.test("a figure is written in the unit whose number is short", async (t) => {
  t.equal(formatFigure(12_345_678_901, "bit/s"), "12.3 Gbit/s");
  t.equal(formatFigure(795_000_000, "bit/s"), "795 Mbit/s");
  t.equal(formatFigure(9.86, "us"), "9.86 µs");
  t.equal(formatFigure(1234, "us"), "1.23 ms");
  t.equal(formatFigure(104_500, "1/s"), "105 k/s");
  t.equal(formatFigure(0.0312, "ratio"), "3.12 %");
  t.equal(formatFigure(0, "bit/s"), "0 bit/s");
  t.equal(formatRange(950e6, 1.2e9, "bit/s"), "0.95 – 1.2 Gbit/s");
});

t.test("a unit that nobody knows is written as it is", async (t) => {
  t.equal(formatFigure(41, "packets"), "41 packets");
  t.equal(formatFigure(2, "constructor"), "2 constructor");
});

t.test("a ratio has two digits after the point where that says enough", async (t) => {
  t.same([0.04912, 0.5, 1, 14.764, 612.3].map(formatRatio), ["0.049 ×", "0.50 ×", "1.00 ×", "14.76 ×", "612 ×"]);
});
