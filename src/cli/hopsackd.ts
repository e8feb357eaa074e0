#!/usr/bin/env node
// Entry of `hopsackd`, the daemon: options in, signals to an AbortSignal, an error to one sentence and an exit status.
// process.exit() runs no clean-up of the addon: runDaemon has stopped the pump by then.
import { constants } from "node:os";
import { runDaemon } from "../daemon/daemon.js";
import { host } from "../daemon/host.js";
import { asJournalErrors, leadsToJournal } from "../daemon/journal.js";
import { createLogger } from "../daemon/log.js";
import { type DaemonOptions, parseInvocation } from "../daemon/options.js";
import { titleWithoutPassword } from "../daemon/store-options.js";
import { packageVersion } from "../daemon/version.js";
import { errorText, exitStatus } from "./output.js";

const SIGNAL_STATUS_BASE = 128;

process.noDeprecation = true; // those warnings are for the authors of programs, not for who runs them

const title = titleWithoutPassword(process.argv);
if (title !== null) process.title = title;

try {
  const invocation = parseInvocation(process.argv.slice(2), process.env, packageVersion());
  if (invocation.kind === "print") process.stdout.write(invocation.text);
  else await run(invocation.options);
  process.exit(0);
} catch (error) {
  const text = errorText("hopsackd", error);
  process.stderr.write(`${leadsToJournal(process.stderr.fd, process.env) ? asJournalErrors(text) : text}\n`);
  process.exit(exitStatus(error));
}

async function run(options: DaemonOptions): Promise<void> {
  const stopping = new AbortController();
  for (const name of ["SIGTERM", "SIGINT", "SIGUSR2"] as const) {
    process.on(name, () => {
      if (stopping.signal.aborted) process.exit(SIGNAL_STATUS_BASE + constants.signals[name]); // the second one: at once
      stopping.abort(name);
    });
  }
  const log = createLogger(options.logLevel, host.sendNotification);
  await runDaemon(options, host, log, stopping.signal);
}
