#!/usr/bin/env node
// Entry of `hopsack`, the user's tool: errors become one sentence on stderr and an exit status here, nowhere else.
import { CommanderError } from "commander";
import { usageSentence } from "../daemon/options.js";
import { titleWithoutPassword } from "../daemon/store-options.js";
import { HopsackError } from "../errors.js";
import { errorText, exitStatus } from "./output.js";
import { hopsackCommand } from "./program.js";

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
  const program = hopsackCommand();
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
