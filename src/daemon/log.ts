// The daemon's log: one line per event, the event's name first and keys after it. JSON lines when nobody watches (file, pipe), short
// readable lines on a terminal and, with their keys as fields, in the journal. Written synchronously, so that nothing is lost when the process ends.
import { writeSync } from "node:fs";
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from "pino";
import { HopsackError } from "../errors.js";
import { leadsToJournal, sendToJournal } from "./journal.js";
import { LogLimit } from "./log-limit.js";
import type { LogLevel } from "./option-values.js";
import type { SendNotification } from "./service.js";

export type { Logger } from "pino";

type LogFields = Readonly<Record<string, unknown>>;

/** Keys of every line that the readable form does not repeat as `key=value`. */
const HEAD_KEYS: readonly string[] = ["level", "time", "event"];

/** A logger to standard output, whatever that is. */
export function createLogger(level: LogLevel, send: SendNotification): Logger {
  const { stdout, env } = process;
  if (stdout.isTTY === true) return loggerTo({ write: (line) => writeOut(readableLine(line)) }, level);
  if (leadsToJournal(stdout.fd, env)) return loggerTo({ write: (line) => writeToJournal(send, line) }, level);
  return loggerTo({ write: writeOut }, level);
}

/** A logger that writes JSON lines to `destination`, each event as often as `limit` admits. */
export function loggerTo(destination: DestinationStream, level: LogLevel, limit = new LogLimit()): Logger {
  const logger: Logger = pino(
    {
      level,
      base: null,
      messageKey: "event",
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      hooks: {
        logMethod(args, method) {
          const event = String(args.at(-1));
          const tell = (lines: number): void => logger.info({ of: event, lines }, "lines_left_out");
          if (limit.admits(event, tell)) method.apply(this, args);
        },
      },
    },
    destination,
  );
  return logger;
}

/** One JSON line as a person reads it: `12:30:01.123 warn  store_lost reason="…"`. */
export function readableLine(jsonLine: string): string {
  const fields: LogFields = JSON.parse(jsonLine);
  const time = String(fields.time).slice(11, 23);
  return `${time} ${String(fields.level).padEnd(5)} ${readableEvent(fields)}\n`;
}

function readableEvent(fields: LogFields): string {
  const keys = Object.entries(fields).filter(([key]) => !HEAD_KEYS.includes(key));
  return `${fields.event}${keys.map(([key, value]) => ` ${key}=${readableValue(value)}`).join("")}`;
}

/** What goes into a log line about a failure: its code and its sentence; the stack only for our own bugs. */
export function failure(error: unknown): Readonly<Record<string, unknown>> {
  if (error instanceof HopsackError) return { code: error.code, reason: error.message };
  return error instanceof Error ? { reason: error.message, stack: error.stack } : { reason: String(error) };
}

function readableValue(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}

/** A journal that does not take the fields gets the line by standard output. */
function writeToJournal(send: SendNotification, jsonLine: string): void {
  const fields: LogFields = JSON.parse(jsonLine);
  try {
    sendToJournal(send, readableEvent(fields), fields);
  } catch {
    writeOut(jsonLine);
  }
}

/** A full pipe or a closed terminal must not end the daemon: such a line is lost. */
function writeOut(line: string): void {
  try {
    writeSync(process.stdout.fd, line);
  } catch {
    // nobody reads any more
  }
}
