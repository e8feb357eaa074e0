// `hopsack capture`: shows what crosses underlay and tunnel of a host, layer by layer, and keeps it for Wireshark.
import { unlinkSync } from "node:fs";
import { type Command, Option } from "commander";
import { captureOn, chooseDevices, everythingOn, overlayFilter } from "../capture/device-capture.js";
import { askStatus, findLab, findLabHost, type Link, readLinks, tunnelPorts } from "../capture/host.js";
import { PcapFile } from "../capture/pcap-file.js";
import { hasAddress, hasPort, isProbe, type Kind, type Sighting } from "../capture/sighting.js";
import { parseValue } from "../daemon/flags.js";
import { deviceName, seconds as secondsValue, type ValueParser, wholeNumber } from "../daemon/option-values.js";
import type { StatusReport } from "../daemon/status.js";
import { HopsackError } from "../errors.js";
import { requireTools } from "../lab/command.js";
import { parseIpv4 } from "../net/ipv4.js";
import { formatIpv6, parseIpv6 } from "../net/ipv6.js";
import { packetJson, packetLines, sumLines } from "./capture-screen.js";
import { untilEnded } from "./interrupt.js";
import { DEFAULT_LAB } from "./lab.js";
import { paintFor } from "./output.js";
import { socketOption } from "./status.js";

const COUNT_LIMIT = 1_000_000;
const PORT_LIMIT = 65_535;

const anyAddress: ValueParser<string> = {
  accepted: "an IPv4 or IPv6 address",
  parse: (text) => {
    if (parseIpv4(text) !== undefined) return text;
    const bits = parseIpv6(text);
    return bits === undefined ? undefined : formatIpv6(bits);
  },
};
export const portNumber = wholeNumber(PORT_LIMIT, "port numbers");

interface CaptureOptions {
  readonly host?: string;
  readonly name: string;
  readonly socket: string;
  readonly device: readonly string[];
  readonly seconds?: string;
  readonly count?: string;
  readonly address?: string;
  readonly port?: string;
  readonly all?: boolean;
  readonly probes?: boolean;
  readonly pcap?: string;
  readonly json?: boolean;
}

/** The options, understood. */
interface Wanted {
  readonly devices: readonly string[];
  readonly seconds: number | null;
  readonly count: number;
  readonly isShown: (sighting: Sighting) => boolean;
}

interface Place {
  /** null: this machine. */
  readonly host: string | null;
  readonly netns: string | null;
  readonly report: StatusReport | null;
  readonly devices: readonly Link[];
}

export function addCaptureCommand(program: Command): void {
  program
    .command("capture")
    .description("show what crosses a host's underlay and tunnel, layer by layer, until Ctrl-C")
    .option("--host <host>", "host of a lab, for example h1 (default: this machine)")
    .option("--name <lab>", "name of the lab", DEFAULT_LAB)
    .addOption(socketOption())
    .option("--device <name>", "a device instead of underlay and tunnel (repeatable)", collect, [])
    .option("--seconds <seconds>", "end after so long")
    .option("--count <packets>", "end after so many packets")
    .option("--address <address>", "only packets from or to it, wrapped or not")
    .option("--port <port>", "only packets from or to it, wrapped or not")
    .option("--all", "on the underlay also what has nothing to do with the overlay")
    .option("--probes", "show the daemons' probes of each other too")
    .option("--pcap <file>", "keep what is shown, for Wireshark or tcpdump -r (pcapng)")
    .addOption(new Option("--json", "print each packet as one line of JSON"))
    .action(async (options: CaptureOptions) => {
      const wanted = understood(options);
      requireTools(["ip", "tcpdump"]);
      await untilEnded((ending) => captureAndShow(options, wanted, ending));
    });
}

/** @throws BAD_OPTION */
function understood({ device, seconds, count, address, port, probes }: CaptureOptions): Wanted {
  const given = <T>(flag: string, text: string | undefined, parser: ValueParser<T>): T | null =>
    text === undefined ? null : parseValue(flag, text, parser);
  const wantedAddress = given("--address", address, anyAddress);
  const wantedPort = given("--port", port, portNumber);
  return {
    devices: device.map((name) => parseValue("--device", name, deviceName)),
    seconds: given("--seconds", seconds, secondsValue),
    count: given("--count", count, wholeNumber(COUNT_LIMIT, "packets")) ?? Number.POSITIVE_INFINITY,
    isShown: (sighting) =>
      (wantedAddress === null || hasAddress(sighting, wantedAddress)) &&
      (wantedPort === null || hasPort(sighting, wantedPort)) &&
      (probes === true || !isProbe(sighting)),
  };
}

