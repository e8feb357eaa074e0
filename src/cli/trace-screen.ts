// What `hopsack trace` prints: everybody on the way, what was seen there, what the kernel chose, and where it ended. Pure.

import type { RuleVerdict } from "../trace/netfilter-watch.js";
import type { Step } from "../trace/step.js";
import type { Testimony } from "../trace/stop.js";
import type { TraceReport } from "../trace/trace.js";
import type { Layer } from "../wire/dissect.js";
import { KIND_WORDS, layerText } from "./capture-screen.js";
import { formatCount, type Paint } from "./output.js";

const INDENT = "  ";
/** The longest device name with its direction. */
const WHAT_COLUMNS = 20;
const BYTES_A_LINE = 16;

export function traceLines(report: TraceReport, paint: Paint): string[] {
  const { steps, path } = report;
  const start = steps.find(({ way }) => way === "there")?.timeSeconds ?? 0;
  return [
    headline(report, paint),
    ...path.flatMap((testimony) => ["", ...memberLines(testimony, report, start, paint)]),
    "",
    ...wayBack(report, paint),
    ...outcome(report, paint),
    "",
  ];
}

function headline({ mark, path }: TraceReport, paint: Paint): string {
  const { protocol, source, destination, id, port } = mark;
  const what =
    protocol === "icmp"
      ? `one ICMP echo request, id ${id}`
      : protocol === "tcp"
        ? `one TCP SYN from port ${id} to ${port}`
        : `one UDP datagram from port ${id} to ${port}`;
  return `${paint.bold(`${path[0]?.member.name ?? ""} ${source} → ${destination}`)}: ${what}`;
}

function memberLines(testimony: Testimony, report: TraceReport, start: number, paint: Paint): string[] {
  const { member, route, verdicts } = testimony;
  const shown = (step: Step): string[] => stepLines(step, isShownBefore(step, report), start, paint);
  const own = report.steps.filter((step) => step.member === member.name && step.way === "there");
  const ins = own.filter(({ direction }) => direction === "in");
  const outs = own.filter(({ direction }) => direction === "out");
  const chosen = route === null ? [] : [line("route", route.isRoute ? route.text : paint.red(route.text), paint)];
  const fault = report.unwatched.get(member.name);
  return [
    paint.bold(member.name),
    ...(own.length === 0 ? [`${INDENT}${paint.yellow("not seen here")}`] : []),
    ...ins.flatMap(shown),
    ...(fault === undefined ? [] : [line("nftables", `not watched: ${fault.split("\n")[0]}`, paint)]),
    ...verdictLines(verdicts, paint),
    ...chosen,
    ...passedBy(testimony, own, paint),
    ...outs.flatMap(shown),
  ];
}

function line(what: string, text: string, paint: Paint): string {
  return `${INDENT}${paint.dim(what.padEnd(WHAT_COLUMNS))}${text}`;
}

/** On the other end of the cable the wrapping is the same, unless somebody on the way changed it. */
function isShownBefore(step: Step, { steps }: TraceReport): boolean {
  const first = steps.find(({ wrapping }) => Buffer.from(wrapping).equals(step.wrapping));
  return first !== step;
}

function stepLines(step: Step, isKnown: boolean, start: number, paint: Paint): string[] {
  const { device, direction, kind, lengthBytes, wrapping, timeSeconds } = step;
  const place = `${device} ${direction}`.padEnd(WHAT_COLUMNS);
  const after = `+${((timeSeconds - start) * 1000).toFixed(3)} ms`;
  const front = `${wrapping.length} bytes in front`;
  const what = kind === "plain" ? "" : `, ${KIND_WORDS[kind]}: ${isKnown ? `the same ${front}` : front}`;
  return [
    `${INDENT}${place}${after.padEnd(12)}${formatCount(lengthBytes)} bytes${paint.green(what)}`,
    ...(wrapping.length === 0 || isKnown ? [] : wrappingLines(step, paint)),
  ];
}

/** Each header of the wrapping with its bytes. */
function wrappingLines({ layers, wrapping }: Step, paint: Paint): string[] {
  const base = layers[0]?.offset ?? 0;
  return layers
    .filter(({ offset }) => offset - base < wrapping.length)
    .flatMap((layer) => hexLines(wrapping.subarray(layer.offset, layer.offset + layer.length), layer, paint));
}

