// Between two real machines: the servers of one, and the client's view of the way to the other. The modes are the plain underlay
// and whatever hopsackd runs on both; nothing is built and nothing is changed.
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import type { StatusReport } from "../daemon/status.js";
import { fetchStatus, parseStatus } from "../daemon/status-client.js";
import { HopsackError } from "../errors.js";
import { requireTools, run } from "../lab/command.js";
import { type Place, readOffloads, type Site } from "./fleet.js";
import { MODES, type Mode } from "./modes.js";
import { HTTP_SERVER } from "./probes/connect.js";
import { iperfServer } from "./probes/iperf.js";
import { awaitListening, end, type Server, startServer } from "./probes/server.js";
import { sockperfServer } from "./probes/sockperf.js";
import type { Profile } from "./profiles.js";

const ANSWER_LIMIT_MS = 2000;

/** Runs every server until the signal aborts. @throws TOOL_MISSING, TOOL_FAILED when one cannot run */
export async function serve(signal: AbortSignal, onReady: (addresses: readonly string[]) => void): Promise<void> {
  requireTools(["iperf3", "sockperf"]);
  const addresses = ownAddresses();
  const servers = [...addresses.map(iperfServer), sockperfServer("tcp"), sockperfServer("udp"), HTTP_SERVER];
  const running = servers.map((server) => ({ server, child: startServer(null, server) }));
  try {
    for (const { server, child } of running) await awaitListening(child, server, signal);
    onReady(addresses);
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener("abort", () => resolve());
      for (const { server, child } of running) {
        if (child.exitCode !== null) reject(ended(server));
        child.once("close", () => reject(ended(server)));
      }
    });
  } finally {
    await Promise.all(running.map(({ child }) => end(child)));
  }
}

function ended({ command, port }: Server): HopsackError {
  const program = command[0]?.split("/").at(-1);
  return new HopsackError("TOOL_FAILED", `${program} on port ${port} ended; see whether another program has that port`);
}

/** Every IPv4 address of this machine but the loopback's. */
function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.filter(({ family, internal }) => family === "IPv4" && !internal).map(({ address }) => address);
}

/** What can be measured to the other machine. */
export interface Wire {
  readonly profile: Profile;
  readonly modes: readonly Mode[];
  readonly site: Site;
  /** Why no overlay is among the modes; null when one is. */
  readonly obstacle: string | null;
}

/**
 * Looks at the way to `host`, where `hopsack bench --server` runs.
 * @param socket status socket of this machine's hopsackd
 * @throws NOT_RUNNING when no server answers, TOOL_FAILED when there is no route
 */
export async function lookAtWire(host: string, socket: string, signal: AbortSignal): Promise<Wire> {
  const underlay = await deviceTowards(host, signal);
  if (!(await isServing(host))) {
    throw new HopsackError("NOT_RUNNING", `no server answers on ${host}; start it there with: hopsack bench --server`);
  }
  const overlay = await lookAtOverlay(host, socket);
  const places = placesOf(host, underlay.name, overlay, socket);
  const profile: Profile = {
    ...{ name: "wire", title: `between two machines, by ${underlay.name} to ${host}` },
    ...{ mtuBytes: underlay.mtuBytes, ethtool: [], ends: "hosts", scenarios: null },
  };
  const site: Site = {
    placeOf: (mode) => {
      const place = places.get(mode.name);
      if (place === undefined) throw new Error(`${mode.name} is not among the modes of this wire`);
      return place;
    },
    offloads: () => readOffloads(null, underlay.name),
    down: () => Promise.resolve(),
  };
  const modes = MODES.filter(({ name }) => places.has(name));
  return { profile, modes, site, obstacle: "obstacle" in overlay ? overlay.obstacle : null };
}

/** By mode. */
function placesOf(host: string, link: string, overlay: Overlay, socket: string): ReadonlyMap<string, Place> {
  const places = new Map<string, Place>();
  const report = "report" in overlay ? overlay.report : null;
  for (const { name, target } of MODES) {
    if (target === "underlay") places.set(name, placeOn(host, { name: link, kind: null }, report, socket));
  }
  if (!("report" in overlay)) return places;
  const { mode, address } = overlay;
  const { name, kind } = mode.device;
  const device = kind === "veth" ? { name: link, kind: null } : { name: overlay.report.device?.name ?? name, kind };
  return places.set(mode.name, placeOn(address, device, report, socket));
}

/** The servers are the other machine's, and so are its daemon, its counters and its processor time. */
function placeOn(address: string, device: Place["road"]["device"], report: StatusReport | null, socket: string): Place {
  return {
    ends: { clientNetns: null, serverNetns: null, address },
    road: { netns: null, address, device },
    daemons: () => (report === null ? [] : [{ name: "hopsackd", pid: report.pid }]),
    statusSockets: report === null ? [] : [socket],
    crowd: null,
    restartSecond: null,
  };
}

type Overlay =
  | { readonly mode: Mode; readonly address: string; readonly report: StatusReport }
  | { readonly obstacle: string };

async function lookAtOverlay(host: string, socket: string): Promise<Overlay> {
  const body = await fetchStatus(socket).catch(() => null);
  if (body === null) return { obstacle: `no hopsackd answers on ${socket} of this machine` };
  const report = parseStatus(body, socket);
  const peer = report.peers.find(({ publicIp }) => publicIp === host);
  if (peer === undefined) return { obstacle: `this machine's hopsackd knows no peer ${host}` };
  const mode = modeOf(report);
  if (mode === undefined) return { obstacle: `mode ${report.backend} is not among those that are measured` };
  for (const address of hostAddresses(peer.subnet)) {
    if (await isServing(address)) return { mode, address, report };
  }
  return { obstacle: `${host} has no address of ${peer.subnet} that answers` };
}

/** Which of the measured modes a daemon runs. */
export function modeOf({
  backend,
  traffic,
  offloads,
  engine: carrier,
}: Pick<StatusReport, "backend" | "traffic" | "offloads" | "engine">): Mode | undefined {
  const isNaive = offloads !== null && Object.values(offloads).every((isOn) => !isOn);
  const engine = isNaive ? "naive" : (carrier?.name ?? (traffic === null ? "kernel" : "pump"));
  const mine = MODES.filter(({ target, lab }) => target === "overlay" && lab.backend === backend);
  return mine.find((mode) => mode.engine === engine) ?? mine.find((mode) => mode.engine === "pump" && isNaive);
}

/** Those a host gives itself in its subnet: the bridge's, the first, and the tunnel device's, the one before it. */
export function hostAddresses(subnet: string): string[] {
  const base = subnet.replace(/\/.*$/, "");
  return [base.replace(/[0-9]+$/, (last) => `${Number(last) + 1}`), base];
}

async function deviceTowards(
  host: string,
  signal: AbortSignal,
): Promise<{ readonly name: string; readonly mtuBytes: number }> {
  const route = await run("ip", ["-j", "route", "get", host], { signal });
  const name = /"dev":"([^"]+)"/.exec(route)?.[1] ?? "";
  const link = await run("ip", ["-j", "link", "show", "dev", name], { signal });
  return { name, mtuBytes: Number(/"mtu":([0-9]+)/.exec(link)?.[1]) };
}

/** Whether a connection to the server's HTTP port is accepted. */
function isServing(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port: HTTP_SERVER.port, timeout: ANSWER_LIMIT_MS });
    const settle = (isOpen: boolean): void => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.on("connect", () => settle(true));
    socket.on("timeout", () => settle(false));
    socket.on("error", () => settle(false));
  });
}