async function findPlace({ host, name, socket }: CaptureOptions, wanted: Wanted): Promise<Place> {
  const member = host === undefined ? null : findLabHost(findLab(name), host);
  const netns = member?.netns ?? null;
  const report = await askStatus(member?.statusSocket ?? socket);
  if (report === null && wanted.devices.length === 0) {
    const where = member === null ? `on ${socket}` : `on ${member.name}`;
    const cure = "start it, or name the devices with --device";
    throw new HopsackError("NOT_RUNNING", `no hopsackd answers ${where} to say which devices it has; ${cure}`);
  }
  const devices = chooseDevices(await readLinks(netns), report, wanted.devices);
  return { host: member?.name ?? null, netns, report, devices };
}

async function captureAndShow(options: CaptureOptions, wanted: Wanted, ending: AbortSignal): Promise<void> {
  const place = await findPlace(options, wanted);
  const names = place.devices.map(({ name }) => name);
  const file = options.pcap === undefined ? null : new PcapFile(options.pcap, names);
  try {
    await show(place, options, wanted, file, ending);
  } catch (error) {
    if (options.pcap !== undefined && file?.isEmpty === true) unlinkSync(options.pcap);
    if (!ending.aborted) throw error;
  } finally {
    file?.close();
  }
}

async function show(
  { host, netns, report, devices }: Place,
  { all, json }: CaptureOptions,
  wanted: Wanted,
  file: PcapFile | null,
  ending: AbortSignal,
): Promise<void> {
  const paint = paintFor(process.stdout, process.env);
  const columns = Math.max(...devices.map(({ name }) => name.length));
  const [kinds, counts] = [new Map<Kind, number>(), { shown: 0, hiddenProbes: 0, superPackets: 0 }];
  const over = new AbortController();
  const take = (sighting: Sighting): void => {
    if (counts.shown === wanted.count || over.signal.aborted) return;
    if (!wanted.isShown(sighting)) {
      if (isProbe(sighting)) counts.hiddenProbes++;
      return;
    }
    try {
      file?.add(sighting);
    } catch (error) {
      over.abort(error);
      return;
    }
    const text = json === true ? packetJson(sighting, host) : packetLines(sighting, columns, paint).join("\n");
    process.stdout.write(`${text}\n`);
    kinds.set(sighting.kind, (kinds.get(sighting.kind) ?? 0) + 1);
    if (sighting.isSuperPacket) counts.superPackets++;
    if (++counts.shown === wanted.count) over.abort();
  };
  const ports = tunnelPorts(report);
  const filter = all === true ? everythingOn(devices) : overlayFilter(devices, report, ports);
  const running = await captureOn(netns, devices, { filter, ports }, take, ending);
  const startedAt = performance.now();
  const names = devices.map(({ name }) => name).join(", ");
  process.stderr.write(`capturing on ${host === null ? "" : `${host}: `}${names}${engineWords(report)}\n`);
  const time = new AbortController(); // what crossed before it ran out is still shown
  const timer = wanted.seconds === null ? undefined : setTimeout(() => time.abort(), wanted.seconds * 1000);
  await Promise.race([running.ended, ...[ending, over.signal, time.signal].map(aborted)]);
  clearTimeout(timer);
  const { dropped, lost } = await running.stop();
  if (over.signal.reason instanceof HopsackError) throw over.signal.reason;
  const seconds = (performance.now() - startedAt) / 1000;
  const lines = sumLines({ seconds, kinds, ...counts, dropped, lost });
  (json === true ? process.stderr : process.stdout).write(`${lines.join("\n")}\n`);
}

/** What such a device does not show, a person would miss. */
function engineWords(report: StatusReport | null): string {
  if (report?.engine?.name !== "ebpf") return "";
  const device = report.device?.name ?? "the tunnel";
  return `\nthe eBPF engine takes what leaves by ${device} before a capture sees it there: look for it on the underlay`;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}
