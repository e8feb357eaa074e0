// How figures are written: three significant digits, in the unit whose numbers are short. Shared by screens and charts.

interface Scale {
  /** A figure is divided by it. */
  readonly divisor: number;
  readonly unit: string;
}

const SCALES = new Map<string, readonly Scale[]>([
  [
    "bit/s",
    [
      { divisor: 1e9, unit: "Gbit/s" },
      { divisor: 1e6, unit: "Mbit/s" },
      { divisor: 1e3, unit: "kbit/s" },
      { divisor: 1, unit: "bit/s" },
    ],
  ],
  [
    "us",
    [
      { divisor: 1e6, unit: "s" },
      { divisor: 1e3, unit: "ms" },
      { divisor: 1, unit: "µs" },
    ],
  ],
  [
    "1/s",
    [
      { divisor: 1e6, unit: "M/s" },
      { divisor: 1e3, unit: "k/s" },
      { divisor: 1, unit: "/s" },
    ],
  ],
  ["ratio", [{ divisor: 0.01, unit: "%" }]],
]);

/** The scale in which `value`, in the results file's `unit`, is at least 1 where one is. */
export function scaleFor(unit: string, value: number): Scale {
  const scales = SCALES.get(unit) ?? [{ divisor: 1, unit }];
  return scales.find(({ divisor }) => value >= divisor) ?? scales.at(-1) ?? { divisor: 1, unit };
}

/** `12.3 Gbit/s`, `940 µs`, `0.42 s/GB`. */
export function formatFigure(value: number, unit: string): string {
  const scale = scaleFor(unit, value);
  return `${formatNumber(value / scale.divisor)} ${scale.unit}`;
}

/** `12.1 – 12.5 Gbit/s`. */
export function formatRange(lower: number, upper: number, unit: string): string {
  const scale = scaleFor(unit, upper);
  return `${formatNumber(lower / scale.divisor)} – ${formatNumber(upper / scale.divisor)} ${scale.unit}`;
}

/** `1 round`, `9 rounds`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** For headings, which begin with a capital letter; results call things in the middle of a sentence. */
export function capital(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}

/** Three significant digits, thousands grouped: `12.3`, `0.0512`, `104,000`. */
export function formatNumber(value: number): string {
  return value.toLocaleString("en-US", { maximumSignificantDigits: 3 });
}

/** `0.74 ×`: two decimals beside 1, two digits far below it, three far above. */
export function formatRatio(ratio: number): string {
  if (ratio >= 100) return `${formatNumber(ratio)} ×`;
  return `${ratio < 0.095 ? ratio.toLocaleString("en-US", { maximumSignificantDigits: 2 }) : ratio.toFixed(2)} ×`;
}
