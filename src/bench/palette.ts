// Colours of the charts and of the page. The kernel's own roads are greys, Hopsack's engines are colours that stay apart for
// colour-blind readers (after Okabe and Ito); every line and bar carries its name as well.

/** What a chart needs to know of colours. Values are CSS colours. */
export interface Palette {
  readonly ink: string;
  /** Secondary text. */
  readonly muted: string;
  /** Grid lines and borders. */
  readonly line: string;
  readonly surface: string;
  readonly alarm: string;
  /** By mode; modes that are not named here take `spare` in turn. */
  readonly modes: Readonly<Record<string, string>>;
  readonly spare: readonly string[];
  /** For the parts of a whole: told apart by lightness, and no colour of a mode. */
  readonly parts: readonly string[];
}

export const LIGHT: Palette = {
  ink: "#1c2128",
  muted: "#59626e",
  line: "#dfe3e8",
  surface: "#ffffff",
  alarm: "#b3261e",
  modes: {
    veth: "#aab1bb",
    "host-gw": "#7b8490",
    bgp: "#5a626d",
    vxlan: "#363d47",
    "vxlan-userspace": "#d55e00",
    udp: "#0072b2",
    "udp-naive": "#cc79a7",
    "udp-fou": "#2b8ca3",
    "udp-ebpf": "#009e73",
    "vxlan-ebpf": "#7a5195",
    "ipip-userspace": "#8c5a2b",
    "ipip-ebpf": "#6b6b00",
  },
  spare: ["#b58900", "#56b4e9"],
  parts: ["#3f4c78", "#8290bd", "#c9d0e8", "#a6a08c", "#6e6a5c"],
};

export const DARK: Palette = {
  ink: "#e8ebef",
  muted: "#a3abb6",
  line: "#343b45",
  surface: "#1a1f26",
  alarm: "#ff8a80",
  modes: {
    veth: "#636c78",
    "host-gw": "#8d96a3",
    bgp: "#b2bac4",
    vxlan: "#d0d6de",
    "vxlan-userspace": "#f28a3c",
    udp: "#56a8e0",
    "udp-naive": "#dd93ba",
    "udp-fou": "#5cc3d9",
    "udp-ebpf": "#2fbf97",
    "vxlan-ebpf": "#b795d6",
    "ipip-userspace": "#c9976a",
    "ipip-ebpf": "#b5b54a",
  },
  spare: ["#e0b73c", "#9ad4f5"],
  parts: ["#c3cbea", "#7d8abb", "#4a5585", "#a8a28f", "#6f6a5b"],
};

/** The palette of the page: names of CSS variables, so that one drawing serves light and dark readers. */
export const VARIABLES: Palette = {
  ink: "var(--ink)",
  muted: "var(--muted)",
  line: "var(--line)",
  surface: "var(--surface)",
  alarm: "var(--alarm)",
  modes: Object.fromEntries(Object.keys(LIGHT.modes).map((mode) => [mode, `var(--${mode})`])),
  spare: LIGHT.spare.map((_, index) => `var(--spare-${index})`),
  parts: LIGHT.parts.map((_, index) => `var(--part-${index})`),
};

/** `--ink: #1c2128; …`: what gives VARIABLES their values. */
export function cssVariables({ modes, spare, parts, ...rest }: Palette): string {
  const spares = spare.map((colour, index) => [`spare-${index}`, colour]);
  const numbered = [...spares, ...parts.map((colour, index) => [`part-${index}`, colour])];
  return [...Object.entries({ ...rest, ...modes }), ...numbered]
    .map(([name, colour]) => `--${name}: ${colour};`)
    .join(" ");
}

/** A colour for each mode, in their order. */
export function modeColours(palette: Palette, modes: readonly string[]): string[] {
  const known = new Map(Object.entries(palette.modes));
  const strangers = modes.filter((mode) => !known.has(mode));
  return modes.map(
    (mode) => known.get(mode) ?? palette.spare[strangers.indexOf(mode) % palette.spare.length] ?? palette.ink,
  );
}
