// The texts and drawings of `hopsack lab demo`. Pure: values in, lines out, at most 100 columns, readable without colour.
import type { HostReport } from "../lab/lab-folder.js";
import type { PathName } from "../lab/paths.js";
import { median } from "../lab/throughput.js";
import { dissectFrame, type Field, type Layer } from "../wire/dissect.js";
import { type Paint, tableLines } from "./output.js";

const INDENT = "   ";
const BAR_COLUMNS = 40;
const HEX_BYTES_SHOWN = 8;

/** What a path is called, and what it does, in a few words. */
const PATH_WORDS: Readonly<Record<PathName, { readonly short: string; readonly long: string }>> = {
  veth: { short: "no overlay", long: "plain routing, no overlay" },
  vxlan: { short: "kernel VXLAN", long: "kernel VXLAN" },
  udp: { short: "UDP mode", long: "Hopsack, UDP mode" },
  "udp-naive": { short: "naive", long: "one packet a system call (flannel's loop)" },
};

export function title(paint: Paint): string[] {
  return [
    "",
    paint.bold("   ┌──────┐               ┌──────┐"),
    `${paint.bold("   │  h1  ├──▪─▪▪─▪───▪▪──┤  h2  │")}   ${paint.bold("Hopsack")}: two hosts and a sack of packets.`,
    `${paint.bold("   └──────┘")}    UDP 8285   ${paint.bold("└──────┘")}   Nothing below is staged: it happens on this machine, now.`,
  ];
}

export function chapter(paint: Paint, number: number, heading: string): string[] {
  return ["", paint.bold(`${number}  ${heading}`)];
}

export function note(paint: Paint, text: string): string[] {
  return [paint.dim(`${INDENT}${text}`)];
}

export function command(paint: Paint, member: string, words: readonly string[]): string[] {
  return [`${INDENT}${paint.dim(`${member} $`)} ${words.join(" ")}`];
}

export function quote(lines: readonly string[]): string[] {
  return lines.map((line) => `${INDENT}${line}`);
}

/** Both hosts with their real addresses, and the way of a packet between them. */
export function landscape(first: HostReport, second: HostReport): string[] {
  const rows = [
    [`${first.pods[0]?.name}  ${first.pods[0]?.address}`, `${second.pods[0]?.name}  ${second.pods[0]?.address}`],
    ["│", "│"],
    [`cni0   ${bridgeOf(first)}`, `cni0   ${bridgeOf(second)}`],
    ["│", "│"],
    ["flannel0 ─ hopsackd", "flannel0 ─ hopsackd"],
    ["│", "│"],
  ] as const;
  const cable = `eth0   ${first.underlay}  ══════ UDP 8285 ══════  eth0   ${second.underlay}`;
  return ["", ...rows.map(([left, right]) => `${INDENT}${left.padEnd(46)}${right}`), `${INDENT}${cable}`];
}

/** cni0 has the first address of the host's subnet. */
function bridgeOf(host: HostReport): string {
  return host.subnet.replace(/0(?=\/)/, "1");
}

/** The frame field by field, as Wireshark's middle and lower panes would show it together. */
export function dissection(paint: Paint, frame: Uint8Array, tunnelPort: number): string[] {
  const layers = dissectFrame(frame, { bare: [tunnelPort], vxlan: [] });
  const innerStart = layers.findIndex((layer) => layer.title === "UDP") + 1;
  const lines = layers.flatMap((layer, index) => [
    paint.bold(`${INDENT}── ${layer.title}, ${layer.length} bytes${remark(layer, index, innerStart)}`),
    ...layer.fields.map((field) => fieldLine(paint, frame, field)),
    ...(layer.fields.length === 0 ? [fieldLine(paint, frame, { ...layer, label: "bytes", value: "" })] : []),
  ]);
  const outerBytes = layers[innerStart]?.offset ?? 0;
  const summary = `${frame.length} bytes: ${outerBytes} for the underlay, and then, bare, the packet that h1 routed for its pod.`;
  const flannel = "No header of ours in between: a flannel host reads it as its own.";
  return ["", ...lines, "", `${INDENT}${summary}`, `${INDENT}${flannel}`];
}

