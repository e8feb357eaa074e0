// Where packets are looked at: a host of a lab, or this machine. What its daemon says of itself, and which devices it has.
import type { StatusReport } from "../daemon/status.js";
import { fetchStatus, parseStatus } from "../daemon/status-client.js";
import { HopsackError } from "../errors.js";
import { run } from "../lab/command.js";
import { labNotFound } from "../lab/lab.js";
import { type HostReport, type LabReport, labNames, readLabState } from "../lab/lab-folder.js";
import { netnsNames } from "../lab/process-record.js";
import { type TunnelPorts, USUAL_PORTS } from "../wire/dissect.js";

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly mtuBytes: number;
  /** `hopsack flannel0` on VXLAN devices of ours. */
  readonly alias: string | null;
}

/** @throws LAB_NOT_FOUND naming the labs there are, or what to do with one that is not complete */
export function findLab(name: string): LabReport {
  if (!labNames().includes(name)) throw labNotFound(name);
  const report = readLabState(name)?.report ?? null;
  if (report?.hosts.every(({ netns }) => netnsNames().includes(netns))) return report;
  const cure = `remove it with: hopsack lab down --name ${name}`;
  throw new HopsackError("LAB_NOT_FOUND", `lab ${name} is not complete; ${cure}`);
}

/** @throws LAB_NOT_FOUND naming the hosts there are */
export function findLabHost(lab: LabReport, name: string): HostReport {
  const host = lab.hosts.find((candidate) => candidate.name === name);
  if (host !== undefined) return host;
  const there = lab.hosts.map((candidate) => candidate.name).join(", ");
  throw new HopsackError("LAB_NOT_FOUND", `lab ${lab.name} has no host ${name}; there are: ${there}`);
}

/** null: no daemon answers there. @throws NOT_PERMITTED */
export async function askStatus(socket: string): Promise<StatusReport | null> {
  try {
    return parseStatus(await fetchStatus(socket), socket);
  } catch (error) {
    if (error instanceof HopsackError && error.code === "NOT_RUNNING") return null;
    throw error;
  }
}

/** In the order of their numbers. @param netns null: this network namespace */
export async function readLinks(netns: string | null, signal?: AbortSignal): Promise<Link[]> {
  const where = netns === null ? [] : ["-n", netns];
  const listed: readonly IpLink[] = JSON.parse((await run("ip", ["-j", ...where, "link"], { signal })) || "[]");
  return listed.map(({ ifindex, ifname, mtu, ifalias }) => ({
    index: ifindex,
    name: ifname,
    mtuBytes: mtu,
    alias: ifalias ?? null,
  }));
}

/** What `ip -j link` prints, as far as we read it. */
interface IpLink {
  readonly ifindex: number;
  readonly ifname: string;
  readonly mtu: number;
  readonly ifalias?: string;
}

/** The running daemon's own port comes first; flannel's usual ones are looked into as well. */
export function tunnelPorts(report: StatusReport | null): TunnelPorts {
  const port = report?.device?.udpPort ?? null;
  if (port === null) return USUAL_PORTS;
  const { bare, vxlan } = USUAL_PORTS;
  return report?.backend === "vxlan"
    ? { bare: without(bare, port), vxlan: [port, ...without(vxlan, port)] }
    : { bare: [port, ...without(bare, port)], vxlan: without(vxlan, port) };
}

function without(ports: readonly number[], port: number): number[] {
  return ports.filter((candidate) => candidate !== port);
}
