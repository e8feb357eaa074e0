// What `hopsack capture` prints: a packet in a few lines, or as one line of JSON, and the sum at the end. Pure; made for 80 columns.
import { fieldOf, type Kind, type Sighting } from "../capture/sighting.js";
import type { Layer } from "../wire/dissect.js";
import { formatCount, formatDuration, type Paint } from "./output.js";

const INDENT = "    ";
const TITLE_COLUMNS = 9;
const MICROSECONDS = 1e6;

export const KIND_WORDS: Readonly<Record<Kind, string>> = {
  plain: "plain",
  udp: "UDP mode",
  vxlan: "VXLAN",
  ipip: "IP-in-IP",
  arp: "ARP",
  other: "other",
};

const SUPER_PACKET_LINES = [
  "super-packet: up to 64 KB that the kernel carries as one; it is cut to size",
  "further on, or was put together on its way in",
];

/** @param deviceColumns of the longest name */
export function packetLines(sighting: Sighting, deviceColumns: number, paint: Paint): string[] {
  const { timeSeconds, device, direction, kind, lengthBytes, isSuperPacket } = sighting;
  const size = `${formatCount(lengthBytes)} bytes${isSuperPacket ? `, ${paint.yellow("super-packet")}` : ""}`;
  const place = `${paint.bold(device)}${" ".repeat(deviceColumns - device.length)} ${direction.padEnd(3)}`;
  const title = `${paint.dim(clockTime(timeSeconds))}  ${place}  ${paint.green(KIND_WORDS[kind])}, ${size}`;
  return [title, ...layerLines(sighting.layers, paint)];
}

/** What is carried stands further in than what carries it. */
function layerLines(layers: readonly Layer[], paint: Paint): string[] {
  let depth = 0;
  return layers.flatMap((layer, index) => {
    if (layer.title === "Payload") return [];
    const before = layers[index - 1]?.title;
    const isCarried = ["Ethernet", "IPv4", "IPv6", "ARP"].includes(layer.title);
    if (isCarried && before !== undefined && before !== "Ethernet") depth++;
    const payload = payloadText(layer, layers[index + 1]);
    const title = layer.title === "More datagrams" ? "and" : layer.title;
    return [
      `${INDENT}${"  ".repeat(depth)}${paint.dim(title.padEnd(TITLE_COLUMNS))}${layerText(layer)}${payload}`.trimEnd(),
    ];
  });
}

function payloadText(layer: Layer, next: Layer | undefined): string {
  if (next?.title !== "Payload" || fieldOf(layer, "about") !== "") return "";
  return `, ${formatCount(next.length)} byte${next.length === 1 ? "" : "s"}`;
}

export function layerText(layer: Layer): string {
  const value = (label: string): string => fieldOf(layer, label);
  const ways = `${value("source")} → ${value("destination")}`;
  const ports = `${value("source port")} → ${value("destination port")}`;
  switch (layer.title) {
    case "Ethernet":
      return ways;
    case "IPv4":
      return `${ways}, TTL ${value("time to live")}${value("flags") === "none" ? "" : `, ${value("flags")}`}`;
    case "IPv6":
      return `${ways}, hop limit ${value("hop limit")}`;
    case "UDP":
      return ports;
    case "TCP":
      return `${ports}, ${value("flags")}`;
    case "VXLAN":
      return `VNI ${value("VNI")}`;
    case "ICMP":
    case "ICMPv6":
      return icmpText(layer);
    case "ARP":
      return value("operation").startsWith("request")
        ? `who has ${value("target")}? tell ${value("sender")} at ${value("sender MAC")}`
        : `${value("sender")} is at ${value("sender MAC")}`;
    case "More datagrams":
      return `${value("count")} more datagrams of this length behind it`;
    default:
      return "";
  }
}

function icmpText(layer: Layer): string {
  const [about, identifier] = [fieldOf(layer, "about"), fieldOf(layer, "identifier")];
  const echo = identifier === "" ? "" : `, id ${identifier}, sequence ${fieldOf(layer, "sequence")}`;
  return `${fieldOf(layer, "type, code")}${echo}${about === "" ? "" : ` of ${about}`}`;
}

/** Where fields have one name in several layers, their order tells them apart. */
export function packetJson(sighting: Sighting, host: string | null): string {
  const { timeSeconds, device, direction, kind, lengthBytes, isSuperPacket, layers } = sighting;
  return JSON.stringify({
    time: isoTime(timeSeconds),
    host,
    device,
    direction,
    kind,
    bytes: lengthBytes,
    isSuperPacket,
    layers: layers.map((layer) => ({
      title: layer.title,
      offset: layer.offset,
      bytes: layer.length,
      fields: Object.fromEntries(layer.fields.map(({ label, value }) => [label, value])),
    })),
  });
}

export interface CaptureSum {
  readonly seconds: number;
  readonly kinds: ReadonlyMap<Kind, number>;
  readonly hiddenProbes: number;
  readonly superPackets: number;
  readonly dropped: number;
  readonly lost: readonly string[];
}

export function sumLines({ seconds, kinds, hiddenProbes, superPackets, dropped, lost }: CaptureSum): string[] {
  const total = [...kinds.values()].reduce((sum, count) => sum + count, 0);
  const parts = [...kinds].map(([kind, count]) => `${formatCount(count)} ${KIND_WORDS[kind]}`);
  const shown = `${formatCount(total)} packet${total === 1 ? "" : "s"} in ${formatDuration(seconds)}`;
  return [
    `${shown}${parts.length > 0 ? `: ${parts.join(", ")}` : ""}; the kernel dropped ${dropped === 0 ? "none" : formatCount(dropped)}`,
    ...(dropped > 0 ? ["more than can be shown: choose less, by --device, or use tcpdump itself"] : []),
    ...(hiddenProbes > 0 ? [`${formatCount(hiddenProbes)} probes of the daemons not shown; --probes shows them`] : []),
    ...(superPackets > 0 ? SUPER_PACKET_LINES : []),
    ...lost.map((device) => `${device} went away or was made anew: what crossed a new one is not here`),
  ];
}

/** Of this place, as a person's clock shows it. */
function clockTime(timeSeconds: number): string {
  const time = new Date(Math.floor(timeSeconds) * 1000).toTimeString().slice(0, 8);
  return `${time}.${fraction(timeSeconds)}`;
}

function isoTime(timeSeconds: number): string {
  return new Date(Math.floor(timeSeconds) * 1000).toISOString().replace("000Z", `${fraction(timeSeconds)}Z`);
}

function fraction(timeSeconds: number): string {
  const part = Math.floor((timeSeconds - Math.floor(timeSeconds)) * MICROSECONDS + 0.5);
  return `${Math.min(part, MICROSECONDS - 1)}`.padStart(6, "0");
}
