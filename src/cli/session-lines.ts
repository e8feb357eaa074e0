// The BGP sessions of mode bgp, for people: on the screen of `hopsack status`, and as calicoctl's table for `hopsack node status`. Pure.
import { isUp } from "../bird/sessions.js";
import type { BgpSessionReport, StatusReport } from "../daemon/status.js";
import { formatCount, formatDuration, type Paint, tableLines, withDimTitles } from "./output.js";

const DAY_MS = 86_400_000;

/** Those that do not stand first. @param limit how many are listed */
export function sessionLines({ bgp }: StatusReport, paint: Paint, now: number, limit: number): string[] {
  if (bgp === null) return [];
  const { sessions, version, asNumber } = bgp;
  const established = sessions.filter(isUp).length;
  const bird = version === null ? paint.red("BIRD does not run") : `BIRD ${version}`;
  const title = paint.bold(sessions.length === 1 ? "1 BGP session" : `${formatCount(sessions.length)} BGP sessions`);
  const columns = ["peer", "type", "AS", "state", "since", "info"].map((title) => ({ title }));
  const worstFirst = sessions.toSorted((a, b) => Number(isUp(a)) - Number(isUp(b)));
  const rows = worstFirst.slice(0, limit).map((session) => {
    const { peer, type, asNumber, state, since, info, trouble } = session;
    const colour = isUp(session) ? paint.green : trouble === null ? paint.dim : paint.red;
    const age = since === null ? "-" : `${formatDuration((now - Date.parse(since)) / 1000)} ago`;
    return [peer, type, String(asNumber), colour(state), age, info];
  });
  const rest = sessions.length - rows.length;
  return [
    `${title}: ${formatCount(established)} established (${bird}, AS ${asNumber})`,
    ...(rows.length === 0 ? [] : withDimTitles(tableLines(columns, rows), paint)),
    ...(rest > 0 ? [paint.dim(`  and ${formatCount(rest)} more; --all lists them`)] : []),
  ];
}

/** The text of `calicoctl node status`, with our name. */
export function nodeStatusText({ bgp }: StatusReport, now: number): string {
  const head = "Hopsack process is running.\n\n";
  if (bgp === null) return `${head}The BGP backend process (BIRD) is not running.\n`;
  const bird = bgp.version === null ? "INFO: BIRDv4 process: 'bird' is not running.\n" : "";
  const table = bgp.sessions.length === 0 ? "No IPv4 peers found.\n" : framedTable(bgp.sessions, now);
  return `${head}${bird}IPv4 BGP status\n${table}\nIPv6 BGP status\nNo IPv6 peers found.\n\n`;
}

function framedTable(sessions: readonly BgpSessionReport[], now: number): string {
  const titles = ["PEER ADDRESS", "PEER TYPE", "STATE", "SINCE", "INFO"];
  const rows = sessions.map(({ peer, type, state, since, info }) => [peer, type, state, dayOrTime(since, now), info]);
  const widths = titles.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = `+${widths.map((width) => "-".repeat(width + 2)).join("+")}+`;
  const framed = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const body = rows.map((row) => framed(row.map((cell, column) => cell.padEnd(widths[column] ?? 0))));
  const head = framed(titles.map((title, column) => centred(title, widths[column] ?? 0)));
  return `${[line, head, line, ...body, line].join("\n")}\n`;
}

function centred(title: string, width: number): string {
  return title.padStart(title.length + Math.floor((width - title.length) / 2)).padEnd(width);
}

/** As BIRD 1 wrote it: the time within a day, the date after it; the host's own time zone. */
function dayOrTime(since: string | null, now: number): string {
  if (since === null) return "-";
  const date = new Date(since);
  const two = (part: number): string => String(part).padStart(2, "0");
  if (now - date.getTime() < DAY_MS) return [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(two).join("-");
}
