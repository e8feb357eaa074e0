// Man pages in the macros of man(7), from the table of commands. Pure; write-manual.ts puts them into files.
import { CALLED, INSTALL, KEYS, OWN_CODES, SUMMARY } from "../cni/help.js";
import { ERROR_CODES } from "../errors.js";
import type { ManualCommand, ManualEntry, ManualOption } from "./command-table.js";

export interface ManPage {
  readonly name: string;
  readonly section: 1 | 8;
  readonly text: string;
}

/** What every page says of its edition. */
export interface Edition {
  readonly version: string;
  readonly date: Date;
}

/** mandoc -Tlint finds longer lines bad style. */
const LINE_BYTES = 78;

const FILES: readonly ManualEntry[] = [
  { term: "/etc/hopsack/hopsackd.env", help: "settings of the service, one HOPSACKD_OPTION=value a line" },
  { term: "/var/lib/hopsack", help: "default store, and the leases kept for a start while the store is away" },
  { term: "/run/hopsack/hopsackd.sock", help: "status, metrics and handover" },
  { term: "/run/flannel/subnet.env", help: "subnet and MTU of this host, in flannel's words" },
];

/** hopsack(1), a page for each of its commands, hopsackd(8) and hopsack-cni(8). */
export function manPages(hopsack: ManualCommand, hopsackd: ManualCommand, edition: Edition): ManPage[] {
  const topics = hopsack.commands.filter(({ path }) => path !== "hopsack help");
  const names = [...topics.map(({ path }) => `${pageName(path)}(1)`), "hopsack-cni(8)", "hopsackd(8)"];
  return [
    page(hopsack, 1, edition, [...overview(hopsack, topics), ...errors("hopsack"), ...seeAlso(names)]),
    ...topics.map((topic) =>
      page(topic, 1, edition, [...commandBody(topic), ...seeAlso(["hopsack(1)", "hopsackd(8)"])]),
    ),
    page(hopsackd, 8, edition, [
      ...commandBody(hopsackd),
      ...section("FILES", entries(FILES)),
      ...errors("hopsackd"),
      ...seeAlso(["hopsack(1)", "hopsack-cni(8)", "systemd.service(5)"]),
    ]),
    pluginPage(edition),
  ];
}

function page(command: ManualCommand, number: 1 | 8, { version, date }: Edition, body: readonly string[]): ManPage {
  const name = pageName(command.path);
  const day = date.toISOString().slice(0, 10);
  const lines = [
    `.TH ${escaped(name).toUpperCase()} ${number} ${day} "Hopsack ${version}" "Hopsack"`,
    ".SH NAME",
    ...wrapped(`${escaped(name)} \\- ${escaped(nameLine(command.help))}`),
    ...section("SYNOPSIS", synopsis(command)),
    ...body,
  ];
  return { name, section: number, text: `${lines.join("\n")}\n` };
}

/** The CNI plugin has no command line: its page says what a network configuration may have. */
function pluginPage(edition: Edition): ManPage {
  const nothing = { arguments: [], options: [], commands: [], closing: "" };
  const plugin = { ...nothing, path: "hopsack-cni", usage: "hopsack-cni [--help]", help: SUMMARY };
  return page(plugin, 8, edition, [
    ...section("DESCRIPTION", [...prose(CALLED), ".PP", ...prose(INSTALL)]),
    ...section("NETWORK CONFIGURATION", [
      ...prose("Keys beside cniVersion, name and type, which is hopsack:"),
      ...entries(KEYS),
    ]),
    ...section("ERRORS", [
      ...prose("The codes of the specification, and these of its own in the error that is printed:"),
      ...entries(OWN_CODES),
    ]),
    ...seeAlso(["hopsack(1)", "hopsackd(8)"]),
  ]);
}

function overview(hopsack: ManualCommand, topics: readonly ManualCommand[]): string[] {
  const list = hopsack.commands.map((command) => {
    const isTopic = topics.includes(command);
    const more = isTopic ? `; see ${pageName(command.path)}(1)` : "";
    return { term: command.usage.replace(/^hopsack /, ""), help: `${command.help}${more}` };
  });
  return [
    ...section("DESCRIPTION", prose(hopsack.help)),
    ...optionSections(hopsack),
    ...section("COMMANDS", entries(list)),
  ];
}

