// The daemon's log: one line per event, the event's name first and keys after it. JSON lines when nobody watches (journal,
// file, pipe), short readable lines on a terminal. Written synchronously, so that nothing is lost when the process ends.
import { writeSync } from "node:fs";
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from "pino";
import { HopsackError } from "../errors.js";
import { LogLimit } from "./log-limit.js";
import type { LogLevel } from "./option-values.js";

export type { Logger } from "pino";

/** Keys of every line that the readable form does not repeat as `key=value`. */
const HEAD_KEYS: readonly string[] = ["level", "time", "event"];

/** @param isTerminal whether stdout is one */
export function createLogger(level: LogLevel, isTerminal: boolean): Logger {
  return loggerTo(isTerminal ? { write: (line) => writeOut(readableLine(line)) } : { write: writeOut }, level);
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
  const fields: Record<string, unknown> = JSON.parse(jsonLine);
  const time = String(fields.time).slice(11, 23);
  const keys = Object.entries(fields).filter(([key]) => !HEAD_KEYS.includes(key));
  const rest = keys.map(([key, value]) => ` ${key}=${readableValue(value)}`).join("");
  return `${time} ${String(fields.level).padEnd(5)} ${String(fields.event)}${rest}\n`;
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

/** A full pipe or a closed terminal must not end the daemon: such a line is lost. */
function writeOut(line: string): void {
  try {
    writeSync(process.stdout.fd, line);
  } catch {
    // nobody reads any more
  }
}
