// What commands print: tables, amounts, colours only where a person looks, and errors as one sentence.
import { stripVTControlCharacters } from "node:util";
import { HopsackError, messageOf } from "../errors.js";

export interface Paint {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  yellow(text: string): string;
  green(text: string): string;
}

/** Colours on a terminal, plain text elsewhere or when NO_COLOR is set (no-color.org). */
export function paintFor(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv): Paint {
  const isColoured = stream.isTTY === true && !env.NO_COLOR && env.TERM !== "dumb";
  const sgr = (code: number) => (text: string) => (isColoured && text !== "" ? `\x1b[${code}m${text}\x1b[0m` : text);
  return { bold: sgr(1), dim: sgr(2), red: sgr(31), yellow: sgr(33), green: sgr(32) };
}

export interface Column {
  readonly title: string;
  readonly isRightAligned?: boolean;
}

/** Columns of a terminal, colours left out. */
export function visibleWidth(text: string): number {
  return stripVTControlCharacters(text).length;
}

/** Lines of a table: titles, then rows, columns two blanks apart, no blanks at line ends. */
export function tableLines(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const titles = columns.map((column) => column.title);
  const widths = columns.map((_, index) => Math.max(...[titles, ...rows].map((row) => visibleWidth(row[index] ?? ""))));
  return [titles, ...rows].map((row) =>
    columns
      .map((column, index) => {
        const cell = row[index] ?? "";
        const padding = " ".repeat((widths[index] ?? 0) - visibleWidth(cell));
        return column.isRightAligned === true ? `${padding}${cell}` : `${cell}${padding}`;
      })
      .join("  ")
      .trimEnd(),
  );
}

/** The lines of a table below a heading. */
export function withDimTitles([titles = "", ...rows]: readonly string[], paint: Paint): string[] {
  return [paint.dim(titles), ...rows].map((line) => `  ${line}`);
}

/** `1234567` as `1,234,567`. */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

/** `1.5 MB`: decimal units, as network people count. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  const power = bytes < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  const amount = bytes / 1000 ** power;
  return `${power === 0 ? amount : amount.toFixed(1)} ${units[power]}`;
}

/** The two largest units of a span: `3 d 4 h`, `12 min 5 s`, `8 s`. */
export function formatDuration(seconds: number): string {
  const units = [
    ["d", 86_400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ] as const;
  let rest = Math.max(0, Math.floor(seconds));
  const parts: string[] = [];
  for (const [unit, size] of units) {
    const amount = Math.floor(rest / size);
    rest -= amount * size;
    if (amount > 0) parts.push(`${amount} ${unit}`);
  }
  return parts.length === 0 ? "0 s" : parts.slice(0, 2).join(" ");
}

/** `hopsack: <sentence> [CODE]`; anything but a HopsackError is our own bug and shows where it happened. */
export function errorText(program: string, error: unknown): string {
  if (error instanceof HopsackError) {
    const [sentence = "", ...details] = error.message.split("\n");
    return [`${program}: ${sentence} [${error.code}]`, ...details].join("\n");
  }
  const trace = error instanceof Error ? (error.stack ?? error.message) : messageOf(error);
  return `${program}: internal error, please report it: ${trace}`;
}

/** 2 for a command line that cannot be used, 1 for everything else. */
export function exitStatus(error: unknown): number {
  return error instanceof HopsackError && error.code === "BAD_OPTION" ? 2 : 1;
}
