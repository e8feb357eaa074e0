// The table of commands as `--help` shows it, as plain values: what man pages and completions are written from. Nothing is
// listed here by hand, so a new command or option is in the manual with the next build.
import type { Command } from "commander";

export interface ManualEntry {
  /** As in the help: `--socket <path>`, `<file>`. */
  readonly term: string;
  readonly help: string;
}

export interface ManualOption extends ManualEntry {
  /** `-h`, `--help`. */
  readonly names: readonly string[];
  /** A word must follow. */
  readonly takesValue: boolean;
  /** What that word may be; empty: anything. */
  readonly choices: readonly string[];
  /** Title of the options among which the help shows it. */
  readonly group: string;
}

export interface ManualCommand {
  /** `hopsack lab up`. */
  readonly path: string;
  readonly usage: string;
  readonly help: string;
  readonly arguments: readonly ManualEntry[];
  readonly options: readonly ManualOption[];
  readonly commands: readonly ManualCommand[];
  /** What stands under the lists of the help. */
  readonly closing: string;
}

export function describeCommand(command: Command, parentPath = ""): ManualCommand {
  const help = command.createHelp();
  const path = `${parentPath} ${command.name()}`.trimStart();
  return {
    path,
    usage:
      parentPath === "" || command.commands.length > 0
        ? help.commandUsage(command)
        : `${parentPath} ${help.subcommandTerm(command)}`,
    help: command.description(),
    arguments: help
      .visibleArguments(command)
      .map((argument) => ({ term: argument.name(), help: help.argumentDescription(argument) })),
    options: help.visibleOptions(command).map((option) => ({
      term: help.optionTerm(option),
      help: help.optionDescription(option),
      names: [option.short, option.long].filter((name) => name !== undefined && name !== null),
      takesValue: option.required,
      choices: option.argChoices ?? [],
      group: option.helpGroupHeading ?? "Options:",
    })),
    commands: help.visibleCommands(command).map((child) => describeCommand(child, path)),
    closing: closingWords(command),
  };
}

/** Every command with those below it. */
export function commandsIn(command: ManualCommand): ManualCommand[] {
  return [command, ...command.commands.flatMap(commandsIn)];
}

/** commander keeps them in listeners of its own, so they can only be overheard. */
function closingWords(command: Command): string {
  let shown = "";
  command.configureOutput({ writeOut: (text) => (shown += text) });
  command.outputHelp();
  return shown.replace(command.helpInformation(), "").trim();
}