function remark(layer: Layer, index: number, innerStart: number): string {
  if (index === innerStart) return ": from pod to pod";
  return layer.title.startsWith("IPv") ? ": from host to host" : "";
}

function fieldLine(paint: Paint, frame: Uint8Array, { offset, length, label, value }: Field): string {
  const shown = frame.subarray(offset, offset + Math.min(length, HEX_BYTES_SHOWN));
  const hex = Array.from(shown, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const bytes = length > HEX_BYTES_SHOWN ? `${hex} …` : hex;
  const address = `0x${offset.toString(16).padStart(4, "0")}`;
  return `${INDENT}${paint.dim(address)}  ${bytes.padEnd(26)}${label.padEnd(18)}${value}`.trimEnd();
}

export function roundStart(round: number, rounds: number): string {
  return `${INDENT}round ${round} of ${rounds}:`;
}

export function lap(path: PathName, bitsPerSecond: number): string {
  return `   ${PATH_WORDS[path].short} ${gigabits(bitsPerSecond)}`;
}

/** Table and bars of the medians, the fastest first. */
export function podium(paint: Paint, results: ReadonlyMap<PathName, readonly number[]>): string[] {
  const entries = [...results].map(([path, rates]) => ({ path, rates, middle: median(rates) }));
  entries.sort((a, b) => b.middle - a.middle);
  const columns = [
    { title: "" },
    ...["Gbit/s", "lowest", "highest", "to VXLAN"].map((heading) => ({ title: heading, isRightAligned: true })),
    { title: "" },
  ];
  const vxlan = entries.find(({ path }) => path === "vxlan")?.middle ?? Number.NaN;
  const rows = entries.map(({ path, rates, middle }) => [
    PATH_WORDS[path].long,
    gigabits(middle),
    gigabits(Math.min(...rates)),
    gigabits(Math.max(...rates)),
    (middle / vxlan).toFixed(2),
  ]);
  const [heading = "", ...body] = tableLines(columns, rows);
  const bars = entries.map(({ path, middle }) => {
    const bar = barOf(middle, entries[0]?.middle ?? middle);
    return `${INDENT}${PATH_WORDS[path].short.padEnd(14)}${path === "udp" ? paint.green(bar) : bar} ${gigabits(middle)}`;
  });
  const factor = factorText(results);
  return [
    "",
    ...[paint.dim(heading), ...body].map((line) => `${INDENT}${line}`),
    "",
    ...bars,
    "",
    `${INDENT}${factor}`,
  ];
}

function factorText(results: ReadonlyMap<PathName, readonly number[]>): string {
  const factor = median(results.get("udp") ?? []) / median(results.get("udp-naive") ?? []);
  return `UDP mode: the naive loop's bytes on the wire, ${factor.toFixed(1)} times as fast (medians)`;
}

/** A bar in eighths of a column; something is always seen of a value that is not zero. */
export function barOf(value: number, largest: number): string {
  const eighths = Math.max(1, Math.round((value / largest) * BAR_COLUMNS * 8));
  return "█".repeat(Math.floor(eighths / 8)) + ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
}

export function farewell(paint: Paint, seconds: number): string[] {
  return [
    "",
    paint.bold("5  And gone"),
    `${INDENT}Daemons, namespaces, devices, files: all removed again, ${Math.round(seconds)} s after they appeared.`,
    `${INDENT}A lab to keep:  hopsack lab up --hosts 3 --pods 2   then   hopsack lab exec h1-p1 -- bash`,
    "",
  ];
}

function gigabits(bitsPerSecond: number): string {
  return (bitsPerSecond / 1e9).toFixed(2);
}