function hexLines(bytes: Uint8Array, layer: Layer, paint: Paint): string[] {
  const rows = Array.from({ length: Math.ceil(bytes.length / BYTES_A_LINE) }, (_, row) =>
    Buffer.from(bytes.subarray(row * BYTES_A_LINE, (row + 1) * BYTES_A_LINE))
      .toString("hex")
      .replace(/(.{4})(?=.)/g, "$1 "),
  );
  const indent = INDENT.repeat(3);
  return [`${indent}${layer.title.padEnd(9)}${layerText(layer)}`, ...rows.map((row) => `${indent}${paint.dim(row)}`)];
}

/** Of the policy every rule; of others only who ended the packet: most chains let most packets pass. */
function verdictLines(verdicts: readonly RuleVerdict[], paint: Paint): string[] {
  return verdicts
    .filter(({ table, verdict }) => verdict === "drop" || table.endsWith(" hopsack_policy"))
    .map(({ table, chain, rule, verdict }) => {
      const words = `${table} ${chain}: ${rule ?? "policy"} → ${verdict}`;
      return line("nftables", verdict === "drop" ? paint.red(words) : words, paint);
    });
}

/** The eBPF engine takes packets before a capture on the tunnel's device could see them. */
function passedBy({ report }: Testimony, own: readonly Step[], paint: Paint): string[] {
  const device = report?.device?.name;
  const isWrappedHere = own.some(({ direction, kind }) => direction === "out" && kind === "udp");
  if (report?.engine?.name !== "ebpf" || device === undefined || !isWrappedHere) return [];
  if (own.some((step) => step.device === device && step.direction === "out")) return [];
  return [line(`${device} out`, "carried by the eBPF program, so the device does not show it", paint)];
}

/** Everybody who saw the answer, in its order, with the devices. */
function wayBack({ steps, path }: TraceReport, paint: Paint): string[] {
  const places = [...path].toReversed().flatMap(({ member }) => {
    const own = steps.filter((step) => step.member === member.name && step.way === "back");
    const devices = [...new Set(own.map(({ device }) => device))];
    return devices.length === 0 ? [] : [[member.name, devices.join(", ")] as const];
  });
  const columns = Math.max(...places.map(([name]) => name.length));
  return places.map(([name, devices], index) => {
    const lead = index === 0 ? paint.dim("back") : "    ";
    return `${lead}  ${name.padEnd(columns)}  ${devices}`;
  });
}

function outcome({ stop, isAnswered, roundTripSeconds, steps, mark }: TraceReport, paint: Paint): string[] {
  if (stop !== null) {
    const [reason = "nobody on the way says why", ...more] = stop.reasons;
    return [
      `${paint.red("stopped")}  ${stop.where}`,
      `${INDENT}likely: ${reason}`,
      ...more.map((words) => `${INDENT}also:   ${words}`),
    ];
  }
  if (!isAnswered) return [`${paint.green("arrived")}  a datagram needs no answer, and none came`];
  const time = roundTripSeconds === null ? "" : ` after ${(roundTripSeconds * 1000).toFixed(3)} ms`;
  const refusal = steps.some(({ way, layers }) => way === "back" && layers.at(-1)?.fields.some(isReset));
  const isError = !steps.some(({ way }) => way === "back");
  const closed = refusal || isError ? `: port ${mark.port} is closed there` : "";
  return [`${paint.green("answered")}${time}${closed}`];
}

function isReset({ label, value }: Layer["fields"][number]): boolean {
  return label === "flags" && value.split(" ").includes("RST");
}

export function traceJson({ mark, steps, path, isAnswered, roundTripSeconds, unwatched, stop }: TraceReport): string {
  const report = {
    ...mark,
    isAnswered,
    roundTripMilliseconds: roundTripSeconds === null ? null : Math.round(roundTripSeconds * 1e6) / 1000,
    stop,
    path: path.map(({ member, route, verdicts, risen, report: status }) => ({
      name: member.name,
      route: route?.text ?? null,
      engine: status?.engine?.name ?? null,
      nftables: unwatched.get(member.name) ?? verdicts,
      losses: risen,
    })),
    steps: steps.map(({ wrapping, layers, timeSeconds, ...step }) => ({
      ...step,
      afterMilliseconds: Math.round((timeSeconds - (steps[0]?.timeSeconds ?? 0)) * 1e6) / 1000,
      wrapping: wrapping.length === 0 ? null : Buffer.from(wrapping).toString("hex"),
    })),
  };
  return `${JSON.stringify(report, null, 2)}\n`;
}
