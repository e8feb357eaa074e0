// systemd's journal as a place for the log: a line is sent as fields (journald's native protocol), so that a person reads a short
// message, `journalctl -p warning` shows what is wrong, and `journalctl HOPSACK_EVENT=lease_acquired` one kind of event.
import { fstatSync } from "node:fs";
import type { SendNotification } from "./service.js";

const JOURNAL_SOCKET = "/run/systemd/journal/socket";
/** Of syslog(3). */
const PRIORITIES: Readonly<Record<string, number>> = { trace: 7, debug: 7, info: 6, warn: 4, error: 3, fatal: 2 };

/** Whether the descriptor leads to the journal: the service manager names the socket (systemd.exec(5)). */
export function leadsToJournal(fd: number, env: NodeJS.ProcessEnv): boolean {
  if (env.JOURNAL_STREAM === undefined) return false;
  const { dev, ino } = fstatSync(fd);
  return env.JOURNAL_STREAM === `${dev}:${ino}`;
}

/** @throws whatever the system refuses */
export function sendToJournal(send: SendNotification, message: string, line: Readonly<Record<string, unknown>>): void {
  send(JOURNAL_SOCKET, journalEntry(message, line), []);
}

/** What goes to the journal's socket: a field a line, keys in the journal's spelling (`publicIp`: `HOPSACK_PUBLIC_IP`). */
export function journalEntry(
  message: string,
  { level, time: _, ...fields }: Readonly<Record<string, unknown>>,
): string {
  const own = Object.entries(fields).map(([key, value]) => `HOPSACK_${fieldName(key)}=${oneLine(value)}\n`);
  return `MESSAGE=${message}\nPRIORITY=${PRIORITIES[String(level)]}\nSYSLOG_IDENTIFIER=hopsackd\n${own.join("")}`;
}

/** Lines for a descriptor that leads to the journal, as errors: sd-daemon(3). */
export function asJournalErrors(text: string): string {
  return text.replace(/^/gm, `<${PRIORITIES.error}>`);
}

function fieldName(key: string): string {
  return key.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "_").toUpperCase();
}

function oneLine(value: unknown): string {
  return typeof value === "string" && !value.includes("\n") ? value : JSON.stringify(value);
}
