// The screen of `hopsack status` for people: what is wrong first, then what the daemon holds and moves. Pure.
import type { DirectionReport, StatusReport, TrafficReport } from "../daemon/status.js";
import { formatBytes, formatCount, formatDuration, type Paint, tableLines, withDimTitles } from "./output.js";
import { peerLines } from "./peer-lines.js";
import { policyLines } from "./policy-screen.js";
import { sessionLines } from "./session-lines.js";

const LABEL_WIDTH = 10;

/** With a newline at its end. @param peersLimit how many peers are listed, those with trouble first */
export function renderStatus(report: StatusReport, paint: Paint, now: number, peersLimit: number): string {
  return joinSections([
    [headline(report, paint)],
    warningLines(report, paint),
    facts(report, now),
    peerLines(report, paint, now, peersLimit),
    sessionLines(report, paint, now, peersLimit),
    report.policies.length === 0 ? [] : policyLines(report.policies, paint),
    report.traffic === null ? [] : trafficLines(report.traffic, paint),
    dropLines(report, paint),
  ]);
}

/** An empty line between them. */
export function joinSections(sections: readonly (readonly string[])[]): string {
  const filled = sections.filter((lines) => lines.length > 0);
  return `${filled.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

export function warningLines({ warnings }: StatusReport, paint: Paint): string[] {
  return warnings.map((warning) => paint.yellow(`! ${warning}`));
}

export function headline(report: StatusReport, paint: Paint): string {
  const isWell = report.state === "ready" && report.warnings.length === 0;
  const state = (isWell ? paint.green : paint.yellow)(report.state);
  const mode = report.backend === null ? "" : `, ${report.backend} mode`;
  return `${paint.bold(report.node)}: ${state}${mode}, up ${formatDuration(report.uptimeSeconds)} (hopsackd ${report.version}, pid ${report.pid})`;
}

function facts(report: StatusReport, now: number): string[] {
  const { lease, device, underlay, store, engine, guard, offloads } = report;
  const publicIpv6 = lease?.publicIpv6 ?? null;
  const rows: (readonly [string, string])[] = [
    ["lease", lease === null ? "none yet" : leaseText(lease, now)],
    ["network", report.network ?? "not known yet"],
    ["store", `${store.spec}, ${store.connected ? "connected" : "not connected"}`],
  ];
  if (device !== null) rows.push(["device", `${device.name}, MTU ${device.mtuBytes}`]);
  if (underlay !== null) rows.push(["underlay", underlayText(underlay, publicIpv6)]);
  if (guard !== null) rows.push(["guard", guardText(guard)]);
  if (engine !== null) rows.push(["engine", `${engine.name} (${engine.reason})`]);
  if (offloads !== null) rows.push(["offloads", offloadText(offloads)]);
  return rows.map(([label, value]) => `${label.padEnd(LABEL_WIDTH)}${value}`);
}

function guardText({ ports, peers, droppedPackets }: NonNullable<StatusReport["guard"]>): string {
  const port = ports.join(" and ");
  return `UDP ${port} for ${peers} known ${peers === 1 ? "address" : "addresses"}, ${formatCount(droppedPackets)} packets of others dropped`;
}

function leaseText(lease: NonNullable<StatusReport["lease"]>, now: number): string {
  const subnets = lease.subnetV6 === null ? lease.subnet : `${lease.subnet} and ${lease.subnetV6}`;
  if (lease.expiresAt === null) return `${subnets}, reserved`;
  return `${subnets}, ends in ${formatDuration((Date.parse(lease.expiresAt) - now) / 1000)} unless renewed`;
}

function underlayText(underlay: NonNullable<StatusReport["underlay"]>, publicIpv6: string | null): string {
  const { link, address, publicIp, mtuBytes } = underlay;
  const published = publicIp === address ? "" : `, published as ${publicIp}`;
  return `${link} ${address}${published}${publicIpv6 === null ? "" : `, for IPv6 ${publicIpv6}`}, MTU ${mtuBytes}`;
}

function offloadText(offloads: NonNullable<StatusReport["offloads"]>): string {
  const names = { tso: "tso", uso: "uso", udpGso: "udp-gso", udpGro: "udp-gro", tunGro: "tun-gro" } as const;
  const entries = [offloads.tso, offloads.uso, offloads.udpGso, offloads.udpGro, offloads.tunGro];
  const named = Object.values(names).map((name, index) => `${name} ${entries[index] === true ? "on" : "off"}`);
  return named.join(", ");
}

function trafficLines({ sent, received, coalescing }: TrafficReport, paint: Paint): string[] {
  const columns = ["", "packets", "bytes", "datagrams", "per TUN call", "per UDP call"].map((title, index) => ({
    title,
    isRightAligned: index > 0,
  }));
  const row = (name: string, direction: DirectionReport, perTunCall: number | null, perUdpCall: number | null) => [
    name,
    formatCount(direction.packets),
    formatBytes(direction.bytes),
    formatCount(direction.datagrams),
    perTunCall === null ? "-" : perTunCall.toFixed(1),
    perUdpCall === null ? "-" : perUdpCall.toFixed(1),
  ];
  const rows = [
    row("sent", sent, coalescing.packetsPerTunRead, coalescing.datagramsPerSend),
    row("received", received, coalescing.packetsPerTunWrite, coalescing.datagramsPerReceive),
  ];
  return [paint.bold("traffic"), ...withDimTitles(tableLines(columns, rows), paint)];
}

function dropLines({ drops }: StatusReport, paint: Paint): string[] {
  const counted = drops.filter((drop) => drop.packets > 0);
  if (counted.length === 0) return drops.length === 0 ? [] : ["no drops"];
  const columns = [{ title: "packets", isRightAligned: true }, { title: "reason" }, { title: "meaning" }];
  const rows = counted.map((drop) => [formatCount(drop.packets), drop.reason, drop.help]);
  return [paint.bold("drops"), ...withDimTitles(tableLines(columns, rows), paint)];
}
