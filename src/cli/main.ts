#!/usr/bin/env node
// Entry of `hopsack`, the user's tool. One file per command; errors become one sentence on stderr and an exit status here,
// nowhere else.
import { Command, CommanderError } from "commander";
import { usageSentence } from "../daemon/options.js";
import { titleWithoutPassword } from "../daemon/store-options.js";
import { packageVersion } from "../daemon/version.js";
import { HopsackError } from "../errors.js";
import { addBenchCommand } from "./bench.js";
import { addCleanupCommand } from "./cleanup.js";
import { addLabCommand } from "./lab.js";
import { addLeasesCommand } from "./leases.js";
import { errorText, exitStatus } from "./output.js";
import { addStatusCommand } from "./status.js";
import { addTopCommand } from "./top.js";

const USAGE_STATUS = 2;

/** `hopsack status | head` closes our stdout early; that is no error. */
process.stdout.on("error", () => process.exit());

process.noDeprecation = true; // those warnings are for the authors of programs, not for who runs them

const title = titleWithoutPassword(process.argv);
if (title !== null) process.title = title;

try {
  await run(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${errorText("hopsack", error)}\n`);
  process.exitCode = exitStatus(error);
}

async function run(argv: readonly string[]): Promise<void> {
  const program = new Command("hopsack")
    .description(
      "Looks at the overlay network daemon of this host and at the leases of all, and builds labs of network namespaces.",
    )
    .version(`hopsack ${packageVersion()}`, "--version", "print the version and exit")
    .helpOption("-h, --help", "print this help and exit")
    // `hopsack bench report FILE --output DIR` is the report's --output, whatever `hopsack bench` means by that word.
    .enablePositionalOptions()
    .configureOutput({ outputError: () => {} })
    .exitOverride();
  addStatusCommand(program);
  addTopCommand(program);
  addLeasesCommand(program);
  addCleanupCommand(program);
  addLabCommand(program);
  addBenchCommand(program);
  if (argv.length === 0) return program.outputHelp();
  try {
    await program.parseAsync(argv, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return;
    if (error.code === "commander.help") {
      process.exitCode = USAGE_STATUS; // `hopsack lab`: its help was printed to stderr
      return;
    }
    const sentence = `${usageSentence(error)}; hopsack --help lists commands and options`;
    throw new HopsackError("BAD_OPTION", sentence, { cause: error });
  }
}