/** Of one command, those below it as subsections. */
function commandBody(command: ManualCommand): string[] {
  return [
    ...section("DESCRIPTION", prose(sentence(command.help))),
    ...(command.arguments.length === 0 ? [] : section("ARGUMENTS", entries(command.arguments))),
    ...optionSections(command),
    ...(command.commands.length === 0 ? [] : section("COMMANDS", command.commands.flatMap(subsection))),
    ...(command.closing === "" ? [] : section("NOTES", prose(command.closing))),
  ];
}

function subsection(command: ManualCommand): string[] {
  const closing = command.closing === "" ? [] : [".PP", ...prose(command.closing)];
  return [
    `.SS ${escaped(command.usage)}`,
    ...prose(sentence(command.help)),
    ...entries(command.arguments),
    ...entries(command.options),
    ...closing,
    ...command.commands.flatMap(subsection),
  ];
}

function optionSections({ options }: ManualCommand): string[] {
  const groups = new Map<string, ManualOption[]>();
  for (const option of options) groups.set(option.group, [...(groups.get(option.group) ?? []), option]);
  const [own = [], ...others] = groups.values();
  const [, ...titles] = groups.keys();
  const further = others.flatMap((group, index) => [`.SS ${escaped(titles[index] ?? "")}`, ...entries(group)]);
  return section("OPTIONS", [...entries(own), ...further]);
}

function synopsis({ usage, commands }: ManualCommand): string[] {
  const usages = commands.length === 0 ? [usage] : [usage, ...commands.map((command) => command.usage)];
  return usages.flatMap((one, index) => {
    const [words, rest] = splitUsage(one);
    return [...(index === 0 ? [] : [".br"]), `.B ${escaped(words)}`, ...(rest === "" ? [] : [escaped(rest)])];
  });
}

/** `hopsack lab up [options]`: what is typed as it stands, and the rest. */
function splitUsage(usage: string): readonly [string, string] {
  const end = usage.search(/ [[<]/);
  return end < 0 ? [usage, ""] : [usage.slice(0, end), usage.slice(end + 1)];
}

function errors(program: string): string[] {
  const intro = `${program} ends with status 0 when it did what was asked, 2 when the command line cannot be used, and 1 otherwise. The sentence on standard error closes with one of these codes:`;
  const codes = Object.entries(ERROR_CODES).map(([term, help]) => ({ term, help }));
  return section("EXIT STATUS", [...prose(intro), ...entries(codes)]);
}

function seeAlso(names: readonly string[]): string[] {
  const references = names.map((name, index) => {
    const [title = "", number = ""] = name.split(/[()]/);
    return `.BR ${escaped(title)} (${number})${index === names.length - 1 ? "" : ","}`;
  });
  return section("SEE ALSO", references);
}

function section(title: string, body: readonly string[]): string[] {
  return [`.SH ${title}`, ...body];
}

function entries(list: readonly ManualEntry[]): string[] {
  return list.flatMap(({ term, help }) => [".TP", `.B ${escaped(term)}`, ...prose(sentence(help))]);
}

/** A line for each sentence, as man's formatters want it, and none too long. */
function prose(text: string): string[] {
  return text
    .split(/(?<=[.?!:;])\s+/)
    .flatMap((one) => wrapped(escaped(one)))
    .map((line) => (/^[.']/.test(line) ? `\\&${line}` : line));
}

function wrapped(text: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + 1 + word.length > LINE_BYTES) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

/** Hyphens that are typed must not become typographic ones. */
function escaped(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(
      /[^\x20-\x7e\n]/gu,
      (letter) => `\\[u${letter.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0")}]`,
    );
}

function sentence(text: string): string {
  const whole = `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
  return whole === "" || /[.?!]$/.test(whole) ? whole : `${whole}.`;
}

function nameLine(help: string): string {
  return `${help.charAt(0).toLowerCase()}${help.slice(1)}`.replace(/\.$/, "");
}

/** `hopsack lab` is explained in hopsack-lab. */
function pageName(path: string): string {
  return path.replaceAll(" ", "-");
}
