// Captures on some devices of one host at once: one packet socket, so all packets come in the order in which they crossed.
import type { StatusReport } from "../daemon/status.js";
import { HopsackError } from "../errors.js";
import { startCapture } from "../lab/capture.js";
import type { TunnelPorts } from "../wire/dissect.js";
import { type Link, readLinks } from "./host.js";
import { type Sighting, sight } from "./sighting.js";

export interface DeviceCapture {
  /** Resolves when tcpdump has ended by itself. */
  readonly ended: Promise<void>;
  stop(): Promise<CaptureEnd>;
}

interface CaptureEnd {
  /** Packets the kernel had no room for. */
  readonly dropped: number;
  /** Devices that went away meanwhile, or were made anew: what crossed the new one was not seen. */
  readonly lost: readonly string[];
}

/** Every packet that matches `filter` on `devices`, in the order of time. @throws what startCapture() throws */
export async function captureOn(
  netns: string | null,
  devices: readonly Link[],
  { filter, ports }: { readonly filter: string; readonly ports: TunnelPorts },
  onSighting: (sighting: Sighting) => void,
  signal: AbortSignal,
): Promise<DeviceCapture> {
  const byIndex = new Map(devices.map((link) => [link.index, link]));
  const running = await startCapture(
    { netns, link: null },
    filter,
    (packet) => {
      const sighting = sight(packet, byIndex, ports);
      if (sighting !== undefined) onSighting(sighting);
    },
    signal,
  );
  const stop = async (): Promise<CaptureEnd> => {
    const { dropped } = await running.stop();
    const now = await readLinks(netns).catch((): Link[] => []);
    const isThere = ({ index }: Link): boolean => now.some((link) => link.index === index);
    return { dropped, lost: devices.filter((device) => !isThere(device)).map(({ name }) => name) };
  };
  return { ended: running.ended, stop };
}

/**
 * The devices a user named; else the daemon's underlay and tunnel devices.
 * @param report null: no daemon answers
 * @throws NO_INTERFACE naming what there is
 */
export function chooseDevices(
  links: readonly Link[],
  report: StatusReport | null,
  given: readonly string[],
): readonly Link[] {
  const wanted = given.length > 0 ? given : daemonDevices(links, report);
  if (wanted.length === 0) {
    const problem = "the daemon has not chosen an underlay yet";
    throw new HopsackError("NO_INTERFACE", `${problem}; name devices with --device, or see hopsack status`);
  }
  const missing = wanted.filter((name) => !links.some((link) => link.name === name));
  if (missing.length > 0) {
    const there = links.map(({ name }) => name).join(", ");
    throw new HopsackError("NO_INTERFACE", `there is no device ${missing.join(" and no ")} here; there are: ${there}`);
  }
  return links.filter(({ name }) => wanted.includes(name));
}

/** In mode vxlan IPv6 has a device of its own, known by the same alias. */
function daemonDevices(links: readonly Link[], report: StatusReport | null): string[] {
  const names = [report?.underlay?.link, report?.device?.name].filter((name) => name !== undefined);
  const alias = links.find(({ name }) => name === report?.device?.name)?.alias ?? null;
  return [...names, ...links.filter((link) => alias !== null && link.alias === alias).map(({ name }) => name)];
}

/**
 * What the overlay has to do with: on the underlay the tunnels and what is routed to the Network, elsewhere everything.
 * In tcpdump's language.
 */
export function overlayFilter(devices: readonly Link[], report: StatusReport | null, ports: TunnelPorts): string {
  const underlay = devices.find(({ name }) => name === report?.underlay?.link);
  const others = devices.filter((device) => device !== underlay).map(({ index }) => `ifindex ${index}`);
  if (underlay === undefined || report?.network == null) return everythingOn(devices);
  const tunnels = [...ports.bare, ...ports.vxlan].map((port) => `udp port ${port}`);
  const carried = [...tunnels, "ip proto 4", `net ${report.network}`].join(" or ");
  return [...others, `(ifindex ${underlay.index} and (${carried}))`].join(" or ");
}

export function everythingOn(devices: readonly Link[]): string {
  return devices.map(({ index }) => `ifindex ${index}`).join(" or ");
}
